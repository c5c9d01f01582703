/* The client of the decode helper against helpers that crash, hang and lie.
 *
 * This program is also the helper: started with a socket as its standard input it does what the
 * first byte of the file says. */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/helper.h"
#include "image/helper_proto.h"
#include "sys/clock.h"
#include "sys/memfd.h"
#include "sys/process.h"

/* The good case: 2 x 1 pixels of the file's second byte. */
static void be_good(const struct helper_request *q, const int fds[], struct helper_reply *r)
{
    uint8_t file[2] = { 0 };
    if (memfd_read(fds[HELPER_FD_IN], file, q->size_bytes < 2 ? q->size_bytes : 2, NULL))
        _exit(9);
    uint8_t *out = mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fds[HELPER_FD_OUT], 0);
    if (out == MAP_FAILED)
        _exit(9);
    memset(out, file[1], 6);
    r->width_px = r->full_width_px = 2;
    r->height_px = r->full_height_px = 1;
}

static void answer_as_told(char what, const struct helper_request *q, const int fds[])
{
    struct helper_reply r = { .number = q->number };
    be_good(q, fds, &r);
    switch (what) {
    case 'x': _exit(3);
    case 's': signal(SIGSEGV, SIG_DFL), raise(SIGSEGV); break;
    case 'h': sleep(1000); break;
    case 'w': r.full_width_px = r.width_px = r.full_height_px = r.height_px = UINT32_MAX; break;
    case 'p': r.full_width_px = r.width_px = 100, r.full_height_px = r.height_px = 11; break;
    case 'F': r.full_width_px = 1; break; /* less than the small picture's */
    case 'N': r.margin.left = (float)NAN; break;
    case 'M': r.margin.top = r.margin.bottom = 0.5f; break; /* nothing is left */
    case '0': r.width_px = 0; break;
    case 'i': r.code = ERR_INVALID, memset(r.msg, 'm', sizeof r.msg); break; /* no NUL */
    case 'c': r.code = 12345, memcpy(r.msg, "odd", 4); break;
    default: break;
    }
    bool is_short = what == 'k', has_fds = what == 'f';
    process_send(0, &r, is_short ? 5 : sizeof r, fds, has_fds ? HELPER_N_FDS : 0, NULL);
    if (what == 't') /* twice: the second would be taken for the answer to the next file */
        process_send(0, &r, sizeof r, NULL, 0, NULL);
    if (what == 'd')
        _exit(0);
}

static int be_helper(void)
{
    struct helper_hello hello = { .magic = HELPER_MAGIC };
    struct helper_request q;
    int fds[HELPER_N_FDS];
    char what;
    process_send(0, &hello, sizeof hello, NULL, 0, NULL);
    while (process_recv(0, &q, sizeof q, fds, HELPER_N_FDS, -1, NULL) == ERR_NONE) {
        if (memfd_read(fds[HELPER_FD_IN], &what, 1, NULL))
            return 8;
        answer_as_told(what, &q, fds);
        for (int i = 0; i < HELPER_N_FDS; i++)
            close(fds[i]);
    }
    return 0;
}

static char self[4096];
static struct image_helper *helper;

static void begin(int timeout_ms, int idle_ms, unsigned n)
{
    const struct image_helper_opts opts = {
        .path = self, .n_helpers = n, .timeout_ms = timeout_ms, .idle_ms = idle_ms
    };
    if (image_helper_create(&helper, &opts, NULL) != ERR_NONE)
        abort();
}

static enum err_code decode(const char *file, struct err *err)
{
    const struct image_decode_opts opts = { .max_bytes = 100, .max_pixels = 1000 };
    struct image im = { 0 };
    *err = (struct err){ 0 };
    enum err_code rc = image_helper_decode(helper, IMAGE_PNG, (const uint8_t *)file, strlen(file),
                                           &opts, &im, err);
    if (rc == ERR_NONE)
        CHECK(im.width_px == 2 && im.height_px == 1 && im.px[0] == file[1] && im.px[5] == file[1]);
    else
        CHECK(!im.px);
    free(im.px);
    return rc;
}

static int n_children(void)
{
    char line[4096] = "";
    FILE *f = fopen("/proc/thread-self/children", "r");
    if (!f)
        return -1;
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    fclose(f);
    int n = 0;
    for (char *p = line; *p; p++)
        n += *p == ' ';
    return n;
}

static int n_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void one_helper_serves_many_files(void)
{
    struct err e;
    begin(0, 0, 0);
    CHECK(n_children() == 0);
    for (int i = 0; i < 20; i++)
        CHECK(decode(i % 2 ? "ga" : "gb", &e) == ERR_NONE);
    CHECK(n_children() == 1);
    image_helper_destroy(helper);
    CHECK(n_children() == 0);
}

static void a_crash_costs_its_file_only(void)
{
    struct err e;
    begin(0, 0, 1);
    CHECK(decode("s.", &e) == ERR_INTERNAL && strstr(e.msg, "signal 11"));
    CHECK(decode("ga", &e) == ERR_NONE);
    CHECK(decode("x.", &e) == ERR_INTERNAL && strstr(e.msg, "status 3"));
    CHECK(decode("ga", &e) == ERR_NONE);
    CHECK(decode("da", &e) == ERR_NONE); /* ended after it answered */
    usleep(50000);
    CHECK(decode("ga", &e) == ERR_NONE);
    image_helper_destroy(helper);
}

static void a_hang_ends_in_time(void)
{
    struct err e;
    begin(200, 0, 1);
    int64_t t = clock_mono_ns();
    CHECK(decode("h.", &e) == ERR_LIMIT && strstr(e.msg, "200 ms"));
    CHECK(clock_ms_since(t) < 10000);
    CHECK(n_children() == 0);
    CHECK(decode("ga", &e) == ERR_NONE);
    image_helper_destroy(helper);
}

static void lies_are_not_believed(void)
{
    struct err e;
    begin(0, 0, 1);
    static const char *const lies[] = { "w.", "p.", "0.", "F.", "N.", "M.", "k.", "f." };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        CHECK(decode(lies[i], &e) == ERR_INTERNAL && strstr(e.msg, "protocol"));
        CHECK(decode("ga", &e) == ERR_NONE);
    }
    CHECK(decode("ta", &e) == ERR_NONE);
    decode("gb", &e); /* never with the second answer to "ta" */
    CHECK(decode("i.", &e) == ERR_INVALID && strlen(e.msg) < 300);
    CHECK(decode("c.", &e) == ERR_INTERNAL);
    image_helper_destroy(helper);
}

static void an_idle_helper_is_let_go(void)
{
    struct err e;
    begin(0, 100, 2);
    CHECK(decode("ga", &e) == ERR_NONE && n_children() == 1);
    for (int i = 0; i < 100 && n_children(); i++)
        usleep(50000);
    CHECK(n_children() == 0);
    CHECK(decode("ga", &e) == ERR_NONE);
    image_helper_destroy(helper);
}

static atomic_int n_good;

static void *decode_some(void *arg)
{
    struct err e;
    for (int i = 0; i < 20; i++)
        n_good += decode(i == 7 && arg ? "s." : "ga", &e) == ERR_NONE;
    return NULL;
}

static void threads_share_the_helpers(void)
{
    pthread_t t[6];
    n_good = 0;
    begin(0, 0, 3);
    int fds_before = n_fds();
    for (size_t i = 0; i < 6; i++)
        REQUIRE(!pthread_create(&t[i], NULL, decode_some, i == 3 ? t : NULL));
    for (size_t i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
    CHECK(n_good == 119);
    CHECK(n_fds() <= fds_before + 3); /* a socket each */
    image_helper_destroy(helper);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0); /* no child, dead or alive, of any thread */
}

static void what_cannot_start_says_so(void)
{
    struct err e;
    struct image_helper_opts opts = { .path = "/nonexistent/fovea-decode" };
    REQUIRE(image_helper_create(&helper, &opts, NULL) == ERR_NONE);
    CHECK(decode("ga", &e) == ERR_NOT_FOUND && strstr(e.msg, "/nonexistent/fovea-decode"));
    image_helper_destroy(helper);
    opts.path = "/bin/true";
    REQUIRE(image_helper_create(&helper, &opts, NULL) == ERR_NONE);
    CHECK(decode("ga", &e) == ERR_INTERNAL && strstr(e.msg, "status 0 as it started"));
    image_helper_destroy(helper);
    image_helper_destroy(NULL);
}

static const struct tap_case cases[] = {
    CASE(one_helper_serves_many_files), CASE(a_crash_costs_its_file_only),
    CASE(a_hang_ends_in_time),          CASE(lies_are_not_believed),
    CASE(an_idle_helper_is_let_go),     CASE(threads_share_the_helpers),
    CASE(what_cannot_start_says_so),
};

int main(void)
{
    struct stat st;
    if (!fstat(0, &st) && S_ISSOCK(st.st_mode))
        return be_helper();
    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
        return perror("/proc/self/exe"), 1;
    return tap_run(cases, sizeof cases / sizeof *cases);
}
