/* The inside of the decode helper: what its sandbox denies, and the decoders that are our own. That
 * their pixels are Pillow's is tested in golden/test_formats.py; here is what Pillow cannot say. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/decode.h"
#include "app/decode_bmp.h"
#include "app/decode_gif.h"

static bool denied(long result)
{
    return result == -1 && (errno == EPERM || errno == ENOSYS);
}

static void *nothing(void *arg)
{
    return arg;
}

/* Each line is a way out. Returns the number of the first that is open. */
static int try_to_get_out(void)
{
    char *none[] = { NULL };
    struct clone_args own_process = { .exit_signal = SIGCHLD };
    struct rlimit r = { 1 << 20, 1 << 20 };
    int line = 0;
#define DENIED(call)                                                                               \
    do {                                                                                           \
        line++;                                                                                    \
        if (!denied(call))                                                                         \
            return line;                                                                           \
    } while (0)
    DENIED(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
    DENIED(syscall(SYS_openat, AT_FDCWD, "/tmp/fovea-out", O_CREAT | O_WRONLY, 0600));
    DENIED(socket(AF_INET, SOCK_STREAM, 0));
    DENIED(socket(AF_UNIX, SOCK_STREAM, 0));
    DENIED(execve("/bin/true", none, none));
    DENIED(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
    DENIED(syscall(SYS_clone3, &own_process, sizeof own_process));
    DENIED(kill(getppid(), 0));
    DENIED(syscall(SYS_tgkill, getppid(), getppid(), 0));
    DENIED(fcntl(0, F_SETOWN, getppid())); /* signals by way of a descriptor */
    DENIED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    DENIED(syscall(SYS_memfd_create, "x", 0));
    DENIED(syscall(SYS_unlinkat, AT_FDCWD, "/tmp/fovea-out", 0));
    DENIED(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
    DENIED(syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, &r, NULL));
    DENIED(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) == MAP_FAILED
               ? -1
               : 0);
#undef DENIED
    return 0;
}

/* What decoding needs must still work. */
static bool can_work(void)
{
    pthread_t t;
    void *p = malloc(50 << 20);
    bool ok = p && !pthread_create(&t, NULL, nothing, NULL) && !pthread_join(t, NULL);
    struct rlimit cpu = { 0 };
    free(p);
    decode_limit_cpu(100);
    return ok && !getrlimit(RLIMIT_CPU, &cpu) && cpu.rlim_cur >= 100 && cpu.rlim_cur <= 110;
}

static void the_sandbox_has_no_way_out(void)
{
    int status;
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (!pid) {
        int out = decode_sandbox(NULL) == ERR_NONE ? try_to_get_out() : 100;
        _exit(out ? out : can_work() ? 0 : 101);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    printf("# ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void processor_time_ends(void)
{
    int status;
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (!pid) {
        decode_limit_cpu(0);
        for (;;)
            ;
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v & 0xffff);
    put16(p + 2, v >> 16);
}

/* A 40-byte header, no palette; returns where pixels begin. */
static size_t bmp_header(uint8_t *p, uint32_t w, uint32_t h, unsigned bits, unsigned compression)
{
    memset(p, 0, 54);
    memcpy(p, "BM", 2);
    put32(p + 10, bits <= 8 ? 54 + (4u << bits) : 54);
    put32(p + 14, 40);
    put32(p + 18, w);
    put32(p + 22, h);
    put16(p + 26, 1);
    put16(p + 28, bits);
    put32(p + 30, compression);
    return bits <= 8 ? 54 + ((size_t)4 << bits) : 54;
}

static enum err_code read_bmp(const uint8_t *p, size_t n, uint8_t *rgb, struct err *err)
{
    struct bmp b;
    *err = (struct err){ 0 };
    enum err_code rc = decode_bmp_open(&b, p, n, err);
    return rc == ERR_NONE ? decode_bmp_pixels(&b, rgb, err) : rc;
}

/* Four bits: three literal pixels take two bytes and no pad, an odd count that Pillow misreads;
 * then a jump, a run, the end. */
static void bmp_run_lengths(void)
{
    uint8_t f[256], rgb[4 * 2 * 3];
    struct err e;
    size_t at = bmp_header(f, 4, 2, 4, 2);
    for (unsigned i = 0; i < 16; i++)
        memset(f + 54 + i * 4, (int)(i * 10), 4);
    static const uint8_t data[] = { 0, 3, 0x12, 0x30, 0, 2, 0, 1, 1, 0x40, 0, 1 };
    memcpy(f + at, data, sizeof data);
    REQUIRE(read_bmp(f, at + sizeof data, rgb, &e) == ERR_NONE);
    static const uint8_t want[] = { 0, 0, 0, 40, 10, 20, 30, 0 }; /* upper row first */
    for (int i = 0; i < 8; i++)
        CHECK(rgb[i * 3] == want[i] && rgb[i * 3 + 2] == want[i]);
    CHECK(read_bmp(f, at + 3, rgb, &e) == ERR_INVALID && strstr(e.msg, "truncated"));
}

static void bmp_sizes_are_seen_before_pixels(void)
{
    uint8_t f[64];
    struct bmp b;
    bmp_header(f, 65000, 65000, 24, 0);
    REQUIRE(decode_bmp_open(&b, f, 54, NULL) == ERR_NONE);
    CHECK(b.width_px == 65000 && b.height_px == 65000 && !b.is_top_down);
    bmp_header(f, 3, (uint32_t)-7, 32, 0);
    REQUIRE(decode_bmp_open(&b, f, 54, NULL) == ERR_NONE);
    CHECK(b.height_px == 7 && b.is_top_down);
}

static void bmp_of_unknown_kind(void)
{
    uint8_t f[64], rgb[3];
    struct err e;
    bmp_header(f, 1, 1, 24, 4); /* JPEG inside */
    CHECK(read_bmp(f, 54, rgb, &e) == ERR_UNSUPPORTED && strstr(e.msg, "compression 4"));
    bmp_header(f, 1, 1, 7, 0);
    CHECK(read_bmp(f, 54, rgb, &e) == ERR_UNSUPPORTED);
    put32(f + 14, 16);
    CHECK(read_bmp(f, 54, rgb, &e) == ERR_UNSUPPORTED && strstr(e.msg, "16 bytes"));
    CHECK(read_bmp(f, 20, rgb, &e) == ERR_INVALID);
}

/* 3 x 1 on a screen of 4 x 2; codes of 3 bits: clear, 1, 2, 0, end. */
static const uint8_t gif[] = { 'G', 'I', 'F', '8', '9', 'a',  4, 0, 2, 0,    0x80, 0, 0,   9, 9,
                               9,   7,   7,   7,   '!', 0xf9, 4, 1, 0, 0,    1,    0, ',', 0, 0,
                               1,   0,   3,   0,   1,   0,    0, 2, 2, 0x8c, 0x50, 0, ';' };

static void gif_transparency(void)
{
    struct gif g;
    uint8_t rgb[4 * 2 * 3];
    REQUIRE(decode_gif_open(&g, gif, sizeof gif, NULL) == ERR_NONE);
    CHECK(g.width_px == 4 && g.height_px == 2 && g.transparent == 1 && g.top == 1);
    REQUIRE(decode_gif_pixels(&g, false, rgb, NULL) == ERR_NONE);
    static const uint8_t stored[] = { 7, 7, 7, 7, 7, 0, 9, 7 }; /* index 2 has no colour: black */
    static const uint8_t seen[] = { 0, 0, 0, 0, 0, 0, 9, 0 };
    for (int i = 0; i < 8; i++)
        CHECK(rgb[i * 3] == stored[i]);
    REQUIRE(decode_gif_pixels(&g, true, rgb, NULL) == ERR_NONE);
    for (int i = 0; i < 8; i++)
        CHECK(rgb[i * 3] == seen[i]);
}

/* Every beginning and every changed byte, in blocks of their exact size for the sanitizers. */
static void damage_is_survived(void)
{
    for (size_t i = 0; i < sizeof gif * 257; i++) {
        bool is_cut = i < sizeof gif;
        size_t n = is_cut ? i : sizeof gif;
        uint8_t *f = malloc(n ? n : 1), *rgb = NULL;
        struct gif g;
        memcpy(f, gif, n);
        if (!is_cut)
            f[i % sizeof gif] = (uint8_t)(i / sizeof gif - 1);
        if (decode_gif_open(&g, f, n, NULL) == ERR_NONE && g.width_px * g.height_px < 1u << 20) {
            rgb = malloc((size_t)g.width_px * g.height_px * 3);
            decode_gif_pixels(&g, i % 2, rgb, NULL);
        }
        free(rgb);
        free(f);
    }
}

static const struct tap_case cases[] = {
    CASE(the_sandbox_has_no_way_out),
    CASE(processor_time_ends),
    CASE(bmp_run_lengths),
    CASE(bmp_sizes_are_seen_before_pixels),
    CASE(bmp_of_unknown_kind),
    CASE(gif_transparency),
    CASE(damage_is_survived),
};

TAP_MAIN(cases)
