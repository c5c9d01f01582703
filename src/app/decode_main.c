/* fovea-decode: bytes in, pixels out (image/helper_proto.h), in a process with nothing to lose.
 *
 * It is started by the engine with a socket as its standard input and is of no use otherwise. */
#include "app/decode.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/decode_bmp.h"
#include "app/decode_gif.h"
#include "image/helper_proto.h"
#include "sys/process.h"

static enum err_code decode_bmp(struct decode_job *job, struct err *err)
{
    struct bmp b;
    enum err_code rc = decode_bmp_open(&b, job->bytes, job->n, err);
    if (rc == ERR_NONE)
        rc = decode_begin(job, b.width_px, b.height_px, err);
    if (rc == ERR_NONE)
        rc = decode_bmp_pixels(&b, job->im.px, err);
    if (rc == ERR_NONE)
        decode_shrink(job);
    return rc;
}

static enum err_code decode_gif(struct decode_job *job, struct err *err)
{
    struct gif g;
    enum err_code rc = decode_gif_open(&g, job->bytes, job->n, err);
    if (rc == ERR_NONE)
        rc = decode_begin(job, g.width_px, g.height_px, err);
    if (rc == ERR_NONE)
        rc = decode_gif_pixels(&g, job->contract == IMAGE_VIEW, job->im.px, err);
    if (rc == ERR_NONE)
        decode_shrink(job);
    return rc;
}

static enum err_code run(struct decode_job *job, struct err *err)
{
    switch (job->format) {
    case IMAGE_BMP: return decode_bmp(job, err);
    case IMAGE_GIF: return decode_gif(job, err);
    case IMAGE_HEIC: return decode_heif(job, err);
    case IMAGE_AVIF: return decode_avif(job, err);
    case IMAGE_JXL: return decode_jxl(job, err);
    case IMAGE_RAW: return decode_raw(job, err);
    case IMAGE_PNG:
    case IMAGE_WEBP:
    case IMAGE_TIFF: return decode_vips(job, err);
    default:
        return err_set(err, ERR_UNSUPPORTED, "no decoder for %s", image_format_name(job->format));
    }
}

static void answer(const struct helper_request *q, const int fds[HELPER_N_FDS],
                   struct helper_reply *reply)
{
    struct err err = { 0 };
    enum err_code rc;
    struct decode_job job = { .n = q->size_bytes,
                              .format = (enum image_format)q->format,
                              .contract = (enum image_contract)q->contract,
                              .target_side_px = q->target_side_px,
                              .max_pixels = q->max_pixels,
                              .out_fd = fds[HELPER_FD_OUT] };
    void *p = job.n ? mmap(NULL, job.n, PROT_READ, MAP_SHARED, fds[HELPER_FD_IN], 0) : NULL;
    if (!p) {
        rc = err_set(&err, ERR_INVALID, "empty file");
    } else if (p == MAP_FAILED) {
        rc = err_set(&err, ERR_NOMEM, "file of %zu bytes", job.n);
    } else {
        job.bytes = p;
        rc = run(&job, &err);
        munmap(p, job.n);
    }
    decode_end(&job);
    *reply = (struct helper_reply){ .code = rc,
                                    .number = q->number,
                                    .width_px = job.im.width_px,
                                    .height_px = job.im.height_px,
                                    .full_width_px = job.im.full_width_px,
                                    .full_height_px = job.im.full_height_px,
                                    .margin = job.im.margin };
    snprintf(reply->msg, sizeof reply->msg, "%.*s", (int)sizeof reply->msg - 1, err.msg);
}

/* The engine's end of the socket closes when it ends, however it ends. (PR_SET_PDEATHSIG would do
 * the same for the thread that started us, which may end long before the engine.) */
static void *end_with_engine(void *arg)
{
    (void)arg;
    struct pollfd p = { .fd = STDIN_FILENO };
    while (poll(&p, 1, -1) <= 0)
        ;
    _exit(0);
}

/* Descriptors that the engine's libraries left open are not ours to hold. Standard output is never
 * used, and decoders print what they like to standard error: a file must not write into the log. */
static void drop_descriptors(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
#ifndef __SANITIZE_ADDRESS__ /* reports there */
    dup2(null, STDERR_FILENO);
#endif
    close_range(3, ~0U, 0);
}

static enum err_code get_ready(struct err *err)
{
    pthread_t watcher;
    enum err_code rc = decode_vips_init(err);
    if (rc != ERR_NONE)
        return rc;
    if (pthread_create(&watcher, NULL, end_with_engine, NULL))
        return err_set(err, ERR_NOMEM, "no thread");
    drop_descriptors();
    return decode_sandbox(err);
}

static void serve(void)
{
    struct helper_request q;
    int fds[HELPER_N_FDS];
    while (process_recv(STDIN_FILENO, &q, sizeof q, fds, HELPER_N_FDS, -1, NULL) == ERR_NONE) {
        struct helper_reply reply;
        decode_limit_cpu(q.cpu_s);
        answer(&q, fds, &reply);
        for (int i = 0; i < HELPER_N_FDS; i++)
            close(fds[i]);
        if (process_send(STDIN_FILENO, &reply, sizeof reply, NULL, 0, NULL) != ERR_NONE)
            return;
    }
}

int main(void)
{
    struct stat st;
    if (fstat(STDIN_FILENO, &st) || !S_ISSOCK(st.st_mode)) {
        fprintf(stderr, "fovea-decode is started by fovea and of no use alone\n");
        return 2;
    }
    struct err err = { 0 };
    struct helper_hello hello = { .magic = HELPER_MAGIC, .code = get_ready(&err) };
    snprintf(hello.msg, sizeof hello.msg, "%.*s", (int)sizeof hello.msg - 1, err.msg);
    if (process_send(STDIN_FILENO, &hello, sizeof hello, NULL, 0, NULL) == ERR_NONE &&
        hello.code == ERR_NONE)
        serve();
    _exit(0); /* atexit handlers of 100 libraries have nothing to save */
}
