/* The monitor's life, one poll loop: wait for "go", start, run, drain, record, serve the last readers, end. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    UNATTENDED_MS = 30000, /* nobody came to say "go" */
    DRAIN_MS = 2000, /* a process left behind may hold the output open; Docker waits as long */
    FAREWELL_MS = 10000, /* for clients that have everything to close */
    START_TICK_MS = 50, /* a runtime that takes longer may be waiting for somebody to hear it */
};

static const struct options *options;
static struct stdio stdio_fds = {.in = -1, .out = {-1, -1}, .runtime_errors = -1, .console_listener = -1, .outcome = -1};
static enum { WAITING, STARTING, RUNNING, DRAINING, DONE } phase = WAITING;
static pid_t runtime, process;
static int exit_code;
static int64_t started_at, exited_at, deadline;
static int listener = -1, signals = -1;
static bool aborted, terminal_ended;

/* Read of stderr before the runtime was through: its own words, or the process's already. */
static uint8_t early[EARLY_OUTPUT];
static size_t early_length;

static int64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int listen_here(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "monitor.sock"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 64) == 0;
    umask(before);
    if (ok) return fd;
    dprintf(1, "monitor.sock: %s\n", strerror(errno));
    return -1;
}

static void enter_done(void) {
    phase = DONE;
    deadline = monotonic_ms() + FAREWELL_MS;
    if (listener < 0) return;
    close(listener);
    listener = -1;
    unlink("monitor.sock");
}

static void close_streams(void) {
    for (int stream = 0; stream < STREAMS; stream++) {
        if (stdio_fds.out[stream] >= 0) close(stdio_fds.out[stream]);
        stdio_fds.out[stream] = -1;
    }
}

/* A runtime that says more than a pipe holds would wait for a reader, as we wait for its end. */
static void hear_runtime(void) {
    int fd = options->tty ? stdio_fds.runtime_errors : stdio_fds.out[STDERR];
    size_t room = sizeof early - early_length;
    ssize_t got = fd < 0 || room == 0 ? 0 : read(fd, early + early_length, room);
    if (got > 0) early_length += (size_t)got;
}

/* The start failed: `failed <bytes>\n` and then what the runtime said. */
static void fail(const char *otherwise) {
    char text[4096], message[4200];
    hear_runtime();
    size_t length = early_length < sizeof text ? early_length : sizeof text - 1;
    memcpy(text, early, length);
    text[length] = 0;
    if (length == 0) snprintf(text, sizeof text, "%s", otherwise);
    snprintf(message, sizeof message, "failed %zu\n%s", strlen(text), text);
    close_streams();
    enter_done();
    clients_tell(message);
}

static void go(void) {
    if (phase != WAITING) return;
    phase = STARTING;
    clients_tell("starting\n");
    runtime = start_runtime(options, &stdio_fds);
    if (runtime < 0) fail("the monitor cannot start the OCI runtime");
}

static void started(void) {
    char text[256];
    phase = RUNNING;
    started_at = now_ms();
    if (stdio_fds.runtime_errors >= 0) close(stdio_fds.runtime_errors), stdio_fds.runtime_errors = -1;
    snprintf(text, sizeof text, "started %d %lld %llu\n", (int)process, (long long)started_at, start_ticks(process));
    if (options->entry == NULL) write_file("started", text);
    if (!options->tty) output_put(STDERR, early, early_length);
    input_start(&stdio_fds);
    clients_tell(text);
}

/* `status` as of waitpid. */
static void exited(int status) {
    exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    exited_at = now_ms();
    phase = DRAINING;
    deadline = monotonic_ms() + DRAIN_MS;
}

static void runtime_ended(int status) {
    char text[32];
    runtime = 0;
    take_back_null();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail("the OCI runtime was killed");
        return;
    }
    if (options->tty && stdio_fds.console_listener >= 0) receive_console(options, &stdio_fds);
    if (read_file("pid", text, sizeof text) <= 0 || (process = (pid_t)strtol(text, NULL, 10)) <= 0) {
        fail("the OCI runtime wrote no pid");
        return;
    }
    started();
}

/* Until the runtime has ended and its pid file is read, only the runtime is reaped, so no exit is missed. */
static void reap(void) {
    int status;
    if (phase == STARTING && options->entry == NULL && waitpid(runtime, &status, WNOHANG) == runtime) runtime_ended(status);
    if (phase == STARTING || phase == WAITING) return;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == process && phase == RUNNING) exited(status);
    /* Reaped by the runtime itself, against the rules: its status is lost. */
    if (pid < 0 && errno == ECHILD && phase == RUNNING) exited(255 << 8);
}

/* It runs its program, or says why it can't. It may have ended already. */
static void entered(void) {
    char text[4096];
    ssize_t length = read(stdio_fds.outcome, text, sizeof text - 1);
    close(stdio_fds.outcome);
    stdio_fds.outcome = -1;
    text[length < 0 ? 0 : length] = 0;
    process = runtime;
    if (length == 0) started();
    else fail(text);
    reap();
}

static void finish(void) {
    char text[192];
    log_close();
    struct oom oom = read_oom(options->oom_path);
    snprintf(text, sizeof text, "{\"exitCode\":%d,\"exitedAt\":%lld,\"oomKills\":%llu,\"memoryPeak\":%llu,\"swapPeak\":%llu}\n",
             exit_code, (long long)exited_at, oom.kills, oom.peak, oom.swap);
    if (options->entry == NULL) write_file("exit", text);
    if (stdio_fds.in == stdio_fds.out[STDOUT]) stdio_fds.in = -1;
    close_streams();
    enter_done();
    snprintf(text, sizeof text, "exited %d %lld %llu %llu %llu\n", exit_code, (long long)exited_at, oom.kills, oom.peak, oom.swap);
    clients_tell(text);
}

static void command(const char *line) {
    int width, height;
    if (strcmp(line, "go") == 0) go();
    else if (strcmp(line, "close-stdin") == 0) input_close(&stdio_fds);
    else if (strcmp(line, "abort") == 0) {
        if (phase == STARTING && runtime > 0) kill(runtime, SIGKILL);
        if (phase == WAITING) aborted = true;
    } else if (sscanf(line, "resize %d %d", &width, &height) == 2 && options->tty && stdio_fds.out[STDOUT] >= 0)
        set_size(stdio_fds.out[STDOUT], (unsigned short)width, (unsigned short)height);
}

static void read_streams(const struct pollfd *entries) {
    for (int stream = 0; stream < STREAMS; stream++) {
        if (!(entries[stream].revents & (POLLIN | POLLHUP | POLLERR)) || stdio_fds.out[stream] < 0) continue;
        if (output_read(stream, stdio_fds.out[stream], phase == DRAINING)) continue;
        /* The end. A terminal's master stays open for resize and stdin, it is only no longer read. */
        if (!options->tty) close(stdio_fds.out[stream]), stdio_fds.out[stream] = -1;
        else terminal_ended = true;
    }
}

static bool streams_ended(void) {
    return terminal_ended || (stdio_fds.out[STDOUT] < 0 && stdio_fds.out[STDERR] < 0);
}

static int timeout(void) {
    if (phase == STARTING) return START_TICK_MS;
    if (phase == RUNNING || (phase == DONE && output_pending())) return -1;
    if (phase == WAITING && clients_attended()) return -1;
    int64_t left = deadline - monotonic_ms();
    return left < 0 ? 0 : (int)left;
}

static bool open_to_clients(void) {
    if (options->entry != NULL) {
        /* The attacher first: what it asks for is heard before the command to start. */
        if (options->attached) clients_adopt(ATTACHER_FD);
        clients_adopt(CONTROL_FD);
        return true;
    }
    listener = listen_here();
    if (listener < 0) return false;
    log_open(options);
    /* Closing stdout tells the daemon that it can connect. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    close(null);
    return true;
}

int serve(const struct options *given) {
    enum { SIGNALS, LISTENER, CONSOLE, OUTCOME, QUEUE, STDIN, STREAM, CLIENTS = STREAM + STREAMS };
    struct pollfd entries[CLIENTS + MAX_CLIENTS];
    sigset_t child;
    options = given;
    clients_configure(given);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 || !open_to_clients()) return 1;
    deadline = monotonic_ms() + UNATTENDED_MS;
    for (;;) {
        bool last = phase == DRAINING, reading = (last || phase == RUNNING) && !terminal_ended;
        reading = reading && output_room(last) > 0 && queue_room() > 0;
        entries[SIGNALS] = (struct pollfd){.fd = signals, .events = POLLIN};
        entries[LISTENER] = (struct pollfd){.fd = clients_full() ? -1 : listener, .events = POLLIN};
        entries[CONSOLE] = (struct pollfd){.fd = stdio_fds.console_listener, .events = POLLIN};
        entries[OUTCOME] = (struct pollfd){.fd = stdio_fds.outcome, .events = POLLIN};
        entries[QUEUE] = (struct pollfd){.fd = queue_event(), .events = POLLIN};
        entries[STDIN] = (struct pollfd){.fd = input_pending() ? stdio_fds.in : -1, .events = POLLOUT};
        for (int stream = 0; stream < STREAMS; stream++)
            entries[STREAM + stream] = (struct pollfd){.fd = reading ? stdio_fds.out[stream] : -1, .events = POLLIN};
        size_t count = clients_poll(entries + CLIENTS);
        int ready = poll(entries, CLIENTS + count, timeout());
        if (ready < 0 && errno != EINTR) return 1;

        if (ready == 0 && phase == STARTING) hear_runtime();
        if (entries[CONSOLE].revents) receive_console(options, &stdio_fds);
        if (entries[OUTCOME].revents) entered();
        if (entries[QUEUE].revents) queue_heed();
        if (entries[SIGNALS].revents) {
            struct signalfd_siginfo info;
            while (read(signals, &info, sizeof info) > 0) {
            }
            reap();
        }
        if (entries[STDIN].revents) input_write(&stdio_fds);
        read_streams(entries + STREAM);
        clients_handle(entries + CLIENTS, count, &stdio_fds, command);
        if (entries[LISTENER].revents && listener >= 0) clients_accept(listener);

        bool late = deadline > 0 && monotonic_ms() >= deadline;
        if (phase == WAITING && (aborted || clients_abandoned() || (late && !clients_attended()))) enter_done();
        if (phase == DRAINING && (late || streams_ended())) finish();
        if (phase == DONE) {
            bool all_have_all = clients_finish(&stdio_fds);
            if (!clients_none() && !(all_have_all && monotonic_ms() >= deadline)) continue;
            /* What the receiver of the log has not taken yet. */
            queue_wait(deadline - monotonic_ms());
            return 0;
        }
    }
}
