/* Errors, buffers, arenas, numbers, UTF-8, JSON and SHA-256. */
#include "tap.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/str.h"
#include "base/utf8.h"

static void the_first_error_stands(void)
{
    struct err e = { 0 };
    CHECK(err_set(&e, ERR_IO, "disk %d", 7) == ERR_IO);
    CHECK(err_set(&e, ERR_NOMEM, "later") == ERR_NOMEM);
    CHECK(e.code == ERR_IO);
    CHECK_STR(e.msg, "disk 7");
    CHECK(err_prefix(&e, "a\nb") == ERR_IO);
    CHECK_STR(e.msg, "a?b: disk 7");
    struct err odd = { 0 };
    err_set(&odd, ERR_IO, "%s",
            "\x1b[31m \xc2\x9b"
            "31m \xc2\xa0\xc3\x9b\x7f\xc2");
    CHECK_STR(odd.msg,
              "?[31m ??31m \xc2\xa0\xc3\x9b?\xc2"); /* what a terminal obeys is not there */
    CHECK(err_set(NULL, ERR_LIMIT, "nobody listens") == ERR_LIMIT);
    char path[1000];
    struct err is = { 0 };
    for (size_t i = 0; i < sizeof path - 1; i++)
        path[i] = "\xe2\x82\xac"[i % 3]; /* cut between characters only */
    path[sizeof path - 1] = '\0';
    err_set(&is, ERR_IO, "/%s: cannot read", path);
    CHECK(strlen(is.msg) > 490 && strstr(is.msg, "\xac...\xe2") &&
          strstr(is.msg, "\xac: cannot read"));
    err_prefix(&is, "%s", path);
    CHECK(strlen(is.msg) > 490 && strstr(is.msg, "\xac: cannot read"));
}

static void every_code_has_a_name(void)
{
    for (int c = ERR_INTERNAL; c <= 0; c++)
        CHECK(strcmp(err_code_name((enum err_code)c), "unknown error") != 0);
    CHECK_STR(err_code_name((enum err_code) - 99), "unknown error");
}

static void buf_grows_to_its_limit(void)
{
    struct buf b = { .limit = 100 };
    struct err e = { 0 };
    for (int i = 0; i < 11; i++) /* 10 bytes each: the eleventh would pass the limit */
        CHECK(buf_printf(&b, &e, "%d012345678", i % 10) == (i < 10 ? ERR_NONE : ERR_LIMIT));
    CHECK(b.len == 100 && b.data[b.len] == '\0');
    size_t was = b.len;
    CHECK(buf_append(&b, "0123456789", 10, NULL) == ERR_LIMIT);
    CHECK(b.len == was);
    char *s = NULL;
    size_t n = 0;
    REQUIRE(buf_take(&b, &s, &n, NULL) == ERR_NONE);
    CHECK(n == was && b.len == 0 && !b.data && b.limit == 100);
    free(s);
    buf_clear(&b);
}

static void arena_aligns_zeroes_and_refuses(void)
{
    struct arena a = { .limit = 1 << 20 };
    struct err e = { 0 };
    for (size_t n = 1; n < 300; n++) {
        unsigned char *p = arena_alloc(&a, n, 1, &e);
        REQUIRE(p);
        CHECK((size_t)p % _Alignof(max_align_t) == 0);
        for (size_t i = 0; i < n; i++)
            CHECK(p[i] == 0);
        memset(p, 0xff, n);
    }
    CHECK(!arena_alloc(&a, SIZE_MAX / 2, 3, &e) && e.code == ERR_LIMIT);
    CHECK(!arena_alloc(&a, 2 << 20, 1, NULL));
    CHECK_STR(arena_strndup(&a, "hello", 4, NULL), "hell");
    arena_clear(&a);
    CHECK(!a.head && !a.total);
}

static void numbers_are_whole_or_refused(void)
{
    int64_t i = -1;
    CHECK(str_to_i64("42", 0, 100, &i) && i == 42);
    static const char *const bad_i[] = {
        "", "4x", " 4", "101", "-1", "0x10", "99999999999999999999"
    };
    for (size_t k = 0; k < sizeof bad_i / sizeof *bad_i; k++)
        CHECK(!str_to_i64(bad_i[k], 0, 100, &i));
    CHECK(i == 42 && !str_to_i64(NULL, 0, 1, &i));
    double d = 0;
    CHECK(str_to_f64("-1.5e1", &d) && d == -15);
    static const char *const bad_d[] = { "", "nan", "inf", "0x1p3", "1.5x", "1e999", "-inf" };
    for (size_t k = 0; k < sizeof bad_d / sizeof *bad_d; k++)
        CHECK(!str_to_f64(bad_d[k], &d));
    char b[16];
    static const char *const paths[][3] = {
        { "/a", "b/c", "/a/b/c" }, { "/", "b", "/b" }, { "/a", "", "/a" }, { "/", "", "/" }
    };
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++) {
        char *path = str_path(paths[k][0], paths[k][1]);
        CHECK_STR(path, paths[k][2]);
        free(path);
    }
    CHECK_STR(str_bytes(812, b), "812 B");
    CHECK_STR(str_bytes(1536, b), "1.5 KiB");
    CHECK_STR(str_bytes((uint64_t)512 << 20, b), "512 MiB");
}

/* The rows of Unicode 15, table 3-8: what a decoder replaces, one U+FFFD a maximal subpart. */
static void utf8_replaces_maximal_subparts(void)
{
    static const struct {
        const char *in, *out;
    } t[] = {
        { "a\xc0\xaf"
          "b",
          "a\ufffd\ufffdb" },
        { "\xe0\x80\xbf\xf0\x81\x82\x41", "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdA" },
        { "\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41",
          "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdA" },
        { "\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", "\ufffd\ufffd\ufffd\ufffd\ufffdA\ufffd\ufffdB" },
        { "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "\ufffd\ufffd\ufffd\ufffdA" },
        { "h\xc3\xa9 \xe6\xb5\xb7 \xf0\x9f\x8f\x96 \xef\xbf\xbd", "hé 海 🏖 \ufffd" },
    };
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        struct buf b = { 0 };
        CHECK(utf8_repair(&b, t[k].in, strlen(t[k].in), NULL) == ERR_NONE);
        CHECK_STR(b.data, t[k].out);
        CHECK(utf8_valid(b.data, b.len));
        CHECK(utf8_valid(t[k].in, strlen(t[k].in)) == (k == 5));
        buf_clear(&b);
    }
}

static void json_reads_and_writes(void)
{
    static const char text[] = "{\"a\": [1, 2.5, true, null, \"x\\u0000y\"], \"b\": {\"c\": -3}}";
    struct json *v = NULL;
    struct err e = { 0 };
    REQUIRE(json_parse(text, sizeof text - 1, &v, &e) == ERR_NONE);
    const struct json *a = json_get(v, "a");
    int64_t i = 0;
    double d = 0;
    bool t = false;
    size_t n = 0;
    CHECK(json_len(a) == 5 && json_as_i64(json_at(a, 0), &i) && i == 1);
    CHECK(json_as_f64(json_at(a, 1), &d) && d == 2.5 && !json_as_i64(json_at(a, 1), &i));
    CHECK(json_as_bool(json_at(a, 2), &t) && t && json_is_null(json_at(a, 3)));
    CHECK(json_as_string(json_at(a, 4), &n) && n == 3);
    CHECK(json_as_i64(json_get(json_get(v, "b"), "c"), &i) && i == -3);
    CHECK(!json_get(json_get(v, "no"), "such") && json_len(NULL) == 0 && !json_at(NULL, 0));
    json_destroy(v);

    struct buf b = { 0 };
    CHECK(json_put_string(&b, "q\"\\\n\x01\xff\xc3\xa9", 8, &e) == ERR_NONE);
    CHECK_STR(b.data, "\"q\\\"\\\\\\n\\u0001\ufffdé\"");
    buf_reset(&b);
    CHECK(json_put_floats(&b, (float[]){ 0.1f, -2, NAN }, 3, &e) == ERR_NONE);
    CHECK_STR(b.data, "[0.100000001,-2,null]");
    buf_clear(&b);
}

/* The string that text is. */
static bool reads_as(const char *text, const char *bytes, size_t n)
{
    struct json *v = NULL;
    size_t len = 0;
    bool same = json_parse(text, strlen(text), &v, NULL) == ERR_NONE;
    const char *s = json_as_string(v, &len);
    same = same && s && len == n && !memcmp(s, bytes, n + 1);
    json_destroy(v);
    return same;
}

static void json_strings_are_unescaped(void)
{
    CHECK(reads_as("\"\"", "", 0));
    CHECK(reads_as(" \"\\\"\\\\\\/\\b\\f\\n\\r\\t\" ", "\"\\/\b\f\n\r\t", 8));
    CHECK(reads_as("\"a\\u0000b\"", "a\0b", 3));
    CHECK(reads_as("\"\\u00e9\\u20AC\\uFFFF\"", "é€\xef\xbf\xbf", 8));
    CHECK(reads_as("\"\\ud83d\\ude00\\uDBFF\\uDFFF\"", "😀\xf4\x8f\xbf\xbf", 8));
    CHECK(reads_as("\"é€😀\x7f\"", "é€😀\x7f", 10));
}

static void json_numbers_are_what_they_say(void)
{
    static const struct {
        const char *text;
        double is;
        bool integer;
    } t[] = {
        { "0", 0, true },
        { "-0", 0, true },
        { "-12", -12, true },
        { "1.0", 1, false },
        { "1e2", 100, false },
        { "1E+2", 100, false },
        { "5e-1", 0.5, false },
        { "-0.25", -0.25, false },
        { "9223372036854775807", 9223372036854775807.0, true },
        { "-9223372036854775808", -9223372036854775808.0, true },
        { "0.1000000000000000055511151231257827021181583404541015625000000000000000000000", 0.1,
          false },
        { "1e-400", 0, false },
    };
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        struct json *v = NULL;
        double d = -1;
        int64_t i = -1;
        REQUIRE(json_parse(t[k].text, strlen(t[k].text), &v, NULL) == ERR_NONE);
        CHECK(json_as_f64(v, &d) && d == t[k].is && json_as_i64(v, &i) == t[k].integer);
        CHECK(!t[k].integer || (double)i == t[k].is);
        json_destroy(v);
    }
}

/* A text of any length is read to its end and no further. */
static void json_is_read_within_its_bounds(void)
{
    static const char text[] = " {\"a\\ud83d\\ude00\":[true,null,-1.5e+3,{}],\"b\":\"\\n\"} ";
    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = malloc(n ? n : 1); /* so that a sanitizer sees what is beyond */
        struct json *v = NULL;
        REQUIRE(copy != NULL);
        memcpy(copy, text, n);
        CHECK((json_parse(copy, n, &v, NULL) == ERR_NONE) == (n >= sizeof text - 2));
        json_destroy(v);
        free(copy);
    }
}

/* So many keys that they are looked at in another way; an object with one of them twice. */
static void json_of_many_keys(void)
{
    struct buf b = { 0 };
    struct json *v = NULL;
    struct err e = { 0 };
    int64_t i = 0;
    REQUIRE(buf_puts(&b, "{", NULL) == ERR_NONE);
    for (int k = 0; k < 5000; k++)
        CHECK(buf_printf(&b, NULL, "\"key %d\":%d,", k, k) == ERR_NONE);
    size_t n = b.len;
    CHECK(buf_puts(&b, "\"last\":-1}", NULL) == ERR_NONE);
    REQUIRE(json_parse(b.data, b.len, &v, NULL) == ERR_NONE);
    CHECK(json_len(v) == 5001 && json_as_i64(json_get(v, "key 4321"), &i) && i == 4321);
    CHECK_STR(json_key(json_first(v)), "key 0");
    json_destroy(v);
    b.len = n;
    CHECK(buf_puts(&b, "\"key 17\":-1}", NULL) == ERR_NONE);
    CHECK(json_parse(b.data, b.len, &v, &e) == ERR_INVALID && strstr(e.msg, "twice"));
    buf_clear(&b);
}

static void json_refuses(void)
{
    struct json *v = NULL;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]]",
        "[1] x",
        "[1}",
        "{]",
        "{\"a\":1,\"a\":2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\\u0000\":1}",
        "{\"a\":1 \"b\":2}",
        "nan",
        "NaN",
        "Infinity",
        "nul",
        "nullx",
        "True",
        "'a'",
        "+1",
        "01",
        "-",
        "-a",
        "1.",
        ".5",
        "1.e1",
        "1e",
        "1e+",
        "0x10",
        "1e999",
        "-1e999",
        "9223372036854775808",
        "-9223372036854775809",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "\"\t\"",
        "\"\x1f\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "\"\xc3\\u00a9\"",
        "\xef\xbb\xbf[]",
        "[1]\f",
        "// a\n1",
        "[1]\\",
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct err e = { 0 };
        CHECK(json_parse(bad[k], strlen(bad[k]), &v, &e) == ERR_INVALID && !v && e.msg[0]);
    }
    struct err e = { 0 };
    CHECK(json_parse("[1,\n  2,\n x]", 12, &v, &e) == ERR_INVALID);
    CHECK(strstr(e.msg, "line 3 column 2"));
    CHECK(json_parse("1\0", 2, &v, NULL) == ERR_INVALID &&
          json_parse("\"\0\"", 3, &v, NULL) == ERR_INVALID);
    char deep[2000];
    memset(deep, '[', sizeof deep);
    CHECK(json_parse(deep, sizeof deep, &v, NULL) == ERR_INVALID);
    memset(deep + 512, ']', 512);
    CHECK(json_parse(deep, 1024, &v, NULL) == ERR_NONE);
    json_destroy(v);
}

static void sha256_of_the_standard(void)
{
    uint8_t d[HASH_BYTES];
    char hex[HASH_HEX];
    hash_bytes("abc", 3, d);
    hash_hex(d, hex);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct hash h;
    hash_init(&h);
    hash_update(&h, "a", 1);
    hash_update(&h, "bc", 2);
    uint8_t d2[HASH_BYTES];
    hash_final(&h, d2);
    CHECK(!memcmp(d, d2, sizeof d));
    memset(d2, 0, sizeof d2);
    uint8_t blob[HASH_GIT_BYTES],
        should[HASH_GIT_BYTES]; /* of `printf abc | git hash-object --stdin` */
    hash_git_blob("abc", 3, blob);
    CHECK(hash_git_from_hex("f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f", should) &&
          !memcmp(blob, should, sizeof blob));
    CHECK(!hash_git_from_hex("f2ba8f84", should));
    CHECK(hash_from_hex(hex, d2) && !memcmp(d, d2, sizeof d));
    CHECK(!hash_from_hex("", d2) && !hash_from_hex(hex + 1, d2));
    hex[5] = 'g';
    CHECK(!hash_from_hex(hex, d2));
}

static const struct tap_case cases[] = {
    CASE(the_first_error_stands),
    CASE(every_code_has_a_name),
    CASE(buf_grows_to_its_limit),
    CASE(arena_aligns_zeroes_and_refuses),
    CASE(numbers_are_whole_or_refused),
    CASE(utf8_replaces_maximal_subparts),
    CASE(json_reads_and_writes),
    CASE(json_strings_are_unescaped),
    CASE(json_numbers_are_what_they_say),
    CASE(json_is_read_within_its_bounds),
    CASE(json_of_many_keys),
    CASE(json_refuses),
    CASE(sha256_of_the_standard),
};
TAP_MAIN(cases)
