/*
 * The json-file log, in Docker's lines: {"log":"text\n","stream":"stdout","time":"2024-01-01T00:00:00.000000000Z"}.
 * A line longer than 16 KiB becomes several records, all but the last without "\n", all with the first's time.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 16 * 1024, BUFFER = 64 * 1024, WORST = 6 * LINE + 128 };

static int fd = -1;
static const char *log_path;
static uint64_t size, max_size;
static unsigned max_files;

static struct {
    uint8_t bytes[LINE];
    size_t length;
    bool continued; /* a part of this line is in the log already, at `since` */
    struct timespec since;
} lines[STREAMS];

static char buffer[BUFFER + WORST];
static size_t buffered;

static void open_file(int flags) {
    fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0640);
    struct stat info;
    size = fd >= 0 && fstat(fd, &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* A full disk loses log lines; it never stops the container. */
static void flush(void) {
    size_t done = 0;
    while (done < buffered && fd >= 0) {
        ssize_t wrote = write(fd, buffer + done, buffered - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) break;
        done += (size_t)wrote;
    }
    buffered = 0;
}

static void rotate(void) {
    char from[4096], to[4096];
    flush();
    close(fd);
    if (max_files < 2) {
        open_file(O_TRUNC);
        return;
    }
    for (unsigned i = max_files - 1; i > 0; i--) {
        if (i == 1) snprintf(from, sizeof from, "%s", log_path);
        else snprintf(from, sizeof from, "%s.%u", log_path, i - 1);
        snprintf(to, sizeof to, "%s.%u", log_path, i);
        rename(from, to);
    }
    open_file(0);
}

void log_open(const char *path, uint64_t rotate_at, unsigned files) {
    if (path == NULL) return;
    log_path = path;
    max_size = rotate_at;
    max_files = files;
    open_file(0);
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

/* RFC 3339 in UTC with nine digits. gmtime_r would read time zone files into memory; days are easy. */
static size_t format_time(char *into, size_t room, const struct timespec *when) {
    int64_t days = when->tv_sec / 86400, second = when->tv_sec % 86400;
    /* Howard Hinnant's days-to-civil: an era has 146097 days, a year starts in March. */
    int64_t shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    return (size_t)snprintf(into, room, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ",
                            (int)(year + era * 400 + (month <= 2)), (int)month, (int)day, (int)(second / 3600),
                            (int)(second / 60 % 60), (int)(second % 60), when->tv_nsec);
}

static void record(int stream, const uint8_t *text, size_t length, bool whole, const struct timespec *when) {
    static const char *const tails[STREAMS] = {"\",\"stream\":\"stdout\",\"time\":\"", "\",\"stream\":\"stderr\",\"time\":\""};
    char stamp[48];
    if (fd < 0) return;
    if (max_size > 0 && size >= max_size) rotate();
    if (buffered >= BUFFER) flush();
    size_t before = buffered;
    put("{\"log\":\"", 8);
    put_escaped(text, length);
    if (whole) put("\\n", 2);
    put(tails[stream], strlen(tails[stream]));
    put(stamp, format_time(stamp, sizeof stamp, when));
    put("\"}\n", 3);
    size += buffered - before;
}

void log_write(int stream, const uint8_t *data, size_t length) {
    if (fd < 0) return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    while (length > 0) {
        size_t room = LINE - lines[stream].length;
        const uint8_t *end = memchr(data, '\n', length <= room ? length : room);
        size_t take = end != NULL ? (size_t)(end - data) : length < room ? length : room;
        const struct timespec *when = lines[stream].continued ? &lines[stream].since : &now;
        if (end != NULL && lines[stream].length == 0) {
            record(stream, data, take, true, when); /* the common case: no copy */
            lines[stream].continued = false;
        } else {
            memcpy(lines[stream].bytes + lines[stream].length, data, take);
            lines[stream].length += take;
            if (end != NULL || lines[stream].length == LINE) {
                record(stream, lines[stream].bytes, lines[stream].length, end != NULL, when);
                lines[stream].length = 0;
                if (end == NULL && !lines[stream].continued) lines[stream].since = now;
                lines[stream].continued = end == NULL;
            }
        }
        take += end != NULL;
        data += take;
        length -= take;
    }
    flush();
}

void log_close(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int stream = 0; stream < STREAMS; stream++)
        if (lines[stream].length > 0)
            record(stream, lines[stream].bytes, lines[stream].length, false,
                   lines[stream].continued ? &lines[stream].since : &now);
    flush();
    if (fd >= 0) close(fd);
    fd = -1;
}
