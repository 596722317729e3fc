/* What the daemon says of the process that is to enter a container: a length, then words and their values. */
#include "monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 16 * 1024 * 1024 };

static bool read_all(int fd, void *into, size_t length) {
    for (uint8_t *at = into; length > 0;) {
        ssize_t got = read(fd, at, length);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

/* Lists grow; every other word is there once. */
struct found {
    size_t args, env, cgroups, limits, groups, others;
};

/* `word value`, ended by a zero byte. */
static bool take(struct entry *entry, struct found *found, char *text) {
    char *value = strchr(text, ' ');
    if (value == NULL) return false;
    *value++ = 0;
    const char *word = text;
    if (strcmp(word, "arg") == 0) entry->args[found->args++] = value;
    else if (strcmp(word, "env") == 0) entry->env[found->env++] = value;
    else if (strcmp(word, "cgroup") == 0) entry->cgroups[found->cgroups++] = value;
    else if (strcmp(word, "limit") == 0) entry->limits[found->limits++] = value;
    else if (strcmp(word, "group") == 0) entry->groups[found->groups++] = (gid_t)strtoul(value, NULL, 10);
    else {
        found->others++;
        if (strcmp(word, "pid") == 0) entry->pid = (pid_t)strtol(value, NULL, 10);
        else if (strcmp(word, "ticks") == 0) entry->start_ticks = strtoull(value, NULL, 10);
        else if (strcmp(word, "uid") == 0) entry->uid = (uid_t)strtoul(value, NULL, 10);
        else if (strcmp(word, "gid") == 0) entry->gid = (gid_t)strtoul(value, NULL, 10);
        else if (strcmp(word, "umask") == 0) entry->umask = (mode_t)strtoul(value, NULL, 8);
        else if (strcmp(word, "cwd") == 0) entry->cwd = value;
        else if (strcmp(word, "bounding") == 0) entry->bounding = strtoull(value, NULL, 16);
        else if (strcmp(word, "effective") == 0) entry->effective = strtoull(value, NULL, 16);
        else if (strcmp(word, "no-new-privileges") == 0) entry->no_new_privileges = strcmp(value, "false") != 0;
        else if (strcmp(word, "oom-score") == 0) entry->oom_score = value;
        else if (strcmp(word, "seccomp") == 0) entry->seccomp = strcmp(value, "unconfined") == 0 ? NULL : value;
        else return false;
    }
    return true;
}

enum { OTHERS = 11 };

struct entry *read_entry(int fd) {
    uint32_t length;
    size_t count = 0;
    struct found found = {0};
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL || !read_all(fd, &length, sizeof length) || length == 0 || length > MOST) return NULL;
    char *text = malloc(length);
    if (text == NULL || !read_all(fd, text, length) || text[length - 1] != 0) return NULL;
    for (size_t i = 0; i < length; i++) count += text[i] == 0;
    entry->args = calloc(count + 1, sizeof *entry->args);
    entry->env = calloc(count + 1, sizeof *entry->env);
    entry->cgroups = calloc(count + 1, sizeof *entry->cgroups);
    entry->limits = calloc(count + 1, sizeof *entry->limits);
    entry->groups = calloc(count + 1, sizeof *entry->groups);
    if (!entry->args || !entry->env || !entry->cgroups || !entry->limits || !entry->groups) return NULL;
    for (char *at = text, *next; at < text + length; at = next) {
        next = at + strlen(at) + 1;
        if (!take(entry, &found, at)) return NULL;
    }
    entry->group_count = found.groups;
    return found.args > 0 && found.cgroups > 0 && found.others == OTHERS && entry->cwd != NULL && entry->oom_score != NULL ? entry : NULL;
}
