// Child processes for the runner: started on chosen cores, with pipes, and waited for with their
// resource use. In C because only async-signal-safe calls are allowed between fork and exec.
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include <stdbool.h>
#include <sys/types.h>

/// A started process: write (or close) `input`, read `output`.
struct bench_child {
    pid_t pid;
    int input;
    int output;
};

/// What a process has used, told when it was reaped.
struct bench_usage {
    int status;  ///< as of wait(2)
    double cpu_seconds;
    long max_rss_kib;
};

/// Starts `arguments` (the first is a path, the last is null). `core` below 0 leaves it free on all cores.
/// Returns 0 or an errno. The child dies with the thread that calls.
int bench_spawn(char *const arguments[], int core, struct bench_child *child);

/// Reaps the child if it has ended. Returns false while it runs.
bool bench_reap(pid_t pid, struct bench_usage *usage);

/// Waits until the descriptor has bytes (1), has ended or failed (also 1: read tells), or the time is over (0).
int bench_wait_readable(int descriptor, int milliseconds);

/// CPU seconds that all of the machine's cores were busy since it started (/proc/stat), or below 0 if unknown.
double bench_machine_busy_seconds(void);

/// CPU seconds of this process and of its reaped children.
double bench_family_cpu_seconds(void);

#endif
