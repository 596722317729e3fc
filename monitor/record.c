/* What the monitor writes down and reads up: small files, times, and whether the kernel killed for memory. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool write_file(const char *name, const char *text) {
    char temporary[64];
    snprintf(temporary, sizeof temporary, ".%s.new", name);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    size_t length = strlen(text);
    bool ok = write(fd, text, length) == (ssize_t)length;
    close(fd);
    return ok && rename(temporary, name) == 0;
}

ssize_t read_file(const char *path, char *into, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t have = 0;
    while (have < size - 1) {
        ssize_t got = read(fd, into + have, size - 1 - have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        have += (size_t)got;
    }
    close(fd);
    into[have] = 0;
    return (ssize_t)have;
}

/* A number in a control file beside `path`; 0 when there is none. */
static unsigned long long figure(const char *path, const char *name) {
    char beside[4096], text[32];
    const char *slash = strrchr(path, '/');
    int directory = slash == NULL ? 0 : (int)(slash + 1 - path);
    snprintf(beside, sizeof beside, "%.*s%s", directory, path, name);
    return read_file(beside, text, sizeof text) < 0 ? 0 : strtoull(text, NULL, 10);
}

struct oom read_oom(const char *path) {
    char text[1024];
    struct oom oom = {0};
    if (path == NULL || read_file(path, text, sizeof text) < 0) return oom;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (strncmp(line, "oom_kill ", 9) == 0) oom.kills = strtoull(line + 9, NULL, 10);
    if (oom.kills == 0) return oom;
    if ((oom.peak = figure(path, "memory.peak")) > 0) oom.swap = figure(path, "memory.swap.peak");
    else {
        oom.peak = figure(path, "memory.max_usage_in_bytes");
        unsigned long long both = figure(path, "memory.memsw.max_usage_in_bytes");
        oom.swap = both > oom.peak ? both - oom.peak : 0;
    }
    return oom;
}

unsigned long long start_ticks(pid_t pid) {
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_file(path, text, sizeof text) < 0) return 0;
    char *at = strrchr(text, ')'); /* the name before it may hold anything */
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at, ' ');
        if (at != NULL) at++;
    }
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}
