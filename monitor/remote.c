/*
 * The log to a receiver on a socket: syslog (RFC 3164, RFC 5424, or as Go's local syslog has it) over unix, UDP or TCP,
 * or the journal's own protocol. `program:` is one that takes the messages at its stdin, named with its arguments, each
 * ended by a zero byte, in the file log-program: TLS is too much for this one. All of it runs on the queue's thread.
 * Who is slow is waited for; who is gone loses lines, unless these wait in a buffer of the user's size.
 */
#include "monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FIELDS = 64 * 1024, HEAD = 1024, COUNT = 16, INFO = 6, ERROR = 3, ARGUMENTS = 32 };

static const struct options *options;
static int fd = -1;
static int socket_type;
static time_t last_try;
static socklen_t address_length;
static union {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address;

static char *program[ARGUMENTS + 1];

static char message[FIELDS + LOG_LINE + HEAD];
static size_t fields_length; /* of the journal's constant fields, which lie at the message's start */

/* `IP:PORT`, an IPv6 address in brackets. */
static bool parse_inet(char *text) {
    char *colon = strrchr(text, ':');
    if (colon == NULL) return false;
    *colon = 0;
    in_port_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (text[0] == '[') {
        text[strlen(text) - 1] = 0;
        address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        address_length = sizeof address.v6;
        return inet_pton(AF_INET6, text + 1, &address.v6.sin6_addr) == 1;
    }
    address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    address_length = sizeof address.v4;
    return inet_pton(AF_INET, text, &address.v4.sin_addr) == 1;
}

static bool parse_address(const char *text) {
    char copy[256];
    const char *rest = strchr(text, ':');
    if (rest == NULL || strlen(++rest) >= sizeof copy) return false;
    strcpy(copy, rest);
    bool stream = strncmp(text, "unix:", 5) == 0 || strncmp(text, "tcp:", 4) == 0;
    socket_type = stream ? SOCK_STREAM : SOCK_DGRAM;
    if (strncmp(text, "unix", 4) != 0) return parse_inet(copy);
    if (strlen(copy) >= sizeof address.local.sun_path) return false;
    address.local = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(address.local.sun_path, copy);
    address_length = sizeof address.local;
    return true;
}

static void hang_up(void) {
    if (fd >= 0) close(fd);
    fd = -1;
}

static bool read_program(void) {
    static char words[8 * 1024], self[16];
    ssize_t length = read_file("log-program", words, sizeof words);
    char *word = words;
    int count = 0;
    for (; count < ARGUMENTS - 1 && word < words + length; count++) {
        program[count] = word;
        word += strlen(word) + 1;
    }
    /* Who it works for. */
    snprintf(self, sizeof self, "%d", (int)getpid());
    program[count] = self;
    return count > 0;
}

/* Our end of a program's stdin, or -1. It ends by itself when that is closed. */
static int start_program(void) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -1;
    pid_t child = fork();
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        for (int signal_number = 1; signal_number < NSIG; signal_number++) signal(signal_number, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        /* Not in the state directory, which may go before it has begun. */
        if (chdir("/") == 0 && dup2(ends[1], 0) == 0 && syscall(SYS_close_range, 3, ~0u, 0) == 0)
            execv(program[0], program);
        _exit(127);
    }
    close(ends[1]);
    if (child > 0) return ends[0];
    close(ends[0]);
    return -1;
}

static int dial(void) {
    int dialled = socket(address.any.sa_family, socket_type | SOCK_CLOEXEC, 0);
    if (dialled < 0 || connect(dialled, &address.any, address_length) == 0) return dialled;
    bool other_type = errno == EPROTOTYPE && address.any.sa_family == AF_UNIX && socket_type == SOCK_STREAM;
    close(dialled);
    if (!other_type) return -1;
    /* A local syslog listens for datagrams, whatever its address was called. */
    socket_type = SOCK_DGRAM;
    return dial();
}

/* At most one try a second: a receiver that is gone must not slow every line. */
static bool connected(void) {
    time_t now = time(NULL);
    if (fd >= 0) return true;
    if (now == last_try) return false;
    last_try = now;
    fd = program[0] != NULL ? start_program() : dial();
    return fd >= 0;
}

/* False when there is nobody to take it. */
static bool try_to_deliver(const char *text, size_t length) {
    for (int attempt = 0; attempt < 2 && connected(); attempt++) {
        size_t done = 0;
        while (done < length) {
            ssize_t sent = send(fd, text + done, length - done, MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0) break;
            done += (size_t)sent;
        }
        if (done == length) return true;
        if (errno == EMSGSIZE) return true; /* nobody would ever take this one */
        hang_up();
    }
    return false;
}

static void deliver(const char *text, size_t length) {
    const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
    while (!try_to_deliver(text, length) && options->log_buffer > 0 && !queue_closed()) nanosleep(&pause, NULL);
}

/* A field of the journal that may hold any byte: name, newline, length as 64 bits, value, newline. */
static size_t put_field(size_t at, const char *name, const uint8_t *value, uint64_t length) {
    at += (size_t)sprintf(message + at, "%s\n", name);
    for (int i = 0; i < 8; i++) message[at++] = (char)(length >> (8 * i));
    memcpy(message + at, value, length);
    at += length;
    message[at++] = '\n';
    return at;
}

static void to_journal(int stream, const uint8_t *text, size_t length, bool whole, const struct timespec *when) {
    char stamp[48];
    size_t at = fields_length;
    format_time(stamp, sizeof stamp, when);
    at += (size_t)sprintf(message + at, "PRIORITY=%d\nSYSLOG_TIMESTAMP=%s\n", stream == STDERR ? ERROR : INFO, stamp);
    if (!whole) at += (size_t)sprintf(message + at, "CONTAINER_PARTIAL_MESSAGE=true\n");
    deliver(message, put_field(at, "MESSAGE", text, length));
}

/* At `into`; what is beyond HEAD is cut. */
static size_t put_head(char *into, int stream, const struct timespec *when) {
    char stamp[64];
    struct tm local;
    int priority = options->log_facility * 8 + (stream == STDERR ? ERROR : INFO), pid = (int)getpid(), length;
    const char *tag = options->log_tag, *host = options->log_host, *format = options->log_format;
    if (strncmp(format, "rfc5424", 7) == 0) {
        format_time(stamp, sizeof stamp, when);
        /* `2024-01-01T00:00:00.000000000Z`: to the second, or with six digits. */
        strcpy(stamp + (strcmp(format, "rfc5424micro") == 0 ? 26 : 19), "Z");
        length = snprintf(into, HEAD - COUNT, "<%d>1 %s %s %s %d %s - ", priority, stamp, host, tag, pid, tag);
    } else {
        strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", localtime_r(&when->tv_sec, &local));
        if (strcmp(format, "rfc3164") == 0)
            length = snprintf(into, HEAD - COUNT, "<%d>%s %s %s[%d]: ", priority, stamp, host, tag, pid);
        else length = snprintf(into, HEAD - COUNT, "<%d>%s %s[%d]: ", priority, stamp, tag, pid);
    }
    return length < HEAD - COUNT ? (size_t)length : HEAD - COUNT - 1;
}

bool remote_open(const struct options *given) {
    options = given;
    if (options->log_remote == NULL) return false;
    if (strcmp(options->log_remote, "program:") == 0 ? !read_program() : !parse_address(options->log_remote)) return false;
    ssize_t got = read_file("log-fields", message, FIELDS);
    fields_length = got > 0 ? (size_t)got : 0;
    return true;
}

void remote_record(int stream, const uint8_t *text, size_t length, bool whole, const struct timespec *when) {
    if (strcmp(options->log_format, "journal") == 0) {
        to_journal(stream, text, length, whole, when);
        return;
    }
    /* The length stands before the message, whose own length says how long it is. */
    char *start = message + COUNT, count[COUNT];
    size_t at = put_head(start, stream, when);
    memcpy(start + at, text, length);
    at += length;
    start[at++] = '\n';
    if (options->log_octets) {
        size_t digits = (size_t)snprintf(count, sizeof count, "%zu ", at);
        start -= digits;
        at += digits;
        memcpy(start, count, digits);
    }
    deliver(start, at);
}
