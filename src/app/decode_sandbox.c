/* What a decoder that was taken over can still do: compute, and write pixels. No file, no socket,
 * no program, no other process. A denied call fails with EPERM instead of killing: libraries probe
 * for files (the number of CPUs, the locale) and go on without, and a kill would hide which file
 * broke which decoder. */
#include "app/decode.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_ADDRESS_SPACE ((rlim_t)8 << 30) /* 400 megapixels as 16-bit RGB, thrice */

static const int allowed[] = {
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mincore),
    /* the socket, the two memory files, standard error */
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    /* threads */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(gettid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(membarrier),
    SCMP_SYS(restart_syscall),
    /* about itself, and the time */
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
};

/* Calls that are harmless with some arguments only. */
static int add_conditional_rules(scmp_filter_ctx f)
{
    const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                              thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD),
                              own_pid = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0),
                              self = SCMP_A0(SCMP_CMP_EQ, 0, 0),
                              cpu = SCMP_A1(SCMP_CMP_EQ, RLIMIT_CPU, 0);
    int e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_exec);
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
    if (!e) /* abort() */
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, own_pid);
    if (!e) /* setrlimit() in glibc */
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, self, cpu);
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, thread);
    /* Its flags lie in memory, where a filter cannot look; glibc then falls back to clone. */
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return e;
}

static int add_rules(scmp_filter_ctx f)
{
    int e = 0;
    for (size_t i = 0; !e && i < sizeof allowed / sizeof *allowed; i++)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
    return e ? e : add_conditional_rules(f);
}

static enum err_code deny_calls(struct err *err)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM)); /* sets no_new_privs as it loads */
    if (!f)
        return err_set(err, ERR_NOMEM, "seccomp filter");
    /* All threads: one that is left out shares the memory that a decoder can write. */
    int e = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!e)
        e = add_rules(f);
    if (!e)
        e = seccomp_load(f);
    seccomp_release(f);
    return e ? err_set(err, ERR_IO, "seccomp filter: %s", strerror(-e)) : ERR_NONE;
}

static void limit(int what, rlim_t n)
{
    struct rlimit r = { n, n };
    setrlimit(what, &r); /* the filter is what holds; these bound accidents */
}

enum err_code decode_sandbox(struct err *err)
{
    prctl(PR_SET_DUMPABLE, 0); /* photos do not belong into core files */
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 16);
    /* A sanitizer's shadow is terabytes of address space, and its report may go to a file. */
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_AS, MAX_ADDRESS_SPACE);
#endif
    return deny_calls(err);
}

/* Processor time only grows, so the bound moves with each job; the hard bound stays open for that.
 */
void decode_limit_cpu(uint32_t seconds)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used))
        return;
    rlim_t so_far = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
    struct rlimit r = { so_far + seconds + 1, RLIM_INFINITY };
    setrlimit(RLIMIT_CPU, &r);
}
