/* Starts the OCI runtime with the container's stdio, and takes the terminal that it sends. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static int listen_console(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "console.sock"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(address.sun_path);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)) close_fd(&fd);
    return fd;
}

/* crun's exec gives the container's user all that it was given as stdio, and whoever owns the host's /dev/null may change
 * its mode for everybody. */
void take_back_null(void) {
    struct stat found;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &found) == 0 && S_ISCHR(found.st_mode) && found.st_uid != 0 && fchown(fd, 0, 0) == 0) fchmod(fd, 0666);
    close_fd(&fd);
}

/* The monitor's own is low, and crun leaves what it finds to the processes that it adds to a container. */
static void drop_oom_score(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "0", 1) < 0) { /* a system that forbids it: it stays as it is */
    }
    if (fd >= 0) close(fd);
}

/* In the child: stdio, default signals, exec. Only async-signal-safe calls. */
static void __attribute__((noreturn)) become_runtime(char **command, const int theirs[3]) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int signal_number = 1; signal_number < NSIG; signal_number++) signal(signal_number, SIG_DFL);
    drop_oom_score();
    if (dup2(theirs[0], 0) >= 0 && dup2(theirs[1], 1) >= 0 && dup2(theirs[2], 2) >= 0) execvp(command[0], command);
    const char *why = strerror(errno);
    if (write(2, command[0], strlen(command[0])) < 0 || write(2, ": ", 2) < 0 || write(2, why, strlen(why)) < 0) _exit(126);
    _exit(127);
}

pid_t start_runtime(const struct options *options, struct stdio *stdio) {
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    pid_t pid = -1;
    *stdio = (struct stdio){.in = -1, .out = {-1, -1}, .runtime_errors = -1, .console_listener = -1, .outcome = -1};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe2(err, O_CLOEXEC) < 0) goto out;
    if (options->tty) {
        stdio->console_listener = listen_console();
        if (stdio->console_listener < 0) goto out;
    } else {
        if (pipe2(out, O_CLOEXEC) < 0) goto out;
        if (options->open_stdin && pipe2(in, O_CLOEXEC) < 0) goto out;
    }
    const int pipes[] = {in[0], out[1], err[1]};
    for (size_t i = 0; options->uid != 0 && i < sizeof pipes / sizeof *pipes; i++)
        if (pipes[i] >= 0 && fchown(pipes[i], options->uid, options->gid) < 0) goto out;
    const int theirs[] = {in[0] < 0 ? null : in[0], out[1] < 0 ? null : out[1], err[1]};
    if (options->entry != NULL) pid = enter_container(options->entry, theirs, in[0] >= 0, &stdio->outcome);
    else if ((pid = fork()) == 0) become_runtime(options->command, theirs);
out:
    close_fd(&null);
    close_fd(&in[0]);
    close_fd(&out[1]);
    close_fd(&err[1]);
    if (pid < 0) {
        close_fd(&in[1]);
        close_fd(&out[0]);
        close_fd(&err[0]);
        close_fd(&stdio->console_listener);
        return -1;
    }
    if (in[1] >= 0) fcntl(in[1], F_SETFL, O_NONBLOCK);
    if (out[0] >= 0) fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    stdio->in = in[1];
    stdio->out[STDOUT] = out[0];
    if (options->tty) stdio->runtime_errors = err[0];
    else stdio->out[STDERR] = err[0];
    return pid;
}

bool set_size(int terminal, unsigned short width, unsigned short height) {
    struct winsize size = {.ws_col = width, .ws_row = height};
    return ioctl(terminal, TIOCSWINSZ, &size) == 0;
}

bool receive_console(const struct options *options, struct stdio *stdio) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char name[256];
    struct iovec data = {.iov_base = name, .iov_len = sizeof name};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    int master = -1;
    int connection = accept4(stdio->console_listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) return false;
    if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) >= 0) {
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header != NULL && header->cmsg_type == SCM_RIGHTS) memcpy(&master, CMSG_DATA(header), sizeof master);
    }
    close(connection);
    if (master < 0) return false;
    close_fd(&stdio->console_listener);
    unlink("console.sock");
    fcntl(master, F_SETFL, O_NONBLOCK);
    if (options->width > 0 && options->height > 0) set_size(master, options->width, options->height);
    stdio->out[STDOUT] = master;
    if (options->open_stdin) stdio->in = master;
    return true;
}
