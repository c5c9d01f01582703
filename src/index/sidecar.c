#include <string.h>

#include "index/layout.h"

/* What a person would want to know first about a header that is not the one we want. */
static const char *difference(const struct layout_header *got, const struct layout_header *want)
{
    if (memcmp(got->magic, want->magic, sizeof got->magic))
        return "not a sidecar";
    if (got->version != want->version)
        return "another version of the format";
    if (memcmp(got->space, want->space, sizeof got->space))
        return "vectors of another model";
    if (got->generation != want->generation)
        return "another generation than the database has";
    if (got->n_rows != want->n_rows || got->dim != want->dim)
        return "another number of vectors than the database has";
    return "damaged header";
}

static enum err_code check(const struct file_map *map, const struct layout_header *want,
                           const char *path, struct err *err)
{
    struct layout_header got;
    if (map->size < sizeof got)
        return err_set(err, ERR_CORRUPT, "%s: %zu bytes, shorter than a header", path, map->size);
    memcpy(&got, map->data, sizeof got);
    if (memcmp(&got, want, sizeof got))
        return err_set(err, ERR_CORRUPT, "%s: %s", path, difference(&got, want));
    if (map->size != want->file_bytes)
        return err_set(err, ERR_CORRUPT, "%s: %zu bytes, should be %llu", path, map->size,
                       (unsigned long long)want->file_bytes);
    return ERR_NONE;
}

enum err_code index_sidecar_open(struct index_sidecar *s, const char *path,
                                 const struct index_stamp *stamp, struct err *err)
{
    struct layout_header h;
    *s = (struct index_sidecar){ 0 };
    enum err_code rc = layout_make(&h, stamp, err);
    if (rc == ERR_NONE)
        rc = file_map_open(&s->map, path, err);
    if (rc == ERR_NONE)
        rc = check(&s->map, &h, path, err);
    if (rc != ERR_NONE) {
        index_sidecar_close(s);
        return rc;
    }
    const char *base = s->map.data;
    s->view = (struct index_view){ .ids = (const int64_t *)(base + h.ids_at),
                                   .scales = (const float *)(base + h.scales_at),
                                   .sums = (const int32_t *)(base + h.sums_at),
                                   .rows = (const int8_t *)(base + h.rows_at),
                                   .n_rows = (size_t)h.n_rows,
                                   .dim = h.dim,
                                   .stride = (size_t)h.stride };
    return ERR_NONE;
}

void index_sidecar_close(struct index_sidecar *s)
{
    file_map_close(&s->map);
    *s = (struct index_sidecar){ 0 };
}
