/*
 * A process put into a running container, as an OCI runtime's exec does it, for the plain case: no user namespace, no
 * security label, no terminal. All else is the OCI runtime's (src/runtime/entry.ts decides).
 *
 * The child joins cgroups and namespaces, closes all that is the host's, and only then touches what the container can
 * change: its directories, its /dev, its program. This executable runs from a sealed copy in memory, is static and not
 * dumpable, so that nothing of it can be reached by /proc/PID/exe or /proc/PID/fd from inside (CVE-2019-5736,
 * CVE-2024-21626).
 */
#include "monitor.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { REPORT = 3, MOST_INSTRUCTIONS = 4096 };

static int report;

/* In the child: `what: why` goes up the pipe; what the daemon makes of it is in src/runtime/failures.ts. */
static void tell(const char *what, const char *why) { dprintf(report, "%s: %c%s", what, tolower((unsigned char)why[0]), why + 1); }

static void __attribute__((noreturn)) refuse(const char *what, const char *why) {
    tell(what, why);
    _exit(1);
}

static void need(bool done, const char *what) {
    if (!done) refuse(what, strerror(errno));
}

/* /proc/self/NAME or a control file, before the container's /proc and /sys are in sight. */
static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
    close(fd);
}

static void join_cgroups(char **directories) {
    char path[4200];
    for (; *directories != NULL; directories++) {
        need(snprintf(path, sizeof path, "%s/cgroup.procs", *directories) < (int)sizeof path, *directories);
        put(path, "0");
    }
}

static void set_limits(char **limits) {
    for (; *limits != NULL; limits++) {
        int resource;
        unsigned long long soft, hard;
        need(sscanf(*limits, "%d %llu %llu", &resource, &soft, &hard) == 3, *limits);
        struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
        need(setrlimit(resource, &limit) == 0, "setrlimit");
    }
}

/* The directory must be one that the container's root leads to: by a link of /proc it could be any. */
static void change_directory(const char *path) {
    char now[4096];
    if (chdir(path) < 0) {
        char what[4300];
        snprintf(what, sizeof what, "chdir to cwd (\"%s\") set in config.json failed", path);
        refuse(what, strerror(errno));
    }
    long length = syscall(SYS_getcwd, now, sizeof now);
    if (length <= 0 || now[0] != '/') refuse(path, "the working directory is outside of the container's root");
}

/* Whoever owns a device may change its mode: the host's /dev/null is not for the container, as long as it has its own. */
static void take_own_null(void) {
    struct stat found;
    int fd = open("/dev/null", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &found) == 0 && S_ISCHR(found.st_mode) && found.st_rdev == makedev(1, 3) && fcntl(fd, F_SETFL, 0) == 0)
        need(dup2(fd, 0) == 0, "dup2");
    close(fd);
}

static void set_capabilities(uint64_t effective) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)effective, .permitted = (uint32_t)effective},
        {.effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(effective >> 32)},
    };
    need(syscall(SYS_capset, &header, data) == 0, "capset");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) need(false, "clear ambient capabilities");
}

static void filter_calls(const struct entry *entry) {
    const struct sock_fprog program = {.len = entry->instructions, .filter = entry->filter};
    if (entry->instructions == 0) return;
    /* As crun: containers get the mitigation of speculation that they ask for, not all of them. */
    need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0, "seccomp");
}

/* User, groups, capabilities and filter. Without no_new_privileges the filter takes a capability that goes after it. */
static void change_identity(const struct entry *entry) {
    need(setgroups(entry->group_count, entry->groups) == 0, "setgroups");
    for (int bit = 0; prctl(PR_CAPBSET_READ, bit, 0, 0, 0) >= 0; bit++)
        if (!(entry->bounding >> bit & 1)) need(prctl(PR_CAPBSET_DROP, bit, 0, 0, 0) == 0, "drop a capability");
    need(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, "keep capabilities");
    need(setresgid(entry->gid, entry->gid, entry->gid) == 0, "setresgid");
    if (!entry->no_new_privileges) filter_calls(entry);
    need(setresuid(entry->uid, entry->uid, entry->uid) == 0, "setresuid");
    set_capabilities(entry->effective);
    if (!entry->no_new_privileges) return;
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privileges");
    filter_calls(entry);
}

static const char *variable(char **environment, const char *name) {
    size_t length = strlen(name);
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=') return *environment + length + 1;
    return "";
}

/* Becomes the program, and returns when there is none. One that is there and can't run has started and failed, as with
 * runc: its interpreter may be what is missing. Sets errno. */
static void try(const struct entry *entry, const char *path) {
    struct stat found;
    execve(path, entry->args, entry->env);
    int why = errno;
    bool is_there = stat(path, &found) == 0;
    errno = why == EACCES && is_there && S_ISDIR(found.st_mode) ? EISDIR : why;
    if (why != ENOEXEC && !(why == ENOENT && is_there)) return;
    dprintf(2, "exec %s: %s\n", path, why == ENOENT ? "no such file or directory" : "exec format error");
    close(report);
    _exit(1);
}

/* By the PATH of the container's process, where only absolute directories count, and without a shell for what is no program. */
static void __attribute__((noreturn)) become(const struct entry *entry) {
    static const char what[] = "exec: \"\"";
    const char *command = entry->args[0], *end;
    char path[4096], missing[4200];
    if (strchr(command, '/') != NULL) {
        try(entry, command);
        snprintf(missing, sizeof missing, "%s: stat %.4000s", what, command);
        refuse(errno == ENOENT ? missing : what, strerror(errno));
    }
    for (const char *at = variable(entry->env, "PATH"); *at != 0 && *command != 0; at = *end == 0 ? end : end + 1) {
        end = at + strcspn(at, ":");
        if (*at != '/' || snprintf(path, sizeof path, "%.*s/%s", (int)(end - at), at, command) >= (int)sizeof path) continue;
        try(entry, path);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES && errno != EISDIR && errno != ELOOP) refuse(what, strerror(errno));
    }
    refuse(what, "executable file not found in $PATH");
}

static void __attribute__((noreturn)) enter(const struct entry *entry, int pidfd, const int theirs[3], bool own_stdin) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    need(setsid() >= 0, "setsid");
    for (int fd = 0; fd < 3; fd++) need(dup2(theirs[fd], fd) == fd, "dup2");
    put("/proc/self/oom_score_adj", entry->oom_score);
    join_cgroups(entry->cgroups);
    need(setns(pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) == 0, "setns");
    if (report != REPORT) need(dup3(report, REPORT, O_CLOEXEC) == REPORT, "dup3");
    report = REPORT;
    need(syscall(SYS_close_range, REPORT + 1, ~0u, 0) == 0, "close_range");
    set_limits(entry->limits);
    change_directory(entry->cwd);
    if (!own_stdin) take_own_null();
    for (int fd = own_stdin ? 0 : 1; fd < 3; fd++) need(fchown(fd, entry->uid, entry->gid) == 0, "fchown");
    change_identity(entry);
    umask(entry->umask);
    become(entry);
}

static bool same_user_namespace(pid_t pid) {
    char path[64];
    struct stat theirs, ours;
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    return stat(path, &theirs) == 0 && stat("/proc/self/ns/user", &ours) == 0 &&
           theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* The program that the OCI runtime has compiled for the container. Sets errno. */
static bool read_filter(struct entry *entry) {
    static struct sock_filter filter[MOST_INSTRUCTIONS + 1];
    if (entry->seccomp == NULL) return true;
    int fd = open(entry->seccomp, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t length = read(fd, filter, sizeof filter);
    close(fd);
    if (length <= 0 || length % (ssize_t)sizeof *filter != 0 || length == sizeof filter) {
        if (length >= 0) errno = EINVAL;
        return false;
    }
    entry->filter = filter;
    entry->instructions = (unsigned short)(length / (ssize_t)sizeof *filter);
    return true;
}

/* Before there is a child, in its stead. */
static pid_t tell_early(const char *what, const char *why) {
    tell(what, why);
    return 0;
}

static pid_t launch(struct entry *entry, const int theirs[3], bool own_stdin) {
    /* The start ticks tell that the pid, which the descriptor holds now, is the container's still. */
    int pidfd = (int)syscall(SYS_pidfd_open, entry->pid, 0);
    if (pidfd < 0 || start_ticks(entry->pid) != entry->start_ticks) return tell_early("enter the container", "it is not running");
    if (!same_user_namespace(entry->pid)) return tell_early("enter the container", "it has a user namespace");
    if (!read_filter(entry)) return tell_early("read the container's seccomp program", strerror(errno));
    if (setns(pidfd, CLONE_NEWPID) < 0) return tell_early("enter the container", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) enter(entry, pidfd, theirs, own_stdin);
    close(pidfd);
    return pid < 0 ? tell_early("fork into the container", strerror(errno)) : pid;
}

pid_t enter_container(struct entry *entry, const int theirs[3], bool own_stdin, int *outcome) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    report = ends[1];
    pid_t pid = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? launch(entry, theirs, own_stdin) : tell_early("prctl", strerror(errno));
    close(ends[1]);
    *outcome = ends[0];
    return pid;
}
