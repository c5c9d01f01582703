/* Measured with all-MiniLM-L6-v2 (90 MB, f32) on two cores of an AVX-512 EPYC, warm page cache,
 * from process start to the first vector (ONNX Runtime 1.32; its library and environment are 13
 * ms):
 *
 *   model.onnx, optimised each time                      114 ms   160 MB peak
 *   model.onnx saved optimised, optimisation off          105 ms   160 MB
 *   ORT format, read                                      140 ms   246 MB
 *   ORT format, mapped, weights used in place              43 ms   118 MB
 *   same, and no weights repacked                          21 ms    77 MB, runs 3.0 ms instead
 * of 1.9
 *
 * So the last two are used: the last at first, the other after some runs (ort_forms.h). The layout
 * of convolution weights is the CPU's (NCHWc blocks of 8 or 16), hence the CPU in the key. The
 * format:
 *
 *   network in ORT format | key, 32 bytes | its length, u64 | checksum of it, u64 | magic, 16 bytes
 */
#include "infer/prepared.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "base/str.h"
#include "sys/clock.h"

static const char magic[16] = "fovea-prepared1";

struct trailer {
    uint8_t key[HASH_BYTES];
    uint64_t n_bytes, checksum; /* the machine's byte order: the key ties it to one kind of CPU */
    char magic[sizeof magic];
};

/* A network that nothing has opened for so long belongs to a model that has gone, or is one that a
 * second can be spent on. Time is told by mtime, since access times are often not kept. */
#define UNUSED_NS ((int64_t)30 * 24 * 3600 * 1000000000)

/* A file in use is marked so at most so often: each mark is a change of the file. */
#define TOUCH_NS ((int64_t)24 * 3600 * 1000000000)

#define PREFIX "network-"
#define SUFFIX ".ort"
#define PART ".part"

static uint64_t mix(uint64_t h, uint64_t w)
{
    h ^= w;
    return (h << 29 | h >> 35) * 0x9e3779b97f4a7c15u;
}

/* Eight chains, so that memory and not the multiplier is what it waits for. n: a multiple of 64. */
static void mix_all(uint64_t h[8], const uint8_t *p, size_t n)
{
    uint64_t w;
    for (; n; p += 64, n -= 64)
        for (size_t k = 0; k < 8; k++) {
            memcpy(&w, p + 8 * k, sizeof w);
            h[k] = mix(h[k], w);
        }
}

/* Against rot and half-written blocks, not against people: 90 MB in 7 ms, where SHA-256 takes 50.
 * Pages are let go as it goes, so that it does not cost the file's size in resident memory. */
static uint64_t checksum(const uint8_t *p, size_t n)
{
    const size_t piece = 1 << 20;
    uint64_t h[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, all = n;
    size_t whole = n & ~(size_t)63;
    for (size_t at = 0; at < whole; at += piece) {
        size_t k = whole - at < piece ? whole - at : piece;
        mix_all(h, p + at, k);
        (void)madvise((void *)(uintptr_t)(p + at), k, MADV_DONTNEED);
    }
    for (int k = 0; k < 8; k++)
        all = mix(all, h[k]);
    for (; whole < n; whole++)
        all = mix(all, p[whole]);
    return all;
}

static unsigned long cpu_abilities(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return (unsigned long)!!__builtin_cpu_supports("avx") |
           (unsigned long)!!__builtin_cpu_supports("avx2") << 1 |
           (unsigned long)!!__builtin_cpu_supports("fma") << 2 |
           (unsigned long)!!__builtin_cpu_supports("avx512f") << 3 |
           (unsigned long)!!__builtin_cpu_supports("avx512bw") << 4 |
           (unsigned long)!!__builtin_cpu_supports("avx512vnni") << 5;
#elif defined(__aarch64__)
    return getauxval(AT_HWCAP) ^ getauxval(AT_HWCAP2) << 1;
#else
    return 0;
#endif
}

static void add(struct hash *h, const char *s)
{
    hash_update(h, s, strlen(s) + 1);
}

enum err_code infer_prepared_name(struct infer_prepared *p, const char *cache_dir,
                                  const struct infer_network *network, const char *version,
                                  struct err *err)
{
    uint8_t where[HASH_BYTES];
    char hex[HASH_HEX];
    hash_bytes(network->path, strlen(network->path), where);
    hash_hex(where, hex);
    if (snprintf(p->file, sizeof p->file, "%s/" PREFIX "%.16s" SUFFIX, cache_dir, hex) >=
        (int)(sizeof p->file - sizeof PART))
        return err_set(err, ERR_LIMIT, "%s: path too long", cache_dir);
    struct hash h;
    unsigned long cpu = cpu_abilities();
    hash_init(&h);
    add(&h, network->path);
    add(&h, network->identity);
    add(&h, network->prefix ? INFER_PREFIX_KEY : "");
    add(&h, version);
    hash_update(&h, &cpu, sizeof cpu);
    hash_final(&h, p->key);
    return ERR_NONE;
}

/* Of the file as it is now, by its place, size and times; marked as being in use. */
static bool take_print(const struct infer_prepared *p, uint8_t out[HASH_BYTES])
{
    struct stat st;
    struct hash h;
    if (stat(p->file, &st))
        return false;
    if (clock_wall_ns() - clock_ns(&st.st_mtim) > TOUCH_NS) {
        (void)utimensat(AT_FDCWD, p->file, NULL, 0);
        if (stat(p->file, &st))
            return false;
    }
    const int64_t parts[] = { (int64_t)st.st_dev, (int64_t)st.st_ino, (int64_t)st.st_size,
                              clock_ns(&st.st_mtim), clock_ns(&st.st_ctim) };
    hash_init(&h);
    hash_update(&h, p->key, sizeof p->key);
    hash_update(&h, parts, sizeof parts);
    hash_final(&h, out);
    return true;
}

static bool is_seen(struct infer_prepared_seen *s, const uint8_t print[HASH_BYTES])
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n && i < INFER_PREPARED_SEEN_MAX && !found; i++)
        found = !memcmp(s->prints[i], print, HASH_BYTES);
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* Every byte; remembered where the file was the same before and after. */
static bool is_whole(const struct infer_prepared *p, struct infer_prepared_seen *s,
                     const uint8_t print[HASH_BYTES], const uint8_t *bytes, const struct trailer *t)
{
    uint8_t now[HASH_BYTES];
    if (t->checksum != checksum(bytes, (size_t)t->n_bytes))
        return false;
    if (take_print(p, now) && !memcmp(now, print, HASH_BYTES)) {
        pthread_mutex_lock(&s->lock);
        memcpy(s->prints[s->n++ % INFER_PREPARED_SEEN_MAX], print, HASH_BYTES);
        pthread_mutex_unlock(&s->lock);
    }
    return true;
}

bool infer_prepared_open(const struct infer_prepared *p, struct infer_prepared_seen *seen,
                         struct file_map *map, size_t *n)
{
    uint8_t print[HASH_BYTES];
    if (!take_print(p, print) || file_map_open(map, p->file, NULL) != ERR_NONE)
        return false;
    struct trailer t;
    if (map->size > sizeof t) {
        const uint8_t *bytes = map->data;
        *n = map->size - sizeof t;
        memcpy(&t, bytes + *n, sizeof t);
        if (!memcmp(t.magic, magic, sizeof magic) && !memcmp(t.key, p->key, sizeof t.key) &&
            t.n_bytes == *n && (is_seen(seen, print) || is_whole(p, seen, print, bytes, &t)))
            return true;
    }
    file_map_close(map);
    return false;
}

/* ---- the file that is being written ---- */

/* Its owner may have renamed or removed it between our open and our lock, which then is on a file
 * that is no longer of this name. */
static bool still_named(int dir, const char *name, int fd)
{
    struct stat ours, there;
    return !fstat(fd, &ours) && !fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* The file, locked; -1 if it cannot be, or is another's. */
static int claim(int dir, const char *name, int flags)
{
    int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) || !still_named(dir, name, fd))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool infer_prepared_claim(const struct infer_prepared *p, struct infer_prepared_part *part)
{
    snprintf(part->path, sizeof part->path, "%.*s" PART, (int)(sizeof p->file - sizeof PART),
             p->file);
    part->fd = claim(AT_FDCWD, part->path, O_CREAT);
    return part->fd >= 0;
}

void infer_prepared_drop(struct infer_prepared_part *part)
{
    unlink(part->path);
    close(part->fd);
}

/* ---- what nobody needs any more ---- */

/* A running process may have it mapped, and goes on with that. */
static void remove_if_unused(int dir, const char *name, int64_t now_ns)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) ||
        now_ns - clock_ns(&st.st_mtim) < UNUSED_NS)
        return;
    int fd = str_ends(name, PART) ? claim(dir, name, 0) : -1;
    if (fd >= 0 || str_ends(name, SUFFIX))
        unlinkat(dir, name, 0);
    if (fd >= 0)
        close(fd);
}

static void remove_unused(const struct infer_prepared *p)
{
    char folder[INFER_PREPARED_PATH_MAX];
    int64_t now_ns = clock_wall_ns();
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(p->file, '/') - p->file), p->file);
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (str_starts(e->d_name, PREFIX))
            remove_if_unused(dirfd(d), e->d_name, now_ns);
    if (d)
        closedir(d);
}

/* ---- done ---- */

static enum err_code finish(const struct infer_prepared *p, const struct infer_prepared_part *part,
                            struct err *err)
{
    struct file_map map;
    enum err_code rc = file_map_open(&map, part->path, err);
    if (rc != ERR_NONE)
        return rc;
    struct trailer t = { .n_bytes = map.size, .checksum = checksum(map.data, map.size) };
    memcpy(t.key, p->key, sizeof t.key);
    memcpy(t.magic, magic, sizeof magic);
    file_map_close(&map);
    if (pwrite(part->fd, &t, sizeof t, (off_t)t.n_bytes) != (ssize_t)sizeof t || fsync(part->fd))
        return err_set(err, ERR_IO, "%s: %s", part->path, strerror(errno));
    return rename(part->path, p->file)
               ? err_set(err, ERR_IO, "%s: cannot replace: %s", p->file, strerror(errno))
               : ERR_NONE;
}

enum err_code infer_prepared_keep(const struct infer_prepared *p, struct infer_prepared_part *part,
                                  struct err *err)
{
    enum err_code rc = finish(p, part, err);
    if (rc != ERR_NONE) {
        infer_prepared_drop(part);
        return rc;
    }
    close(part->fd);
    remove_unused(p);
    return ERR_NONE;
}
