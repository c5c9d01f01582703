/* What test_infer.c opens as an ONNX Runtime of years ago. */
#include <stddef.h>
#include <stdint.h>

struct base {
    const void *(*get_api)(uint32_t version);
    const char *(*get_version_string)(void);
};

static const void *get_api(uint32_t version)
{
    return version <= 5 ? "" : NULL;
}

static const char *get_version_string(void)
{
    return "1.5.0";
}

__attribute__((visibility("default"))) const struct base *OrtGetApiBase(void);
const struct base *OrtGetApiBase(void)
{
    static const struct base base = { get_api, get_version_string };
    return &base;
}
