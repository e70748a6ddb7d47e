// Runs a program on a kernel that refuses: system calls answered by a seccomp filter, and limits.
//
//   seccomp-launch [--answer CALL=ANSWER]... [--memlock BYTES] [--files COUNT] [--alarm SECONDS] PROGRAM [ARGUMENT...]
//
//   CALL      io_uring_setup, io_uring_enter or io_uring_register
//   ANSWER    ENOSYS (as an old kernel), EPERM (as container runtimes), EACCES (as some security modules), ENOMEM,
//             or KILL (the whole process, by SIGSYS)
//   --memlock RLIMIT_MEMLOCK, and root loses the capability that overrides it
//   --files   RLIMIT_NOFILE
//   --alarm   SIGALRM ends the program then, so nothing outlives a test that died
//
// Exit status 125: this launcher failed, and says how. The filter holds for all that the program starts.
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "seccomp-launch knows x86-64 and arm64"
#endif

enum { MOST_ANSWERS = 8 };

static void fail(const char *what) {
    fprintf(stderr, "seccomp-launch: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void refuse(const char *what, const char *value) {
    fprintf(stderr, "seccomp-launch: %s: %s\n", what, value);
    exit(125);
}

static unsigned call_number(const char *name, size_t length) {
    static const struct { const char *name; unsigned number; } calls[] = {
        {"io_uring_setup", SYS_io_uring_setup},
        {"io_uring_enter", SYS_io_uring_enter},
        {"io_uring_register", SYS_io_uring_register},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strlen(calls[i].name) == length && !strncmp(calls[i].name, name, length)) return calls[i].number;
    refuse("unknown call", name);
    return 0;
}

static unsigned filter_verdict(const char *name) {
    static const struct { const char *name; unsigned verdict; } verdicts[] = {
        {"ENOSYS", SECCOMP_RET_ERRNO | ENOSYS}, {"EPERM", SECCOMP_RET_ERRNO | EPERM},
        {"EACCES", SECCOMP_RET_ERRNO | EACCES}, {"ENOMEM", SECCOMP_RET_ERRNO | ENOMEM},
        {"KILL", SECCOMP_RET_KILL_PROCESS},
    };
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
        if (!strcmp(verdicts[i].name, name)) return verdicts[i].verdict;
    refuse("unknown answer", name);
    return 0;
}

// The answers as a BPF program: anything of another architecture, and every other call, goes through.
static void install(const unsigned *calls, const unsigned *verdicts, unsigned count) {
    struct sock_filter program[5 + 2 * MOST_ANSWERS];
    unsigned short length = 0;
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < count; i++) {
        program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdicts[i]);
    }
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

    struct sock_fprog filter = {.len = length, .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("PR_SET_NO_NEW_PRIVS");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) fail("PR_SET_SECCOMP");
}

static void limit(int resource, const char *value) {
    char *end;
    unsigned long long number = strtoull(value, &end, 10);
    if (*end || end == value) refuse("not a number", value);
    struct rlimit bounds = {.rlim_cur = number, .rlim_max = number};
    if (setrlimit(resource, &bounds)) fail("setrlimit");
}

int main(int count, char **words) {
    unsigned calls[MOST_ANSWERS], verdicts[MOST_ANSWERS], answers = 0;
    int i = 1;
    for (; i < count && !strncmp(words[i], "--", 2); i += 2) {
        if (i + 1 >= count) refuse("needs a value", words[i]);
        const char *value = words[i + 1];
        if (!strcmp(words[i], "--answer")) {
            const char *equals = strchr(value, '=');
            if (!equals || answers == MOST_ANSWERS) refuse("not CALL=ANSWER, or too many", value);
            calls[answers] = call_number(value, (size_t)(equals - value));
            verdicts[answers++] = filter_verdict(equals + 1);
        } else if (!strcmp(words[i], "--memlock")) {
            limit(RLIMIT_MEMLOCK, value);
            // EPERM: no root, so no such capability to lose. Root gets back at exec what its bounding set holds.
            if (prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) && errno != EPERM) fail("PR_CAPBSET_DROP");
        } else if (!strcmp(words[i], "--files")) {
            limit(RLIMIT_NOFILE, value);
        } else if (!strcmp(words[i], "--alarm")) {
            alarm((unsigned)atoi(value));
        } else {
            refuse("unknown option", words[i]);
        }
    }
    if (i >= count) refuse("no program given", words[0]);
    if (answers) install(calls, verdicts, answers);
    execv(words[i], words + i);
    fail(words[i]);
}
