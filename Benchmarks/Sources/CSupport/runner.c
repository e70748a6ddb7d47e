#include "runner.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

int bench_spawn(char *const arguments[], int core, struct bench_child *child) {
    int input[2], output[2], failure[2];
    if (pipe2(input, O_CLOEXEC) != 0) return errno;
    if (pipe2(output, O_CLOEXEC) != 0) {
        const int error = errno;
        close(input[0]), close(input[1]);
        return error;
    }
    if (pipe2(failure, O_CLOEXEC) != 0) {
        const int error = errno;
        close(input[0]), close(input[1]), close(output[0]), close(output[1]);
        return error;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(input[0], STDIN_FILENO);
        dup2(output[1], STDOUT_FILENO);
        cpu_set_t cores;
        CPU_ZERO(&cores);
        int error = 0;
        if (core >= 0) {
            CPU_SET((size_t)core, &cores);
            if (sched_setaffinity(0, sizeof cores, &cores) != 0) error = errno;
        }
        if (error == 0) {
            execv(arguments[0], arguments);
            error = errno;
        }
        if (write(failure[1], &error, sizeof error) < 0) {}
        _exit(127);
    }
    int error = pid < 0 ? errno : 0;
    close(input[0]), close(output[1]), close(failure[1]);
    int told = 0;
    // Ends without bytes when exec closed the pipe: the child runs.
    if (error == 0 && read(failure[0], &told, sizeof told) == sizeof told) {
        error = told;
        waitpid(pid, NULL, 0);
    }
    close(failure[0]);
    if (error != 0) {
        close(input[1]), close(output[0]);
        return error;
    }
    *child = (struct bench_child){.pid = pid, .input = input[1], .output = output[0]};
    return 0;
}

bool bench_reap(pid_t pid, struct bench_usage *usage) {
    struct rusage used;
    int status;
    if (wait4(pid, &status, WNOHANG, &used) != pid) return false;
    usage->status = status;
    usage->cpu_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
                         + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    usage->max_rss_kib = used.ru_maxrss;
    return true;
}

int bench_wait_readable(int descriptor, int milliseconds) {
    struct pollfd entry = {.fd = descriptor, .events = POLLIN};
    const int ready = poll(&entry, 1, milliseconds);
    return ready != 0;
}

double bench_machine_busy_seconds(void) {
    FILE *file = fopen("/proc/stat", "re");
    if (!file) return -1;
    unsigned long long user, nice, system, idle, waiting, hard, soft, stolen;
    const int fields = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
                              &waiting, &hard, &soft, &stolen);
    fclose(file);
    if (fields != 8) return -1;
    return (double)(user + nice + system + hard + soft) / (double)sysconf(_SC_CLK_TCK);
}

static double cpu_of(int who) {
    struct rusage used;
    getrusage(who, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
           + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

double bench_family_cpu_seconds(void) { return cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN); }
