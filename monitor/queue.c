/*
 * Records on their way to a log that may be slow, and the thread that hands them over: the poll loop never waits for a
 * receiver or a disk. What happens when the queue is full is the log's mode: the oldest records go, or no more output
 * is read from the process until there is room.
 */
#include "monitor.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct header {
    struct timespec when;
    uint16_t length;
    uint8_t stream, whole;
};

/* A record more than any that comes, for each stream's unfinished line. */
enum { RESERVE = STREAMS * (LOG_LINE + (int)sizeof(struct header)), STACK = 128 * 1024, LEAST = 1024 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied;

static uint8_t *bytes; /* a ring of `capacity`; touched only as far as it was ever filled */
static size_t capacity, oldest, used;
static size_t limit; /* bytes that may wait, headers included */
static bool drops; /* the oldest make room */
static bool closed, idle; /* no more comes; the thread has handed over all that there was */
static bool wanted; /* the poll loop waits for room */
static int room_event = -1;
static record_sink *sink;
static void (*flush)(void);

static void copy_in(size_t at, const void *from, size_t length) {
    at %= capacity;
    size_t first = length < capacity - at ? length : capacity - at;
    memcpy(bytes + at, from, first);
    memcpy(bytes, (const uint8_t *)from + first, length - first);
}

static void copy_out(void *into, size_t at, size_t length) {
    at %= capacity;
    size_t first = length < capacity - at ? length : capacity - at;
    memcpy(into, bytes + at, first);
    memcpy((uint8_t *)into + first, bytes, length - first);
}

/* Takes the oldest record out; its text goes `into`, unless that is NULL. */
static struct header take(uint8_t *into) {
    struct header header;
    copy_out(&header, oldest, sizeof header);
    if (into != NULL) copy_out(into, oldest + sizeof header, header.length);
    size_t length = sizeof header + header.length;
    used -= length;
    /* From the start again whenever it is empty: the pages behind stay untouched. */
    oldest = used == 0 ? 0 : (oldest + length) % capacity;
    return header;
}

static void *hand_over(void *unused) {
    static uint8_t text[LOG_LINE];
    (void)unused;
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (used == 0 && !closed) pthread_cond_wait(&filled, &mutex);
        if (used == 0) break;
        idle = false;
        struct header header = take(text);
        bool last = used == 0;
        if (wanted) wanted = false, eventfd_write(room_event, 1);
        pthread_mutex_unlock(&mutex);
        sink(header.stream, text, header.length, header.whole, &header.when);
        if (last && flush != NULL) flush();
        pthread_mutex_lock(&mutex);
        idle = used == 0;
        if (idle) pthread_cond_broadcast(&emptied);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

bool queue_open(size_t size, bool dropping, record_sink *to, void (*when_idle)(void)) {
    pthread_attr_t attributes;
    pthread_condattr_t clock;
    pthread_t thread;
    /* One record always fits, as in Docker's ring. */
    limit = size > LOG_LINE + sizeof(struct header) ? size : LOG_LINE + sizeof(struct header);
    capacity = limit + RESERVE;
    drops = dropping;
    sink = to;
    flush = when_idle;
    idle = true;
    bytes = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    room_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bytes == MAP_FAILED || room_event < 0) return false;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&emptied, &clock);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    return pthread_create(&thread, &attributes, hand_over, NULL) == 0;
}

void queue_put(int stream, const uint8_t *text, size_t length, bool whole, const struct timespec *when) {
    struct header header = {.when = *when, .length = (uint16_t)length, .stream = (uint8_t)stream, .whole = whole};
    pthread_mutex_lock(&mutex);
    while (drops && used > 0 && used + sizeof header + length > limit) take(NULL);
    if (used + sizeof header + length <= capacity) {
        copy_in(oldest + used, &header, sizeof header);
        copy_in(oldest + used + sizeof header, text, length);
        used += sizeof header + length;
        idle = false;
        pthread_cond_signal(&filled);
    }
    pthread_mutex_unlock(&mutex);
}

size_t queue_room(void) {
    if (drops || room_event < 0) return SIZE_MAX;
    pthread_mutex_lock(&mutex);
    /* At worst each byte is a line of its own. */
    size_t room = used >= limit ? 0 : (limit - used) / (sizeof(struct header) + 1);
    if (room < LEAST) room = 0;
    wanted = room == 0;
    pthread_mutex_unlock(&mutex);
    return room;
}

int queue_event(void) { return room_event; }

void queue_heed(void) {
    eventfd_t count;
    eventfd_read(room_event, &count);
}

void queue_close(void) {
    pthread_mutex_lock(&mutex);
    closed = true;
    pthread_cond_signal(&filled);
    pthread_mutex_unlock(&mutex);
}

bool queue_closed(void) {
    pthread_mutex_lock(&mutex);
    bool is = closed;
    pthread_mutex_unlock(&mutex);
    return is;
}

bool queue_wait(int64_t ms) {
    struct timespec end;
    if (room_event < 0) return true;
    clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t nanoseconds = end.tv_nsec + ms % 1000 * 1000000;
    end.tv_sec += ms / 1000 + nanoseconds / 1000000000;
    end.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&mutex);
    while (!idle && pthread_cond_timedwait(&emptied, &mutex, &end) == 0) {
    }
    bool all = idle;
    pthread_mutex_unlock(&mutex);
    return all;
}
