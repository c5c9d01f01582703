/* Files that are read whole or refused, and the thread pool. */
#include "tap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/clock.h"
#include "sys/count.h"
#include "sys/cpu.h"
#include "sys/file.h"
#include "sys/pool.h"
#include "sys/self.h"

static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static void replace_then_read(void)
{
    struct err e = { 0 };
    uint8_t *p = NULL;
    size_t n = 0;
    struct file_info fi = { 0 };
    const char *path = in_dir("a.bin");
    CHECK(file_replace(path, "one", 3, &e) == ERR_NONE);
    CHECK(file_replace(path, "three", 5, &e) == ERR_NONE);
    REQUIRE(file_read(path, 5, &p, &n, &fi, &e) == ERR_NONE);
    CHECK(n == 5 && !memcmp(p, "three", 6) && fi.size_bytes == 5 && fi.inode && fi.mtime_ns);
    free(p);
    CHECK(file_read(path, 4, &p, &n, NULL, &e) == ERR_LIMIT && !p);
    CHECK(strstr(e.msg, "a.bin") && strstr(e.msg, "limit is 4"));
    struct file_map m;
    REQUIRE(file_map_open(&m, path, NULL) == ERR_NONE);
    CHECK(m.size == 5 && !memcmp(m.data, "three", 5));
    file_map_close(&m);
}

static void a_draft_is_gone_on_with(void)
{
    struct file_draft d;
    struct err e = { 0 };
    char path[128], tmp[128];
    uint64_t n;
    uint8_t *data;
    size_t len;
    snprintf(path, sizeof path, "%s", in_dir("resumed"));
    snprintf(tmp, sizeof tmp, "%s", in_dir(".resumed.part"));
    REQUIRE(file_draft_resume(&d, path, tmp, &n, &e) == ERR_NONE && n == 0);
    CHECK(file_draft_write(&d, 0, "abc", 3, &e) == ERR_NONE);
    file_draft_close(&d);
    CHECK(!file_exists(path) && file_exists(tmp));
    REQUIRE(file_draft_resume(&d, path, tmp, &n, &e) == ERR_NONE && n == 3);
    CHECK(file_draft_write(&d, 3, "def", 3, &e) == ERR_NONE);
    CHECK(file_draft_commit(&d, &e) == ERR_NONE);
    file_draft_close(&d);
    CHECK(!file_exists(tmp));
    REQUIRE(file_read(path, 100, &data, &len, NULL, &e) == ERR_NONE);
    CHECK_STR((char *)data, "abcdef");
    free(data);
    REQUIRE(file_draft_resume(&d, path, path, &n, &e) == ERR_NONE && n == 6);
    CHECK(file_draft_truncate(&d, &e) == ERR_NONE);
    file_draft_close(&d);
    REQUIRE(file_read(path, 100, &data, &len, NULL, &e) == ERR_NONE && len == 0);
    free(data);
    CHECK(file_draft_resume(&d, path, in_dir(""), &n, &e) != ERR_NONE && d.fd == -1);
}

static void a_draft_appears_whole_or_not_at_all(void)
{
    struct file_draft d;
    struct err e = { 0 };
    const char *path = in_dir("draft");
    REQUIRE(file_draft_open(&d, path, &e) == ERR_NONE);
    CHECK(file_draft_write(&d, 3, "def", 3, &e) == ERR_NONE);
    CHECK(file_draft_write(&d, 0, "abc", 3, &e) == ERR_NONE);
    CHECK(file_exists(d.tmp) && !file_exists(path));
    file_draft_close(&d);
    CHECK(!file_exists(d.tmp) && !file_exists(path));

    REQUIRE(file_draft_open(&d, path, &e) == ERR_NONE);
    CHECK(file_draft_write(&d, 0, "xyz", 3, &e) == ERR_NONE);
    CHECK(file_draft_commit(&d, &e) == ERR_NONE);
    CHECK(!file_exists(d.tmp) && file_exists(path));
    file_draft_close(&d);
    CHECK(file_exists(path));
    CHECK(file_draft_open(&d, in_dir("absent/draft"), &e) == ERR_NOT_FOUND && d.fd == -1);
}

static void only_regular_files(void)
{
    uint8_t *p = NULL;
    size_t n = 0;
    const char *fifo = in_dir("fifo");
    REQUIRE(mkfifo(fifo, 0600) == 0);
    CHECK(file_read(fifo, 10, &p, &n, NULL, NULL) == ERR_UNSUPPORTED); /* and it returned at all */
    CHECK(file_read("/dev/zero", 10, &p, &n, NULL, NULL) == ERR_UNSUPPORTED);
    CHECK(file_read(scratch, 10, &p, &n, NULL, NULL) == ERR_UNSUPPORTED);
    CHECK(file_read(in_dir("absent"), 10, &p, &n, NULL, NULL) == ERR_NOT_FOUND);
    CHECK(file_read(in_dir("absent/below"), 10, &p, &n, NULL, NULL) == ERR_NOT_FOUND);
    unlink(in_dir("fifo"));
}

static void folders_are_made(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/x/y//z/", scratch);
    CHECK(file_make_dirs(path, NULL) == ERR_NONE);
    CHECK(file_make_dirs(path, NULL) == ERR_NONE);
    struct stat st;
    CHECK(!stat(path, &st) && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700);
    CHECK(file_replace(in_dir("file"), "", 0, NULL) == ERR_NONE);
    struct err e = { 0 };
    CHECK(file_make_dirs(in_dir("file/below"), &e) == ERR_IO || e.code == ERR_NOT_FOUND);
}

static atomic_int n_ran;

static void count(void *arg, unsigned worker)
{
    atomic_fetch_add(&n_ran, worker < 3 ? *(int *)arg : 1000000);
}

static void pool_runs_everything(void)
{
    struct pool *p = NULL;
    int one = 1;
    REQUIRE(pool_create(&p, 3, 4, NULL) == ERR_NONE);
    CHECK(pool_n_threads(p) == 3);
    for (int i = 0; i < 1000; i++)
        pool_submit(p, count, &one);
    pool_wait_idle(p);
    CHECK(n_ran == 1000);
    for (int i = 0; i < 4; i++)
        pool_submit(p, count, &one);
    pool_destroy(p);
    CHECK(n_ran == 1004);
    pool_destroy(NULL);
}

static void block(void *arg, unsigned worker)
{
    (void)worker;
    while (!atomic_load((atomic_int *)arg))
        usleep(100);
}

static void a_full_queue_says_no(void)
{
    struct pool *p = NULL;
    atomic_int go = 0;
    REQUIRE(pool_create(&p, 1, 2, NULL) == ERR_NONE);
    pool_submit(p, block, &go);
    int n_taken = 0;
    for (int i = 0; i < 10; i++)
        n_taken += pool_try_submit(p, block, &go);
    CHECK(n_taken >= 1 && n_taken <= 3);
    go = 1;
    pool_destroy(p);
}

static void the_machine_is_described(void)
{
    char name[128];
    cpu_name(name);
    CHECK(cpu_count() >= 1 && name[0] && cpu_peak_rss(0) > 100000);
    int64_t t = clock_mono_ns();
    CHECK(clock_mono_ns() >= t && clock_ms_since(t) < 10000);
    CHECK(file_self_dir(name, sizeof name) && name[0] == '/');
}

static void time_all(void *arg, unsigned worker)
{
    struct count_times *t = arg;
    (void)worker;
    for (int ms = 1; ms <= 1000; ms++)
        count_time(t, ms * 1000000ll);
}

static void no_count_is_lost(void)
{
    static struct count_times t;
    struct pool *p;
    REQUIRE(pool_create(&p, 4, 8, NULL) == ERR_NONE);
    for (int i = 0; i < 8; i++)
        pool_submit(p, time_all, &t);
    pool_destroy(p);
    CHECK(count_read(&t.in[0]) == 8); /* 1 ms is within "at most 1 ms" */
    CHECK(count_read(&t.in[1]) == 8); /* 2 ms; 3 is more than 2.5 */
    CHECK(count_read(&t.in[9]) == 8 * 500);
    CHECK(!count_read(&t.in[10]) && !count_read(&t.in[COUNT_BOUNDS]));
    CHECK(count_read(&t.sum_ns) == 8 * 500500 * 1000000ull);
    count_time(&t, 31 * 1000000000ll);
    CHECK(count_read(&t.in[COUNT_BOUNDS]) == 1);
}

static void the_process_knows_what_it_takes(void)
{
    struct self_usage a, b;
    self_usage(&a);
    int fd = dup(1);
    self_usage(&b);
    close(fd);
    CHECK(a.resident_bytes > 100000 && a.n_fds >= 3 && b.n_fds == a.n_fds + 1);
    CHECK(a.max_fds > a.n_fds && a.cpu_s > 0 && b.cpu_s >= a.cpu_s);
}

static const struct tap_case cases[] = {
    CASE(replace_then_read),
    CASE(a_draft_is_gone_on_with),
    CASE(a_draft_appears_whole_or_not_at_all),
    CASE(only_regular_files),
    CASE(folders_are_made),
    CASE(pool_runs_everything),
    CASE(a_full_queue_says_no),
    CASE(the_machine_is_described),
    CASE(no_count_is_lost),
    CASE(the_process_knows_what_it_takes),
};

int main(void)
{
    scratch_make();
    int rc = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
