#include "contender.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

double bench_cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec)
           + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

double bench_cpu_seconds_of(int pid) {
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
        bench_fail("the CPU clock of process %d cannot be read", pid);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

long bench_resident_kib_of(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "re");
    long pages = 0;
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) bench_fail("the memory of process %d cannot be read", pid);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

long bench_max_rss(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_maxrss;
}

void bench_die_with_parent(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(1);  // the parent died before the line above
}

uint64_t bench_raise_descriptor_limit(uint64_t wanted) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit higher = limit;
    higher.rlim_cur = higher.rlim_max = wanted > limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &higher) != 0) {
        higher = limit;
        higher.rlim_cur = higher.rlim_max;
        setrlimit(RLIMIT_NOFILE, &higher);
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

bool bench_has_ring(void) {
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) bench_fail("cannot read /proc/self/fd: %s", strerror(errno));
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(folder));) {
        char target[64] = {0};
        found = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1) > 0
                && strcmp(target, "anon_inode:[io_uring]") == 0;
    }
    closedir(folder);
    return found;
}

void bench_sleep_until(uint64_t point) {
    const struct timespec time = {(time_t)(point / 1000000000u), (long)(point % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {}
}

void bench_wait_for_end_of_input(void) {
    char bytes[64];
    ssize_t n;
    while ((n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR)) {}
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

void bench_sort(uint64_t *samples, size_t count) { qsort(samples, count, sizeof *samples, compare); }

void bench_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}
