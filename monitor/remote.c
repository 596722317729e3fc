/*
 * The log to a receiver on a socket: syslog (RFC 3164, RFC 5424, or as Go's local syslog has it) over unix, UDP or TCP,
 * or the journal's own protocol. Who does not take a line within a second loses it; the process never stops for good.
 */
#include "monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FIELDS = 64 * 1024, INFO = 6, ERROR = 3, PATIENCE_SECONDS = 1 };

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

static char message[FIELDS + LOG_LINE + 1024];
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

/* At most one try a second: a receiver that is gone must not slow every line. */
static bool connected(void) {
    time_t now = time(NULL);
    if (fd >= 0) return true;
    if (now == last_try) return false;
    last_try = now;
    fd = socket(address.any.sa_family, socket_type | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, &address.any, address_length) == 0) return true;
    bool other_type = errno == EPROTOTYPE && address.any.sa_family == AF_UNIX && socket_type == SOCK_STREAM;
    hang_up();
    if (!other_type) return false;
    /* A local syslog listens for datagrams, whatever its address was called. */
    socket_type = SOCK_DGRAM;
    last_try = 0;
    return connected();
}

static void deliver(size_t length) {
    for (int attempt = 0; attempt < 2 && connected(); attempt++) {
        size_t done = 0;
        while (done < length) {
            ssize_t sent = send(fd, message + done, length - done, MSG_NOSIGNAL | (options->log_drop ? MSG_DONTWAIT : 0));
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0) break;
            done += (size_t)sent;
        }
        if (done == length) return;
        /* Nobody took a byte in time: this line is lost. A part of one, or a broken line, wants a new connection. */
        if (done == 0 && (errno == EAGAIN || errno == EMSGSIZE)) return;
        hang_up();
    }
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
    deliver(put_field(at, "MESSAGE", text, length));
}

static size_t put_head(int stream, const struct timespec *when) {
    char stamp[64];
    struct tm local;
    int priority = options->log_facility * 8 + (stream == STDERR ? ERROR : INFO), pid = (int)getpid();
    const char *tag = options->log_tag, *host = options->log_host, *format = options->log_format;
    if (strncmp(format, "rfc5424", 7) == 0) {
        format_time(stamp, sizeof stamp, when);
        /* `2024-01-01T00:00:00.000000000Z`: to the second, or with six digits. */
        strcpy(stamp + (strcmp(format, "rfc5424micro") == 0 ? 26 : 19), "Z");
        return (size_t)snprintf(message, 1024, "<%d>1 %s %s %s %d %s - ", priority, stamp, host, tag, pid, tag);
    }
    strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", localtime_r(&when->tv_sec, &local));
    if (strcmp(format, "rfc3164") == 0)
        return (size_t)snprintf(message, 1024, "<%d>%s %s %s[%d]: ", priority, stamp, host, tag, pid);
    return (size_t)snprintf(message, 1024, "<%d>%s %s[%d]: ", priority, stamp, tag, pid);
}

bool remote_open(const struct options *given) {
    options = given;
    if (options->log_remote == NULL || !parse_address(options->log_remote)) return false;
    ssize_t got = read_file("log-fields", message, FIELDS);
    fields_length = got > 0 ? (size_t)got : 0;
    return true;
}

void remote_record(int stream, const uint8_t *text, size_t length, bool whole, const struct timespec *when) {
    if (strcmp(options->log_format, "journal") == 0) {
        to_journal(stream, text, length, whole, when);
        return;
    }
    size_t at = put_head(stream, when);
    if (at > 1023) at = 1023; /* a tag beyond reason is cut */
    memcpy(message + at, text, length);
    at += length;
    message[at++] = '\n';
    deliver(at);
}
