/*
 * The json-file log, in Docker's lines: {"log":"text\n","stream":"stdout","time":"2024-01-01T00:00:00.000000000Z"},
 * with "attrs" after the stream where the daemon has left a file of that name.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, ATTRIBUTES = 64 * 1024, WORST = 6 * LOG_LINE + ATTRIBUTES + 128 };

static int fd = -1;
static const char *log_path;
static uint64_t size, max_size;
static unsigned max_files;
static bool compress;
static pid_t gzip; /* what compresses the file before; 0: nothing does */
static char attributes[ATTRIBUTES]; /* `"attrs":{...},` or empty */

static char buffer[BUFFER + WORST];
static size_t buffered;

static void open_file(int flags) {
    fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0640);
    struct stat info;
    size = fd >= 0 && fstat(fd, &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* A full disk loses log lines; it never stops the container. */
void json_flush(void) {
    size_t done = 0;
    while (done < buffered && fd >= 0) {
        ssize_t wrote = write(fd, buffer + done, buffered - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) break;
        done += (size_t)wrote;
    }
    buffered = 0;
}

/* A rotated file takes the next number, compressed or not; what had that number is gone. */
static void shift(const char *from, const char *to) {
    char from_gz[4096], to_gz[4096];
    snprintf(from_gz, sizeof from_gz, "%s.gz", from);
    snprintf(to_gz, sizeof to_gz, "%s.gz", to);
    if (rename(from_gz, to_gz) == 0) unlink(to);
    else if (rename(from, to) == 0) unlink(to_gz);
}

/* By the program, beside us: the log goes on meanwhile. Without it the file stays as it is. */
static void start_gzip(char *path) {
    gzip = fork();
    if (gzip != 0) return;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execlp("gzip", "gzip", "-f", "--", path, (char *)NULL);
    _exit(127);
}

static void rotate(void) {
    char from[4000], to[4000];
    json_flush();
    close(fd);
    if (max_files < 2) {
        open_file(O_TRUNC);
        return;
    }
    /* It works by name: its file must keep it until it is through. */
    if (gzip > 0) waitpid(gzip, NULL, 0);
    gzip = 0;
    for (unsigned i = max_files - 1; i > 0; i--) {
        if (i == 1) snprintf(from, sizeof from, "%s", log_path);
        else snprintf(from, sizeof from, "%s.%u", log_path, i - 1);
        snprintf(to, sizeof to, "%s.%u", log_path, i);
        shift(from, to);
    }
    if (compress) start_gzip(to);
    open_file(0);
}

bool json_open(const struct options *options) {
    log_path = options->log_path;
    if (log_path == NULL) return false;
    max_size = options->log_max_size;
    max_files = options->log_max_files;
    compress = options->log_compress;
    if (read_file("log-attrs", attributes, sizeof attributes) < 0) attributes[0] = 0;
    open_file(0);
    return fd >= 0;
}

static void put(const char *text, size_t length) {
    memcpy(buffer + buffered, text, length);
    buffered += length;
}

/* Length of the valid UTF-8 sequence at `at`, or 0. (Unicode 15, table 3-7.) */
static size_t utf8_length(const uint8_t *at, size_t left) {
    uint8_t lead = at[0], low = 0x80, high = 0xbf;
    size_t length;
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) length = 2;
    else if (lead >= 0xe0 && lead <= 0xef) {
        length = 3;
        if (lead == 0xe0) low = 0xa0;
        if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        length = 4;
        if (lead == 0xf0) low = 0x90;
        if (lead == 0xf4) high = 0x8f;
    } else return 0;
    if (length > left || at[1] < low || at[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if (at[i] < 0x80 || at[i] > 0xbf) return 0;
    return length;
}

/* As Go's encoder: HTML's characters and U+2028/9 escaped, a byte that is no UTF-8 becomes U+FFFD. */
static void put_escaped(const uint8_t *text, size_t length) {
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < length;) {
        uint8_t byte = text[i];
        if (byte >= 0x80) {
            size_t sequence = utf8_length(text + i, length - i);
            if (sequence == 0) put("\\ufffd", 6), i++;
            else if (sequence == 3 && byte == 0xe2 && text[i + 1] == 0x80 && (text[i + 2] | 1) == 0xa9) {
                put(text[i + 2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
                i += 3;
            } else put((const char *)text + i, sequence), i += sequence;
            continue;
        }
        if (byte == '"' || byte == '\\') buffer[buffered++] = '\\', buffer[buffered++] = (char)byte;
        else if (byte == '\n') put("\\n", 2);
        else if (byte == '\r') put("\\r", 2);
        else if (byte < 0x20 || byte == '<' || byte == '>' || byte == '&') {
            char escape[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
            put(escape, sizeof escape);
        } else buffer[buffered++] = (char)byte;
        i++;
    }
}

void json_record(int stream, const uint8_t *text, size_t length, bool whole, const struct timespec *when) {
    static const char *const streams[STREAMS] = {"\",\"stream\":\"stdout\",", "\",\"stream\":\"stderr\","};
    char stamp[48];
    if (fd < 0) return;
    if (max_size > 0 && size >= max_size) rotate();
    if (buffered >= BUFFER) json_flush();
    size_t before = buffered;
    put("{\"log\":\"", 8);
    put_escaped(text, length);
    if (whole) put("\\n", 2);
    put(streams[stream], strlen(streams[stream]));
    put(attributes, strlen(attributes));
    put("\"time\":\"", 8);
    put(stamp, format_time(stamp, sizeof stamp, when));
    put("\"}\n", 3);
    size += buffered - before;
}

void json_close(void) {
    json_flush();
    if (fd >= 0) close(fd);
    fd = -1;
}
