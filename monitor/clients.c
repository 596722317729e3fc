/*
 * Connections: control ones take commands and hear what happens, attachers get the output and give stdin.
 *
 * Output lies in one buffer of stdcopy frames (raw for a terminal); each attacher has its own position in it
 * and the buffer empties when all have reached its end. While it is full nothing is read from the process, so
 * a slow attacher slows the process; one that disconnects is forgotten at once.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 8, CHUNK = 64 * 1024, OUTPUT = 256 * 1024, LAST_OUTPUT = 1024 * 1024, ATTACH_STDIN = 1 };

static const struct options *options;

static struct client {
    int fd;
    enum { NEW, CONTROL, ATTACHING, ATTACHED } kind;
    bool wants_stdin, streams[STREAMS];
    bool sent_all_stdin; /* its writing side is shut down */
    bool finished; /* told that nothing more comes */
    bool gone; /* it hung up; only its last stdin bytes are still of interest */
    size_t sent, frame_end; /* positions in the output */
    char line[64];
    size_t line_length;
} clients[MAX_CLIENTS];
static size_t client_count;

static uint8_t output[LAST_OUTPUT];
static size_t output_length;

static uint8_t input[CHUNK];
static size_t input_offset, input_length;
static bool input_ready, input_ending;

static char greeting[256];
static bool attended;

void clients_configure(const struct options *given) { options = given; }

bool clients_full(void) { return client_count == MAX_CLIENTS; }

bool clients_attended(void) { return attended; }

bool clients_abandoned(void) {
    for (size_t i = 0; i < client_count; i++)
        if (clients[i].kind == CONTROL) return false;
    return attended;
}

void clients_accept(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) clients[client_count++] = (struct client){.fd = fd, .kind = NEW};
}

void clients_adopt(int fd) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    clients[client_count++] = (struct client){.fd = fd, .kind = NEW};
}

static void say(struct client *client, const char *text) {
    /* Short lines into an empty socket buffer; whoever stops reading them loses them. */
    if (send(client->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) client->gone = true;
}

void clients_tell(const char *text) {
    size_t have = strlen(greeting), length = strlen(text);
    if (have + length < sizeof greeting) memcpy(greeting + have, text, length + 1);
    for (size_t i = 0; i < client_count; i++)
        if (clients[i].kind == CONTROL) say(&clients[i], text);
}

/* Output */

/* Moves over frames the client did not ask for; false when nothing is left to send. */
static bool find_next(struct client *client) {
    if (client->kind != ATTACHED || client->gone) return false;
    if (options->tty ? client->streams[STDOUT] : client->streams[STDOUT] && client->streams[STDERR]) {
        client->frame_end = output_length;
        return client->sent < output_length;
    }
    if (options->tty) client->sent = client->frame_end = output_length;
    while (client->sent == client->frame_end && client->sent < output_length) {
        const uint8_t *frame = output + client->sent;
        size_t length = (size_t)frame[4] << 24 | (size_t)frame[5] << 16 | (size_t)frame[6] << 8 | frame[7];
        client->frame_end += HEADER + length;
        if (!client->streams[frame[0] - 1]) client->sent = client->frame_end;
    }
    return client->sent < client->frame_end;
}

static void send_output(struct client *client) {
    while (find_next(client)) {
        ssize_t sent = send(client->fd, output + client->sent, client->frame_end - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) client->sent += (size_t)sent;
        else if (errno != EINTR) {
            if (errno != EAGAIN) client->gone = true;
            return;
        }
    }
}

bool output_pending(void) {
    bool pending = false;
    for (size_t i = 0; i < client_count; i++) pending |= find_next(&clients[i]);
    if (!pending && output_length > 0) {
        output_length = 0;
        for (size_t i = 0; i < client_count; i++) clients[i].sent = clients[i].frame_end = 0;
    }
    return pending;
}

size_t output_room(bool last) {
    if (!output_pending()) return CHUNK;
    size_t limit = last ? LAST_OUTPUT : OUTPUT;
    return output_length + HEADER + CHUNK <= limit ? CHUNK : 0;
}

/* What is `length` bytes behind the place of a header at the output's end becomes a frame there. */
static void add_frame(int stream, size_t length, size_t header) {
    uint8_t *frame = output + output_length;
    log_write(stream, frame + header, length);
    if (header > 0) {
        const uint8_t head[HEADER] = {(uint8_t)(stream + 1), 0, 0, 0, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                      (uint8_t)(length >> 8), (uint8_t)length};
        memcpy(frame, head, HEADER);
    }
    output_length += header + length;
    for (size_t i = 0; i < client_count; i++) send_output(&clients[i]);
    output_pending(); /* empties the buffer when everyone has it all, or nobody listens */
}

void output_put(int stream, const uint8_t *data, size_t length) {
    for (size_t take; length > 0; data += take, length -= take) {
        take = length < CHUNK ? length : CHUNK;
        memcpy(output + output_length + HEADER, data, take);
        add_frame(stream, take, HEADER);
    }
}

bool output_read(int stream, int fd, bool last) {
    size_t room = output_room(last), log_room = queue_room(), header = options->tty ? 0 : HEADER;
    if (log_room < room) room = log_room;
    if (room == 0) return true;
    ssize_t got = read(fd, output + output_length + header, room);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    add_frame(stream, (size_t)got, header);
    return true;
}

/* Stdin */

bool input_pending(void) { return input_length > 0; }

static void close_input(struct stdio *stdio) {
    if (stdio->in >= 0 && stdio->in != stdio->out[STDOUT]) close(stdio->in);
    stdio->in = -1;
    input_offset = input_length = 0;
}

void input_write(struct stdio *stdio) {
    while (input_length > 0 && stdio->in >= 0) {
        ssize_t wrote = write(stdio->in, input + input_offset, input_length);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0 && errno == EAGAIN) return;
        if (wrote < 0) { /* nobody reads stdin any more: what still comes is dropped */
            close_input(stdio);
            return;
        }
        input_offset += (size_t)wrote;
        input_length -= (size_t)wrote;
    }
    input_offset = 0;
    if (input_ending) close_input(stdio);
}

void input_close(struct stdio *stdio) {
    if (options->tty) return;
    input_ending = true;
    if (input_ready && input_length == 0) close_input(stdio);
}

void input_start(struct stdio *stdio) {
    input_ready = true;
    if (input_ending) close_input(stdio);
}

static void end_of_stdin(struct client *client, struct stdio *stdio) {
    client->sent_all_stdin = true;
    if (options->stdin_once) input_close(stdio);
}

static void take_stdin(struct client *client, struct stdio *stdio) {
    ssize_t got = recv(client->fd, input, sizeof input, MSG_DONTWAIT);
    if (got > 0) {
        if (stdio->in < 0 || input_ending) return; /* dropped */
        input_offset = 0;
        input_length = (size_t)got;
        input_write(stdio);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) end_of_stdin(client, stdio);
}

/* Requests */

static void take_commands(struct client *client, on_command *command) {
    ssize_t got = recv(client->fd, client->line + client->line_length, sizeof client->line - client->line_length, MSG_DONTWAIT);
    if (got <= 0) {
        client->gone = got == 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
    client->line_length += (size_t)got;
    for (char *end; (end = memchr(client->line, '\n', client->line_length)) != NULL;) {
        *end = 0;
        command(client->line);
        client->line_length -= (size_t)(end + 1 - client->line);
        memmove(client->line, end + 1, client->line_length);
    }
    if (client->line_length == sizeof client->line) client->gone = true; /* no command is that long */
}

/* The first byte says what a connection is for: C control; A and a digit attach (1 stdin, 2 stdout, 4 stderr). */
static void take_request(struct client *client) {
    char byte;
    ssize_t got = recv(client->fd, &byte, 1, MSG_DONTWAIT);
    if (got <= 0) client->gone = got == 0 || (errno != EAGAIN && errno != EINTR);
    else if (client->kind == ATTACHING && byte >= '0' && byte <= '7') {
        int flags = byte - '0';
        client->kind = ATTACHED;
        client->wants_stdin = flags & ATTACH_STDIN;
        client->streams[STDOUT] = flags & 2;
        client->streams[STDERR] = flags & 4;
        client->sent = client->frame_end = output_length;
        say(client, "+");
    } else if (client->kind == NEW && byte == 'C') {
        client->kind = CONTROL;
        attended = true;
        say(client, greeting[0] == 0 ? "waiting\n" : greeting);
    } else if (client->kind == NEW && byte == 'A') client->kind = ATTACHING;
    else client->gone = true;
}

static bool gives_stdin(const struct client *client) {
    return client->kind == ATTACHED && client->wants_stdin && !client->sent_all_stdin;
}

/* Before the process is there its stdin waits in the attachers' sockets. */
static bool takes_stdin(void) { return input_ready && input_length == 0; }

size_t clients_poll(struct pollfd *entries) {
    for (size_t i = 0; i < client_count; i++) {
        struct client *client = &clients[i];
        short events = 0;
        if (client->kind != ATTACHED || (gives_stdin(client) && takes_stdin())) events |= POLLIN;
        if (find_next(client)) events |= POLLOUT;
        /* One that hung up would wake us for ever while its last bytes wait for their turn. */
        entries[i] = (struct pollfd){.fd = client->gone && !takes_stdin() ? -1 : client->fd, .events = events};
    }
    return client_count;
}

void clients_handle(const struct pollfd *entries, size_t count, struct stdio *stdio, on_command *command) {
    for (size_t i = 0; i < count; i++) {
        struct client *client = &clients[i];
        short events = entries[i].revents;
        if (events == 0) continue;
        if (client->kind == CONTROL) take_commands(client, command);
        else if (client->kind != ATTACHED) take_request(client);
        else {
            if (events & (POLLHUP | POLLERR)) client->gone = true;
            if (events & POLLOUT) send_output(client);
            if (gives_stdin(client) && takes_stdin() && events & (POLLIN | POLLHUP | POLLERR)) take_stdin(client, stdio);
        }
    }
    for (size_t i = client_count; i-- > 0;) {
        if (!clients[i].gone || gives_stdin(&clients[i])) continue;
        close(clients[i].fd);
        clients[i] = clients[--client_count];
    }
}

bool clients_finish(struct stdio *stdio) {
    close_input(stdio);
    input_ready = true; /* to read what attachers still send, for nothing */
    bool waiting = false;
    for (size_t i = 0; i < client_count; i++) {
        struct client *client = &clients[i];
        if (find_next(client)) waiting = true;
        else if (!client->finished) {
            /* Not a close: unread stdin would turn the peer's end of file into a reset. */
            shutdown(client->fd, SHUT_WR);
            client->finished = true;
        }
    }
    return !waiting;
}

bool clients_none(void) { return client_count == 0; }
