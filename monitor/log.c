/*
 * Output cut into lines for the log: a file, a receiver on a socket, or both. A line longer than 16 KiB becomes
 * several records, all but the last without its end, all with the first's time. A receiver always has a queue, a file
 * only when it must never slow the process.
 */
#include "monitor.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { REMOTE_QUEUE = 256 * 1024, FILE_PATIENCE_MS = 2000 };

static bool to_json, to_queue;
static bool queued_json; /* the queue leads to the file */

static struct {
    uint8_t bytes[LOG_LINE];
    size_t length;
    bool continued; /* a part of this line is in the log already, at `since` */
    struct timespec since;
} lines[STREAMS];

void log_open(const struct options *options) {
    to_json = json_open(options);
    if (remote_open(options))
        to_queue = queue_open(options->log_buffer > 0 ? options->log_buffer : REMOTE_QUEUE, options->log_buffer > 0,
                              remote_record, NULL);
    else if (to_json && options->log_buffer > 0) {
        queued_json = to_queue = queue_open(options->log_buffer, true, json_record, json_flush);
        to_json = !queued_json;
    }
}

static void record(int stream, const uint8_t *text, size_t length, bool whole, const struct timespec *when) {
    if (to_json) json_record(stream, text, length, whole, when);
    if (to_queue) queue_put(stream, text, length, whole, when);
}

/* RFC 3339 in UTC with nine digits. gmtime_r would read time zone files into memory; days are easy. */
size_t format_time(char *into, size_t room, const struct timespec *when) {
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

void log_write(int stream, const uint8_t *data, size_t length) {
    if (!to_json && !to_queue) return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    while (length > 0) {
        size_t room = LOG_LINE - lines[stream].length;
        const uint8_t *end = memchr(data, '\n', length <= room ? length : room);
        size_t take = end != NULL ? (size_t)(end - data) : length < room ? length : room;
        const struct timespec *when = lines[stream].continued ? &lines[stream].since : &now;
        if (end != NULL && lines[stream].length == 0) {
            record(stream, data, take, true, when); /* the common case: no copy */
            lines[stream].continued = false;
        } else {
            memcpy(lines[stream].bytes + lines[stream].length, data, take);
            lines[stream].length += take;
            if (end != NULL || lines[stream].length == LOG_LINE) {
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
    if (to_json) json_flush();
}

void log_close(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int stream = 0; stream < STREAMS; stream++)
        if (lines[stream].length > 0)
            record(stream, lines[stream].bytes, lines[stream].length, false,
                   lines[stream].continued ? &lines[stream].since : &now);
    if (to_queue) queue_close();
    if (queued_json ? queue_wait(FILE_PATIENCE_MS) : to_json) json_close();
    to_json = to_queue = false;
}
