/* `docker run --init`: pid 1 of the container. Forwards signals, reaps orphans, exits as its child did. */
#include "monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void __attribute__((noreturn)) become_command(char **command, const sigset_t *before) {
    /* A process group of its own, in the terminal's foreground, so that Ctrl-C reaches the command once. */
    setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(0, getpid());
    signal(SIGTTOU, SIG_DFL);
    sigprocmask(SIG_SETMASK, before, NULL);
    execvp(command[0], command);
    dprintf(2, "[FATAL] exec %s failed: %s\n", command[0], strerror(errno));
    _exit(errno == ENOENT || errno == ENOTDIR ? 127 : 126);
}

int init_main(char **command) {
    sigset_t forwarded, before;
    siginfo_t info;
    if (command[0] == NULL) {
        dprintf(2, "usage: docker-init [--] command [argument...]\n");
        return 1;
    }
    sigfillset(&forwarded);
    const int own_faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < sizeof own_faults / sizeof *own_faults; i++) sigdelset(&forwarded, own_faults[i]);
    sigprocmask(SIG_BLOCK, &forwarded, &before);
    pid_t child = fork();
    if (child < 0) {
        dprintf(2, "[FATAL] fork failed: %s\n", strerror(errno));
        return 1;
    }
    if (child == 0) become_command(command, &before);
    for (;;) {
        int got = sigwaitinfo(&forwarded, &info), status, exit_code = -1;
        if (got < 0) continue;
        if (got != SIGCHLD) {
            kill(child, got);
            continue;
        }
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            if (pid == child) exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (exit_code >= 0) return exit_code;
    }
}
