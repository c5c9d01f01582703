/* The query grammar of search/search.h: what is read as what, and what is refused. */
#include "tap.h"

#include <stdlib.h>

#include "search/search.h"

/* Terms as text: "1 dog on grass|-1 person|0.5 @beach.jpg" (@ marks an example). */
static const char *parsed(const char *const *args)
{
    static char text[512];
    struct search_query q;
    struct err e = { 0 };
    size_t n = 0, len = 0;
    while (args[n])
        n++;
    if (search_parse(&q, args, n, &e) != ERR_NONE) {
        CHECK(e.msg[0] && q.n_terms == 0);
        return e.code == ERR_LIMIT ? "limit" : "invalid";
    }
    for (size_t i = 0; i < q.n_terms; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%g %s%s", i ? "|" : "",
                                q.terms[i].weight, q.terms[i].kind == SEARCH_IMAGE ? "@" : "",
                                q.terms[i].value);
    search_query_clear(&q);
    return text;
}

#define PARSED(...) parsed((const char *const[]){ __VA_ARGS__, NULL })

static void words_make_one_phrase(void)
{
    CHECK_STR(PARSED("dog on grass"), "1 dog on grass");
    CHECK_STR(PARSED("dog", "on", "grass"), "1 dog on grass");
    CHECK_STR(PARSED("  dog \t on\ngrass  "), "1 dog on grass");
    CHECK_STR(PARSED("dog", "-person", "on grass"), "-1 person|1 dog on grass");
    CHECK_STR(PARSED("-"), "1 -");
    CHECK_STR(PARSED("a - b"), "1 a - b");
    CHECK_STR(PARSED("black-and-white"), "1 black-and-white");
    CHECK_STR(PARSED("海滩 日落"), "1 海滩 日落");
}

static void operators(void)
{
    CHECK_STR(PARSED("dog", "-person", "0.5:snow", "image:beach.jpg"),
              "-1 person|0.5 snow|1 @beach.jpg|1 dog");
    CHECK_STR(PARSED("dog -person 0.5:snow"), "-1 person|0.5 snow|1 dog");
    CHECK_STR(PARSED("-red car"), "-1 red car");
    CHECK_STR(PARSED("-\"red car\" house"), "-1 red car|1 house");
    CHECK_STR(PARSED("2:red car"), "2 red car");
    CHECK_STR(PARSED("-0.25:image:a b.jpg"), "-0.25 @a b.jpg");
    CHECK_STR(PARSED("image: spaced .jpg"), "1 @ spaced .jpg");
    CHECK_STR(PARSED("image:\"my cat.jpg\" sleeping"), "1 @my cat.jpg|1 sleeping");
}

static void what_only_looks_like_one(void)
{
    CHECK_STR(PARSED("16:9"), "1 16:9");
    CHECK_STR(PARSED("at 10:30"), "1 at 10:30");
    CHECK_STR(PARSED("\"-5 degrees\""), "1 -5 degrees");
    CHECK_STR(PARSED("\"0.5:snow\""), "1 0.5:snow");
    CHECK_STR(PARSED("\"say \\\"hi\\\" \\\\ now\""), "1 say \"hi\" \\ now");
    CHECK_STR(PARSED("1.2.3:x"), "1 1.2.3:x");
    CHECK_STR(PARSED("--dog"), "1 --dog");
}

static void refused(void)
{
    CHECK_STR(PARSED(""), "invalid");
    CHECK_STR(PARSED(" \n "), "invalid");
    CHECK_STR(PARSED("\"\""), "invalid");
    CHECK_STR(parsed((const char *const[]){ NULL }), "invalid");
    CHECK_STR(PARSED("image:"), "invalid");
    CHECK_STR(PARSED("0.5: "), "invalid");
    CHECK_STR(PARSED("0:dog"), "invalid");
    CHECK_STR(PARSED("101:dog"), "invalid");
    CHECK_STR(PARSED("\"no end"), "invalid");
    const char *many[SEARCH_TERMS_MAX + 2] = { 0 };
    for (int i = 0; i <= SEARCH_TERMS_MAX; i++)
        many[i] = "-x";
    CHECK_STR(parsed(many), "limit");
    char *longer = calloc(1, SEARCH_QUERY_MAX + 2);
    REQUIRE(longer);
    memset(longer, 'a', SEARCH_QUERY_MAX + 1);
    CHECK_STR(PARSED(longer), "limit");
    free(longer);
}

static const struct tap_case cases[] = {
    CASE(words_make_one_phrase),
    CASE(operators),
    CASE(what_only_looks_like_one),
    CASE(refused),
};
TAP_MAIN(cases)
