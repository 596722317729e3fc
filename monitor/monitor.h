/*
 * gantry-monitor: one tiny process for each container or exec. It keeps the stdio, writes the log, reaps the
 * process and records the exit, and goes on when the daemon dies.
 *
 *   gantry-monitor monitor [options] -- <OCI runtime command>     see main.c
 *   gantry-monitor enter [options]                                a process into a running container, see enter.c
 *   docker-init [--] <command>                                    the container's pid 1, see init.c
 *
 * The working directory of the first is the state directory; every file and socket in it is named relative to it, so that
 * a deep path never meets the 108 bytes of sockaddr_un. See README.md for files and protocol.
 */
#ifndef GANTRY_MONITOR_H
#define GANTRY_MONITOR_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { STDOUT = 0, STDERR = 1, STREAMS = 2 };

struct options {
    const char *log_path; /* NULL: no log */
    uint64_t log_max_size; /* 0: never rotate */
    unsigned log_max_files;
    bool log_compress;
    /* `unix:PATH`, `unixgram:PATH`, `tcp:IP:PORT`, `udp:IP:PORT`, `program:` (see remote.c); NULL: nobody is told */
    const char *log_remote;
    const char *log_format; /* journal, unix, rfc3164, rfc5424, rfc5424micro */
    int log_facility;
    const char *log_tag, *log_host;
    bool log_octets; /* the length before each message (RFC 5425, 4.3) */
    size_t log_buffer; /* bytes that wait for a slow log before the oldest lines go; 0: it slows the process */
    const char *oom_path; /* memory.events (v2) or memory.oom_control (v1); NULL: don't look */
    bool tty, open_stdin, stdin_once;
    uid_t uid; /* owner of the pipes, so that the process can open them anew by /proc/self/fd */
    gid_t gid;
    unsigned short width, height; /* first size of the terminal; 0: the kernel's */
    char **command; /* the OCI runtime's argv */
    struct entry *entry; /* in its place: the process enters a running container */
    bool attached; /* of an entry: it has an attacher from the start */
};

/* What the daemon hands to `enter`: control at once, then the attacher that there may be. */
enum { CONTROL_FD = 3, ATTACHER_FD = 4 };

/* A process that is to enter a running container. Lists end with NULL. */
struct sock_filter;
struct entry {
    pid_t pid; /* the container's first process */
    unsigned long long start_ticks; /* of it */
    uid_t uid;
    gid_t gid, *groups;
    size_t group_count;
    mode_t umask;
    uint64_t bounding, effective; /* capabilities, a bit each; the permitted ones are the effective ones */
    bool no_new_privileges;
    const char *cwd, *oom_score;
    const char *seccomp; /* file with the compiled program; NULL: none */
    struct sock_filter *filter; /* what is in it */
    unsigned short instructions;
    char **cgroups; /* directories */
    char **limits; /* `resource soft hard` */
    char **args, **env;
};

/* request.c */
/* NULL when it is cut short or makes no sense. */
struct entry *read_entry(int fd);

/* enter.c */
/* Starts it with these three descriptors as its stdio. `outcome` ends without a word when the program runs, and with the
 * reason when it can't. Returns its pid, 0 when the outcome is known already, or -1. */
pid_t enter_container(struct entry *entry, const int theirs[3], bool own_stdin, int *outcome);

/* record.c */
int64_t now_ms(void);
/* Writes `name` in the state directory in one step: readers see the whole text or no file. */
bool write_file(const char *name, const char *text);
/* Reads at most size-1 bytes and terminates them; -1 when there is no such file. */
ssize_t read_file(const char *path, char *into, size_t size);
/* What the kernel killed for memory, and the most bytes of memory and swap that there were; zeros: nothing. */
struct oom {
    unsigned long long kills, peak, swap;
};
/* From the control file that counts the kills and those beside it. */
struct oom read_oom(const char *path);
/* Field 22 of /proc/<pid>/stat: with the pid it names a process for ever. 0 when it's gone. */
unsigned long long start_ticks(pid_t pid);

/* log.c */
enum { LOG_LINE = 16 * 1024 };
struct timespec;
void log_open(const struct options *options);
void log_write(int stream, const uint8_t *data, size_t length);
/* Writes what is left of unfinished lines and closes. A receiver may still be owed lines: see queue_wait. */
void log_close(void);

/* RFC 3339 in UTC with nine digits. */
size_t format_time(char *into, size_t room, const struct timespec *when);

/* `whole`: the text ends its line. */
typedef void record_sink(int stream, const uint8_t *text, size_t length, bool whole, const struct timespec *when);

/* queue.c */
/* Records go `to` a thread's sink from now on, which calls `when_idle` when it has them all. At most `size` bytes wait;
 * `dropping`: then the oldest go, else queue_room says how much more output may come. */
bool queue_open(size_t size, bool dropping, record_sink *to, void (*when_idle)(void));
record_sink queue_put;
/* Bytes of output whose records are sure to find room. */
size_t queue_room(void);
/* Readable when there is room again after queue_room said 0; queue_heed clears it. -1: there is no queue. */
int queue_event(void);
void queue_heed(void);
/* Nothing more comes. */
void queue_close(void);
bool queue_closed(void);
/* Waits until all is handed over; false when it isn't by then. */
bool queue_wait(int64_t ms);

/* The two kinds of log. `open` says whether it is wanted. */
/* jsonlog.c */
bool json_open(const struct options *options);
record_sink json_record;
void json_flush(void);
void json_close(void);
/* remote.c */
bool remote_open(const struct options *options);
record_sink remote_record;

/* start.c */
struct stdio {
    int in; /* write end of stdin or the pty's master; -1: none */
    int out[STREAMS]; /* read ends; a terminal has only STDOUT */
    int runtime_errors; /* the runtime's own stderr when a terminal takes the container's; else -1 */
    int console_listener; /* -1 once the terminal has come */
    int outcome; /* of an entry; else -1 */
};
/* Starts the OCI runtime, or the process that enters. Returns its pid, or -1. */
pid_t start_runtime(const struct options *options, struct stdio *stdio);
/* Once it has ended: the host's /dev/null is root's again. */
void take_back_null(void);
/* Takes the pty's master from the runtime's connection to console.sock. */
bool receive_console(const struct options *options, struct stdio *stdio);
bool set_size(int terminal, unsigned short width, unsigned short height);

/* clients.c: the connections to monitor.sock, and the bytes on their way to and from them */
enum { MAX_CLIENTS = 256 };
/* Acts on a line of a control connection; the replies go to every control connection by clients_tell. */
typedef void on_command(const char *line);

void clients_accept(int listener);
/* A connection that is there already. */
void clients_adopt(int fd);
bool clients_full(void);
/* There was a control connection; and: the last one is gone. */
bool clients_attended(void);
bool clients_abandoned(void);
/* Fills MAX_CLIENTS entries at most and returns how many; clients_handle takes the same entries after poll. */
size_t clients_poll(struct pollfd *entries);
void clients_handle(const struct pollfd *entries, size_t count, struct stdio *stdio, on_command *command);
/* Sends to every control connection, now and (as its greeting) later. */
void clients_tell(const char *text);

/* After the exit: drops stdin and says "end" to each client that has all its output; true when all have. */
bool clients_finish(struct stdio *stdio);
bool clients_none(void);

/* Bytes that one stream may read now: 0 while attachers are behind. `last`: the end of the process is in sight. */
size_t output_room(bool last);
/* Reads a chunk for the log and the attachers. False at the stream's end. */
bool output_read(int stream, int fd, bool last);
bool output_pending(void);
/* Output without a terminal that was read elsewhere, before any other: EARLY_OUTPUT at most. */
enum { EARLY_OUTPUT = 256 * 1024 };
void output_put(int stream, const uint8_t *data, size_t length);

/* Stdin of attachers that the process has not taken yet. */
bool input_pending(void);
/* The process is there: stdin is taken from now on. */
void input_start(struct stdio *stdio);
void input_write(struct stdio *stdio);
/* Closes stdin once the pending bytes are written. A terminal stays open, as Docker's does. */
void input_close(struct stdio *stdio);

/* What attachers mean; set once before the first client. */
void clients_configure(const struct options *options);

/* serve.c */
int serve(const struct options *options);

/* init.c */
int init_main(char **command);

#endif
