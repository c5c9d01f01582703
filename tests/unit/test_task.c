/* The two towers of a CLIP model on the toy networks of tests/models and variations of them. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/file.h"
#include "task/task.h"

enum { DIM = 32, SIDE = 16 };

static struct infer *engine;

/* A copy of clip/toy as clip/<name>, in which file (NULL: none) has other content (NULL: is gone).
 */
static struct model_folder variant(const char *name, const char *file, const char *content)
{
    struct model_folder f = { 0 };
    const char *tests = getenv("FOVEA_TESTS");
    char cmd[1024], path[256];
    snprintf(cmd, sizeof cmd, "mkdir -p %s/clip && cp -r %s/models/clip/toy %s/clip/%s", scratch,
             tests ? tests : "tests", scratch, name);
    CHECK(!system(cmd));
    CHECK(model_find(scratch, MODEL_CLIP, name, &f, NULL) == ERR_NONE);
    if (file) {
        snprintf(path, sizeof path, "%s/clip/%s/%s", scratch, name, file);
        CHECK(content ? file_replace(path, content, strlen(content), NULL) == ERR_NONE
                      : !unlink(path));
    }
    return f;
}

static struct task_clip_textual *textual(const char *name, const char *file, const char *content,
                                         struct err *err)
{
    struct model_folder f = variant(name, file, content);
    struct task_clip_textual *t = NULL;
    task_clip_textual_open(&t, engine, &f, err);
    return t;
}

static struct task_clip_visual *visual(const char *name, const char *file, const char *content,
                                       struct err *err)
{
    struct model_folder f = variant(name, file, content);
    struct task_clip_visual *v = NULL;
    task_clip_visual_open(&v, engine, &f, err);
    return v;
}

static bool same_text(const struct task_clip_textual *a, const char *x,
                      const struct task_clip_textual *b, const char *y)
{
    float u[DIM], v[DIM];
    return task_clip_textual_embed(a, x, strlen(x), NULL, u, NULL) == ERR_NONE &&
           task_clip_textual_embed(b, y, strlen(y), NULL, v, NULL) == ERR_NONE &&
           !memcmp(u, v, sizeof u);
}

static void texts_become_vectors(void)
{
    struct err e = { 0 };
    struct task_clip_textual *t = textual("t", NULL, NULL, &e);
    REQUIRE(t);
    CHECK(task_clip_textual_dim(t) == DIM);
    CHECK(same_text(t, "a dog on the beach", t, "  A dog\ton \n the BEACH "));
    CHECK(!same_text(t, "a dog on the beach", t, "a cat on the beach"));
    CHECK(same_text(t, "", t, " \n"));
    char longest[4096];
    memset(longest, 'a', sizeof longest);
    for (size_t i = 1; i < sizeof longest; i += 2)
        longest[i] = ' ';
    longest[sizeof longest - 1] = '\0';
    CHECK(same_text(t, longest, t,
                    "a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a"));
    float v[DIM];
    CHECK(task_clip_textual_embed(t, "\xff\xfe", 2, NULL, v, NULL) == ERR_NONE);
    task_clip_textual_close(t);
}

static bool same_in(const struct task_clip_textual *t, const char *x, const char *language,
                    const char *y)
{
    float u[DIM], v[DIM];
    return task_clip_textual_embed(t, x, strlen(x), language, u, NULL) == ERR_NONE &&
           task_clip_textual_embed(t, y, strlen(y), NULL, v, NULL) == ERR_NONE &&
           !memcmp(u, v, sizeof u);
}

static void nllb_is_told_the_language(void)
{
    static const char *const codes[][2] = {
        { "de", "deu_Latn" },    { "de-AT", "deu_Latn" }, { "pt-BR", "por_Latn" },
        { "zh-CN", "zho_Hans" }, { "zh-XX", "eng_Latn" }, { "kmr", "kmr_Latn" },
        { "nb-NO", "nob_Latn" }, { "nb", "eng_Latn" },    { "", "eng_Latn" },
        { "de_AT", "eng_Latn" }, { "DE", "eng_Latn" },    { "-de", "eng_Latn" },
        { "zh-TW", "zho_Hant" },
    };
    struct err e = { 0 };
    struct task_clip_textual *t = textual("nllb-toy", NULL, NULL, &e);
    struct task_clip_textual *other = textual("not-nllb", NULL, NULL, &e);
    REQUIRE(t && other);
    CHECK(!same_text(t, "deu_Latndog", t, "eng_Latndog"));
    CHECK(!same_in(t, "dog", "de", "dog"));
    CHECK(same_in(other, "dog", "de", "dog"));
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char text[64];
        snprintf(text, sizeof text, "%sa dog", codes[i][1]);
        CHECK(same_in(t, " a  dog", codes[i][0], text));
    }
    task_clip_textual_close(t);
    task_clip_textual_close(other);
}

/* The networks that exports make of one tower: wide ids, a fixed length, no mask. */
static void textual_networks_differ(void)
{
    static const char *const networks[] = {
        "fovea-fake 1\nseed 2\ninput text i64 1 32\noutput v f32 1 32\n",
        "fovea-fake 1\nseed 2\ninput text i32 -1 -1\noutput v f32 -1 32\n",
        "fovea-fake 1\nseed 2\ninput input_ids i64 -1 -1\ninput attention_mask i64 -1 -1\n"
        "input token_type_ids i64 -1 -1\noutput v f32 -1 -1\noutput w f32 -1 3\n",
    };
    struct err e = { 0 };
    struct task_clip_textual *plain = textual("plain", NULL, NULL, &e);
    REQUIRE(plain);
    for (size_t i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "net%zu", i);
        struct task_clip_textual *t = textual(name, "textual/model.onnx", networks[i], &e);
        REQUIRE(t);
        CHECK(same_text(t, "a dog", plain, "a dog"));
        task_clip_textual_close(t);
    }
    /* Its vector is as long as the text, not as config.json says. */
    struct task_clip_textual *t = textual("net2", "textual/model.onnx", networks[2], &e);
    REQUIRE(t);
    float v[DIM];
    CHECK(task_clip_textual_dim(t) == DIM);
    CHECK(task_clip_textual_embed(t, "a b", 3, NULL, v, &e) == ERR_CORRUPT);
    task_clip_textual_close(t);
    task_clip_textual_close(plain);
}

static void bad_textual_models_are_refused(void)
{
    static const struct {
        const char *file, *content, *says;
        enum err_code code;
    } t[] = {
        { "textual/model.onnx", NULL, "textual/model.onnx", ERR_NOT_FOUND },
        { "textual/tokenizer.json", NULL, "tokenizer.json", ERR_NOT_FOUND },
        { "textual/tokenizer.json", "[", "tokenizer.json", ERR_CORRUPT },
        { "textual/tokenizer_config.json", "{\"pad_token\": \"nope\"}", "nope", ERR_CORRUPT },
        { "config.json", NULL, "config.json", ERR_NOT_FOUND },
        { "textual/model.onnx", "fovea-fake 1\ninput a f32 1 32\noutput v f32 1 4\n", "\"a\"",
          ERR_UNSUPPORTED },
        { "textual/model.onnx", "fovea-fake 1\ninput a i32 1 77\noutput v f32 1 4\n", "32 token",
          ERR_UNSUPPORTED },
        { "textual/model.onnx", "fovea-fake 1\ninput a i32 2 32\noutput v f32 1 4\n", "\"a\"",
          ERR_UNSUPPORTED },
        { "textual/model.onnx",
          "fovea-fake 1\ninput a i32 1 32\ninput b i32 1 32\noutput v f32 1 4\n", "one list",
          ERR_UNSUPPORTED },
        { "textual/model.onnx", "fovea-fake 1\ninput a i32 1 32\noutput v i32 1 4\n", "f32",
          ERR_UNSUPPORTED },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err e = { 0 };
        char name[16];
        snprintf(name, sizeof name, "badt%zu", i);
        CHECK(!textual(name, t[i].file, t[i].content, &e));
        CHECK(e.code == t[i].code);
        if (!CHECK(strstr(e.msg, t[i].says)))
            printf("# %s\n", e.msg);
    }
}

/* A picture of w x h pixels in no particular colours. */
static struct image picture(uint32_t w, uint32_t h, unsigned seed)
{
    struct image im = { .px = malloc((size_t)3 * w * h), .width_px = w, .height_px = h };
    for (size_t i = 0; im.px && i < (size_t)3 * w * h; i++)
        im.px[i] = (uint8_t)((i * 2654435761u + seed * 97) >> 8);
    return im;
}

static void pictures_become_vectors(void)
{
    struct err e = { 0 };
    struct task_clip_visual *v = visual("v", NULL, NULL, &e);
    struct task_clip_visual *one =
        visual("one", "visual/model.onnx",
               "fovea-fake 1\nseed 1\ninput x f32 1 3 16 16\noutput v f32 1 32\n", &e);
    REQUIRE(v && one);
    const size_t len = task_clip_visual_tensor_len(v);
    REQUIRE(len == 3 * SIDE * SIDE && task_clip_visual_dim(v) == DIM);
    float tensors[3 * 3 * SIDE * SIDE], out[3 * DIM], alone[DIM], by_one[3 * DIM];
    for (unsigned i = 0; i < 3; i++) {
        struct image im = picture(20 + i, 31, i);
        CHECK(task_clip_visual_prepare(v, &im, IMAGE_REFERENCE, tensors + i * len, &e) == ERR_NONE);
        image_clear(&im);
    }
    CHECK(task_clip_visual_embed(v, tensors, 3, out, &e) == ERR_NONE);
    CHECK(task_clip_visual_embed(v, tensors + len, 1, alone, &e) == ERR_NONE);
    CHECK(task_clip_visual_embed(one, tensors, 3, by_one, &e) == ERR_NONE);
    CHECK(!memcmp(out + DIM, alone, sizeof alone) && !memcmp(out, by_one, sizeof out));
    CHECK(task_clip_visual_embed(v, tensors, 0, out, &e) == ERR_NONE);

    struct image im = picture(40, 20, 7);
    CHECK(task_clip_visual_embed_image(v, &im, IMAGE_REFERENCE, out, &e) == ERR_NONE);
    CHECK(task_clip_visual_embed_image(v, &im, IMAGE_VIEW, out + DIM, &e) == ERR_NONE);
    CHECK(memcmp(out, out + DIM, sizeof alone) != 0); /* cropped, squashed */
    image_clear(&im);
    CHECK(task_clip_visual_embed_image(v, &im, IMAGE_VIEW, out, &e) == ERR_INVALID);
    task_clip_visual_close(v);
    task_clip_visual_close(one);
}

static void bad_visual_models_are_refused(void)
{
    static const char *const networks[] = {
        "fovea-fake 1\ninput a f32 -1 3 17 17\noutput v f32 -1 4\n",
        "fovea-fake 1\ninput a f32 -1 16 16 3\noutput v f32 -1 4\n",
        "fovea-fake 1\ninput a u8 -1 3 16 16\noutput v f32 -1 4\n",
        "fovea-fake 1\ninput a f32 8 3 16 16\noutput v f32 8 4\n",
        "fovea-fake 1\ninput a f32 -1 3 16 16\ninput b f32 1\noutput v f32 -1 4\n",
        "fovea-fake 1\ninput a f32 -1 3 16 16\noutput v i64 -1 4\n",
    };
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        struct err e = { 0 };
        char name[16];
        snprintf(name, sizeof name, "badv%zu", i);
        CHECK(!visual(name, "visual/model.onnx", networks[i], &e));
        CHECK(e.code == ERR_UNSUPPORTED && strstr(e.msg, name));
    }
    struct err e = { 0 };
    CHECK(!visual("nopre", "visual/preprocess_cfg.json", NULL, &e) && e.code == ERR_NOT_FOUND);
    task_clip_visual_close(NULL);
    task_clip_textual_close(NULL);
}

static const struct tap_case cases[] = {
    CASE(texts_become_vectors),           CASE(textual_networks_differ),
    CASE(bad_textual_models_are_refused), CASE(pictures_become_vectors),
    CASE(bad_visual_models_are_refused),  CASE(nllb_is_told_the_language),
};

int main(void)
{
    scratch_make();
    int rc = infer_create(&engine, &(struct infer_options){ .n_threads = 1 }, NULL) != ERR_NONE ||
             tap_run(cases, sizeof cases / sizeof *cases);
    infer_destroy(engine);
    scratch_remove();
    return rc;
}
