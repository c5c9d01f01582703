/* Model folders: names from outside, configuration files of any content, spaces. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "model/model.h"
#include "scratch.h"
#include "sys/file.h"

/* Write dir/path, folders made. */
static void put(const char *path, const char *text)
{
    char full[256], *slash;
    snprintf(full, sizeof full, "%s/%s", scratch, path);
    slash = strrchr(full, '/');
    *slash = '\0';
    CHECK(file_make_dirs(full, NULL) == ERR_NONE);
    *slash = '/';
    CHECK(file_replace(full, text, strlen(text), NULL) == ERR_NONE);
}

static void put_model(const char *name)
{
    static const char *const files[][2] = {
        { "config.json", "{\"embed_dim\": 16, \"text_cfg\": {\"context_length\": 8, "
                         "\"tokenizer_kwargs\": {\"clean\": \"canonicalize\"}}}" },
        { "visual/model.onnx", "v" },
        { "visual/preprocess_cfg.json", "{\"size\": [8, 9], \"mean\": [0, 0.5, 1], \"std\": [1, 2, "
                                        "0.25], \"resize_mode\": \"squash\"}" },
        { "textual/model.onnx", "t" },
        { "textual/tokenizer_config.json", "{\"pad_token\": {\"content\": \"<pad>\"}}" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "clip/%s/%s", name, files[i][0]);
        put(path, files[i][1]);
    }
}

static void names_are_cleaned_as_the_reference_does(void)
{
    struct model_folder f;
    put_model("ViT-B-32__openai");
    static const char *const same[] = { "ViT-B-32__openai", "immich-app/ViT-B-32__openai",
                                        "../../etc/ViT-B-32__openai", "ViT-B-32__.openai." };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        CHECK(model_find(scratch, MODEL_CLIP, same[i], &f, NULL) == ERR_NONE);
        CHECK_STR(f.name, "ViT-B-32__openai");
    }
    static const char *const none[] = { "", ".", "..", "a/", "/", "a\nb", "../.." };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        CHECK(model_find(scratch, MODEL_CLIP, none[i], &f, NULL) == ERR_INVALID);
    char longest[300];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    CHECK(model_find(scratch, MODEL_CLIP, longest, &f, NULL) == ERR_INVALID);
    struct err e = { 0 };
    CHECK(model_find(scratch, MODEL_OCR, "C:\\x", &f, &e) == ERR_NOT_FOUND);
    CHECK(strstr(f.dir, "/ocr/C__x"));
    CHECK(strstr(e.msg, "\"C__x\" is not there; `fovea models list`"));
}

static enum err_code add_name(const struct model_folder *f, void *ctx, struct err *err)
{
    return buf_printf(ctx, err, "%s/%s ", model_task_name(f->task), f->name);
}

static void models_are_listed_in_order(void)
{
    struct buf b = { 0 };
    put_model("b");
    put_model("a");
    put("ocr/x/detection/model.onnx", "");
    put("clip/with.dot/config.json", "{}");
    put("clip/.hidden/config.json", "{}");
    REQUIRE(model_list(scratch, add_name, &b, NULL) == ERR_NONE);
    CHECK_STR(b.data, "clip/ViT-B-32__openai clip/a clip/b ocr/x ");
    buf_clear(&b);
    CHECK(model_list("/no/such", add_name, &b, NULL) == ERR_NONE && !b.len);
}

static void configuration_is_read(void)
{
    struct model_folder f;
    struct model_preprocess p;
    struct model_text t;
    unsigned dim = 0;
    put_model("a");
    REQUIRE(model_find(scratch, MODEL_CLIP, "a", &f, NULL) == ERR_NONE);
    REQUIRE(model_preprocess_read(&f, &p, NULL) == ERR_NONE);
    CHECK(p.size_px == 8 && p.mean[2] == 1 && p.std[2] == 0.25f && p.fill == 0);
    CHECK(p.interpolation == MODEL_BICUBIC && p.resize == MODEL_SQUASH);
    REQUIRE(model_text_read(&f, &t, NULL) == ERR_NONE);
    CHECK(t.context_length == 8 && t.canonicalize);
    CHECK_STR(t.pad_token, "<pad>");
    CHECK(model_embed_dim(&f, &dim, NULL) == ERR_NONE && dim == 16);
}

static void hostile_configuration_is_refused(void)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"size\": 0, \"mean\": [0,0,0], \"std\": [1,1,1]}",
        "{\"size\": 1000000000, \"mean\": [0,0,0], \"std\": [1,1,1]}",
        "{\"size\": 8.5, \"mean\": [0,0,0], \"std\": [1,1,1]}",
        "{\"size\": \"8\", \"mean\": [0,0,0], \"std\": [1,1,1]}",
        "{\"size\": [], \"mean\": [0,0,0], \"std\": [1,1,1]}",
        "{\"size\": 8, \"mean\": [0,0], \"std\": [1,1,1]}",
        "{\"size\": 8, \"mean\": [0,0,\"0\"], \"std\": [1,1,1]}",
        "{\"size\": 8, \"mean\": [0,0,0], \"std\": [1,0,1]}",
        "{\"size\": 8, \"mean\": [0,0,1e300], \"std\": [1,1,1]}",
        "{\"size\": 8, \"mean\": [0,0,0], \"std\": [1,1,1], \"interpolation\": \"magic\"}",
        "{\"size\": 8, \"mean\": [0,0,0], \"std\": [1,1,1], \"resize_mode\": 3}",
        "{\"size\": 8, \"mean\": [0,0,0], \"std\": [1,1,1], \"fill_color\": 256}",
    };
    struct model_folder f;
    struct model_preprocess p;
    put_model("hostile");
    REQUIRE(model_find(scratch, MODEL_CLIP, "hostile", &f, NULL) == ERR_NONE);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = { 0 };
        put("clip/hostile/visual/preprocess_cfg.json", bad[i]);
        CHECK(model_preprocess_read(&f, &p, &e) == ERR_CORRUPT);
        CHECK(strstr(e.msg, "preprocess_cfg.json"));
    }
    struct model_text t;
    put("clip/hostile/config.json", "{\"text_cfg\": {\"context_length\": -1}}");
    CHECK(model_text_read(&f, &t, NULL) == ERR_CORRUPT);
    put("clip/hostile/config.json", "{}");
    put("clip/hostile/textual/tokenizer_config.json", "{\"pad_token\": \"a\\u0000b\"}");
    CHECK(model_text_read(&f, &t, NULL) == ERR_CORRUPT);
    put("clip/hostile/textual/tokenizer_config.json", "{\"pad_token\": \"x\"}");
    CHECK(model_text_read(&f, &t, NULL) == ERR_NONE && t.context_length == 77);
    unsigned dim;
    CHECK(model_embed_dim(&f, &dim, NULL) == ERR_CORRUPT);
}

static void a_space_is_the_content(void)
{
    struct model_folder a, b;
    char sa[HASH_HEX], sb[HASH_HEX], again[HASH_HEX], cache[128];
    snprintf(cache, sizeof cache, "%s/cache", scratch);
    REQUIRE(file_make_dirs(cache, NULL) == ERR_NONE);
    put_model("a");
    put_model("b");
    REQUIRE(model_find(scratch, MODEL_CLIP, "a", &a, NULL) == ERR_NONE);
    REQUIRE(model_find(scratch, MODEL_CLIP, "b", &b, NULL) == ERR_NONE);
    REQUIRE(model_space(&a, false, cache, sa, NULL) == ERR_NONE && strlen(sa) == 64);
    CHECK(model_space(&a, false, cache, again, NULL) == ERR_NONE);
    CHECK_STR(again, sa);
    CHECK(model_space(&b, false, NULL, sb, NULL) == ERR_NONE);
    CHECK_STR(sb, sa);
    CHECK(model_space(&a, true, cache, sb, NULL) == ERR_NONE && strcmp(sa, sb) != 0);
    CHECK(model_space(&a, true, cache, again, NULL) == ERR_NONE);
    CHECK_STR(again, sb);
    CHECK(model_space(&b, true, NULL, again, NULL) == ERR_NONE);
    CHECK_STR(again, sb);
    put("clip/b/visual/model.armnn", "x");
    put("clip/b/visual/rknpu/model.rknn", "x");
    CHECK(model_space(&b, false, cache, sb, NULL) == ERR_NONE);
    CHECK_STR(sb, sa);
    put("clip/b/textual/model.onnx", "T");
    CHECK(model_space(&b, false, cache, sb, NULL) == ERR_NONE && strcmp(sa, sb) != 0);
    put("clip/b/textual/model.onnx", "t");
    put("clip/b/visual/weights.bin", "1");
    CHECK(model_space(&b, false, cache, sb, NULL) == ERR_NONE && strcmp(sa, sb) != 0);
}

static void an_identity_follows_the_files(void)
{
    struct model_folder f;
    char one[HASH_HEX], two[HASH_HEX];
    uint64_t n = 0;
    put_model("c");
    REQUIRE(model_find(scratch, MODEL_CLIP, "c", &f, NULL) == ERR_NONE);
    REQUIRE(model_identity(&f, MODEL_VISUAL, one, &n, NULL) == ERR_NONE);
    CHECK(model_identity(&f, MODEL_VISUAL, two, &n, NULL) == ERR_NONE);
    CHECK_STR(two, one);
    CHECK(n > 1 && n < 200);
    put("clip/c/textual/model.onnx", "other");
    CHECK(model_identity(&f, MODEL_VISUAL, two, &n, NULL) == ERR_NONE);
    CHECK_STR(two, one);
    put("clip/c/visual/model.onnx", "v"); /* same content, another file */
    CHECK(model_identity(&f, MODEL_VISUAL, two, &n, NULL) == ERR_NONE && strcmp(one, two) != 0);
    CHECK(model_identity(&f, MODEL_DETECTION, two, &n, NULL) == ERR_NOT_FOUND);
}

static bool is_digest(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* A network comes from where its kind of model is kept, and lies where the loader looks. */
static void check_files(const struct model_row *row, enum model_type type)
{
    struct model_file files[MODEL_FILES_MAX];
    char network[64];
    size_t n_networks = 0, n = model_files(row, type, files);
    snprintf(network, sizeof network, "%s/model.onnx", model_type_name(type));
    for (size_t i = 0; i < n; i++) {
        const struct model_remote *r = &files[i].remote;
        n_networks += !strcmp(files[i].path, network);
        CHECK(!r->path == (row->task != MODEL_OCR) && !r->path == !r->sha256);
        CHECK(!r->sha256 || is_digest(r->sha256));
        bool shared = row->task == MODEL_OCR && type == MODEL_DETECTION;
        CHECK(shared ? str_ends(row->name, files[i].folder) : !strcmp(files[i].folder, row->name));
    }
    CHECK(n_networks == 1);
}

static void the_registry_is_whole(void)
{
    static const enum model_type types[][2] = {
        [MODEL_CLIP] = { MODEL_VISUAL, MODEL_TEXTUAL },
        [MODEL_FACES] = { MODEL_DETECTION, MODEL_RECOGNITION },
        [MODEL_OCR] = { MODEL_DETECTION, MODEL_RECOGNITION }
    };
    size_t n, of_task[MODEL_N_TASKS] = { 0 };
    const struct model_row *rows = model_registry(&n);
    for (size_t i = 0; i < n; i++) {
        const struct model_row *r = &rows[i];
        CHECK(!i || r[-1].task < r->task ||
              (r[-1].task == r->task && strcmp(r[-1].name, r->name) < 0));
        CHECK(model_known(r->task, r->name) == r && (r->dim == 0) == (r->task == MODEL_OCR));
        check_files(r, types[r->task][0]);
        check_files(r, types[r->task][1]);
        of_task[r->task]++;
    }
    CHECK(of_task[MODEL_CLIP] == 58 && of_task[MODEL_FACES] == 4 && of_task[MODEL_OCR] == 10);
}

static void a_model_is_known_by_any_form_of_its_name(void)
{
    struct model_file files[MODEL_FILES_MAX];
    const struct model_row *r = model_known(MODEL_CLIP, "M-CLIP/XLM-Roberta-Large-Vit-L-14");
    REQUIRE(r && r->dim == 768);
    CHECK(model_files(r, MODEL_TEXTUAL, files) == 4 && model_files(r, MODEL_DETECTION, files) == 0);
    r = model_known(MODEL_CLIP, "ViT-B-32::openai");
    CHECK(r && r->dim == 512);
    CHECK(!model_known(MODEL_CLIP, "buffalo_l") && !model_known(MODEL_CLIP, ""));
    r = model_known(MODEL_OCR, "EN__PP-OCRv5_mobile");
    REQUIRE(r && model_files(r, MODEL_DETECTION, files) == 1);
    CHECK_STR(files[0].folder, "PP-OCRv5_mobile");
    CHECK(strstr(files[0].remote.path, "det/ch_PP-OCRv5_det_mobile.onnx"));
    REQUIRE(model_files(r, MODEL_RECOGNITION, files) == 1);
    CHECK_STR(files[0].folder, "EN__PP-OCRv5_mobile");
    CHECK(strstr(files[0].remote.path, "rec/en_PP-OCRv5_rec_mobile.onnx"));
}

static const struct tap_case cases[] = {
    CASE(names_are_cleaned_as_the_reference_does),
    CASE(models_are_listed_in_order),
    CASE(configuration_is_read),
    CASE(hostile_configuration_is_refused),
    CASE(a_space_is_the_content),
    CASE(an_identity_follows_the_files),
    CASE(the_registry_is_whole),
    CASE(a_model_is_known_by_any_form_of_its_name),
};

int main(void)
{
    scratch_make();
    int rc = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
