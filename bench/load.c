/*
 * load.c - a closed-loop load generator for POST /v1/messages on a loopback port.
 *
 *     load --port PORT --body FILE [--connections N] [--seconds S] [--ramp PER_S] [--drain S] [--hold]
 *          [--path PATH] [--header 'name: value']...
 *
 * Each of N kept-alive connections sends the body, waits for the whole answer, checks it, and sends the body again.
 * After S seconds nothing new is sent, but answers under way are awaited (at most `--drain` seconds) and counted: the
 * CPU that a slow gateway spent on them is then not spent for nothing.
 *
 * --ramp opens so many connections a second instead of all at once, which also spreads them over time for good.
 * --hold sends one request on each connection and, when the time is over, drops what is still open.
 *
 * An answer is whole when its status is 200 and it holds "usage" or, if the body says "stream":true, when it is a
 * stream that reaches its message_stop.  Anything else is an error.  Prints one JSON object; times are in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_KEPT_TEXT (256u << 10) /* of one head, or of one JSON answer */
#define LINE_PREFIX 40             /* of an SSE line: enough for "event: content_block_delta" */
#define GIVE_UP_AFTER 2000         /* errors; a target that only fails need not be asked a million times */
#define EVENTS_PER_WAIT 512
#define READ_SIZE (64u << 10)

enum phase { CLOSED, CONNECTING, SENDING, IN_HEAD, IN_BODY };
enum framing { BY_LENGTH, BY_CHUNKS, BY_CLOSE };
enum chunk_state { CHUNK_SIZE, CHUNK_SIZE_REST, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

struct buffer {
    char *data;
    size_t length, capacity;
};

struct conn {
    int fd;
    enum phase phase;
    size_t sent;         /* bytes of the request */
    struct buffer text;  /* the head while it is incomplete, then the body unless it is a stream */
    int64_t started_ns, first_byte_ns;

    int status;
    bool is_stream, close_after;
    enum framing framing;
    size_t body_left; /* BY_LENGTH: of the body; BY_CHUNKS: of the chunk */
    enum chunk_state chunk_state;
    bool trailer_line_empty;

    char line[LINE_PREFIX]; /* the beginning of the SSE line that is being read */
    size_t line_length;
    bool saw_message_stop;
};

enum failure { REFUSED, STATUS, CUT, NOT_WHOLE, UNFINISHED, FAILURES };
static const char *const failure_names[FAILURES] = {"refused", "status", "cut", "not_whole", "unfinished"};

struct samples {
    int64_t *ns;
    size_t count, capacity;
};

static struct {
    int port;
    long connections;
    double seconds, ramp_per_s, drain_s;
    bool hold;
} options = {.connections = 1, .seconds = 2, .drain_s = 20};

static struct {
    long long answers, answers_in_time, events, reconnects, failures[FAILURES], failures_total;
    char first_failure[512];
    struct samples whole, first_byte;
} results;

static char *request;
static size_t request_length;
static bool wants_stream;
static int epoll_fd;
static int64_t stop_ns; /* no request is sent after this */
static long active;     /* connections that are not CLOSED */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *checked_realloc(void *old, size_t size) {
    void *new = realloc(old, size);
    if (!new) die("realloc");
    return new;
}

static void buffer_append(struct buffer *b, const char *text, size_t length) {
    if (b->length + length > MAX_KEPT_TEXT) length = MAX_KEPT_TEXT - b->length;
    if (b->length + length > b->capacity) {
        b->capacity = 2 * (b->length + length);
        b->data = checked_realloc(b->data, b->capacity);
    }
    if (length > 0) memcpy(b->data + b->length, text, length);
    b->length += length;
}

/* ---- what happened ------------------------------------------------------------------------------------------- */

static void samples_add(struct samples *s, int64_t ns) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 65536;
        s->ns = checked_realloc(s->ns, s->capacity * sizeof *s->ns);
    }
    s->ns[s->count++] = ns;
}

static int compare_ns(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, struct samples *s) {
    const int percents[] = {50, 90, 99, 100};
    if (s->count > 0) qsort(s->ns, s->count, sizeof *s->ns, compare_ns);
    printf(",\"%s\":{", name);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        size_t rank = s->count * (size_t)percents[i] / 100;
        if (rank >= s->count && rank > 0) rank = s->count - 1;
        printf("%s\"p%d\":%.1f", i > 0 ? "," : "", percents[i], s->count > 0 ? (double)s->ns[rank] / 1000 : 0.0);
    }
    printf("}");
}

/* Count a failure; the first one is kept with as much of the answer as fits. */
static void fail(enum failure failure, const struct conn *c, const char *why) {
    results.failures[failure]++;
    results.failures_total++;
    if (results.first_failure[0]) return;
    int kept = (int)(c->text.length < 300 ? c->text.length : 300);
    int n = snprintf(results.first_failure, sizeof results.first_failure, "%s: %s", failure_names[failure], why);
    if (c->status != 0)
        n += snprintf(results.first_failure + n, sizeof results.first_failure - (size_t)n, ", status %d: %.*s",
                      c->status, kept, kept > 0 ? c->text.data : "");
    for (int i = 0; i < n && results.first_failure[i]; i++) { /* fit for a JSON string */
        unsigned char ch = (unsigned char)results.first_failure[i];
        if (ch < ' ' || ch > '~' || ch == '\\') results.first_failure[i] = ' ';
        if (ch == '"') results.first_failure[i] = '\'';
    }
}

/* ---- sending ------------------------------------------------------------------------------------------------- */

static void watch(struct conn *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0) die("epoll_ctl");
}

static void conn_close(struct conn *c) {
    close(c->fd);
    c->fd = -1;
    c->phase = CLOSED;
    active--;
}

static void conn_open(struct conn *c) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    c->phase = CONNECTING;
    c->status = 0;
    c->text.length = 0;
    active++;
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        fail(REFUSED, c, strerror(errno));
        conn_close(c);
    } else
        watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

/* Send what is left of the request.  A connection that breaks here is noticed when it is read. */
static void send_more(struct conn *c) {
    while (c->sent < request_length) {
        ssize_t n = send(c->fd, request + c->sent, request_length - c->sent, MSG_NOSIGNAL);
        if (n < 0) return;
        c->sent += (size_t)n;
    }
}

static void start_request(struct conn *c) {
    c->phase = SENDING;
    c->sent = 0;
    c->status = 0;
    c->text.length = 0;
    c->first_byte_ns = 0;
    c->is_stream = c->close_after = false;
    c->line_length = 0;
    c->saw_message_stop = false;
    c->started_ns = now_ns();
    send_more(c);
    if (c->sent == request_length) c->phase = IN_HEAD;
}

/* ---- judging an answer --------------------------------------------------------------------------------------- */

static bool is_whole(const struct conn *c) {
    if (wants_stream) return c->is_stream && c->saw_message_stop;
    return c->text.length > 0 && memmem(c->text.data, c->text.length, "\"usage\"", 7);
}

/* The answer is over: count it, and send the next request on this or on a new connection. */
static void finish_answer(struct conn *c) {
    int64_t now = now_ns();
    if (c->status != 200)
        fail(STATUS, c, "not 200");
    else if (!is_whole(c))
        fail(NOT_WHOLE, c, wants_stream ? "no message_stop" : "no usage");
    else {
        results.answers++;
        if (now <= stop_ns) results.answers_in_time++;
        samples_add(&results.whole, now - c->started_ns);
        samples_add(&results.first_byte, c->first_byte_ns - c->started_ns);
    }
    bool again = !options.hold && now < stop_ns;
    if (again && !c->close_after) {
        start_request(c);
        if (c->phase == SENDING) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        return;
    }
    conn_close(c);
    if (again) {
        results.reconnects++;
        conn_open(c);
    }
}

static void finish_sse_line(struct conn *c) {
    const char field[] = "event:";
    size_t at = sizeof field - 1;
    if (c->line_length < at || memcmp(c->line, field, at) != 0) return;
    results.events++;
    while (at < c->line_length && c->line[at] == ' ') at++;
    const char last[] = "message_stop";
    if (c->line_length - at >= sizeof last - 1 && memcmp(c->line + at, last, sizeof last - 1) == 0)
        c->saw_message_stop = true;
}

static void take_body(struct conn *c, const char *at, size_t length) {
    if (length == 0) return;
    if (!c->first_byte_ns) c->first_byte_ns = now_ns();
    if (!c->is_stream) {
        buffer_append(&c->text, at, length);
        return;
    }
    for (const char *end = at + length; at < end;) { /* line by line; of each line only its beginning is kept */
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t piece = (size_t)((newline ? newline : end) - at);
        size_t room = LINE_PREFIX - c->line_length;
        size_t kept = piece < room ? piece : room;
        memcpy(c->line + c->line_length, at, kept);
        c->line_length += kept;
        if (!newline) break;
        finish_sse_line(c);
        c->line_length = 0;
        at = newline + 1;
    }
}

/* ---- receiving ----------------------------------------------------------------------------------------------- */

/* Decode chunks; returns true when the last one has been read.  Bytes behind it would be an error and are dropped. */
static bool take_chunks(struct conn *c, const char *at, size_t length) {
    const char *end = at + length;
    while (at < end) {
        switch (c->chunk_state) {
        case CHUNK_SIZE: {
            int ch = *at++, lower = ch | 32;
            if (ch >= '0' && ch <= '9')
                c->body_left = c->body_left * 16 + (size_t)(ch - '0');
            else if (lower >= 'a' && lower <= 'f')
                c->body_left = c->body_left * 16 + (size_t)(lower - 'a' + 10);
            else {
                c->chunk_state = CHUNK_SIZE_REST;
                at--;
            }
            break;
        }
        case CHUNK_SIZE_REST: /* an extension, or just the end of the line */
            if (*at++ == '\n') c->chunk_state = c->body_left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
            c->trailer_line_empty = true;
            break;
        case CHUNK_DATA: {
            size_t piece = (size_t)(end - at) < c->body_left ? (size_t)(end - at) : c->body_left;
            take_body(c, at, piece);
            at += piece;
            c->body_left -= piece;
            if (c->body_left == 0) c->chunk_state = CHUNK_DATA_END;
            break;
        }
        case CHUNK_DATA_END:
            if (*at++ == '\n') c->chunk_state = CHUNK_SIZE;
            break;
        case CHUNK_TRAILER:
            if (*at == '\n') {
                if (c->trailer_line_empty) return true;
                c->trailer_line_empty = true;
            } else if (*at != '\r')
                c->trailer_line_empty = false;
            at++;
            break;
        }
    }
    return false;
}

static bool value_begins(const char *line, const char *name_and_value) {
    return strncasecmp(line, name_and_value, strlen(name_and_value)) == 0;
}

/* Read the head, which ends at `end` with its empty line still to come. */
static void parse_head(struct conn *c, const char *head, const char *end) {
    c->status = end - head > 12 ? atoi(head + 9) : 0;
    c->framing = BY_CLOSE;
    c->body_left = 0;
    c->chunk_state = CHUNK_SIZE;
    for (const char *line = head; line < end;) {
        if (value_begins(line, "content-length:") && c->framing != BY_CHUNKS) {
            c->framing = BY_LENGTH;
            c->body_left = strtoul(line + strlen("content-length:"), NULL, 10);
        } else if (value_begins(line, "transfer-encoding: chunked")) {
            c->framing = BY_CHUNKS;
            c->body_left = 0;
        } else if (value_begins(line, "content-type: text/event-stream"))
            c->is_stream = true;
        else if (value_begins(line, "connection: close"))
            c->close_after = true;
        line = (const char *)memmem(line, (size_t)(end + 2 - line), "\r\n", 2) + 2;
    }
}

/* Take body bytes as they come off the socket; returns true at the end of the answer. */
static bool take_framed(struct conn *c, const char *at, size_t length) {
    if (c->framing == BY_CHUNKS) return take_chunks(c, at, length);
    if (c->framing == BY_CLOSE) {
        take_body(c, at, length);
        return false;
    }
    if (length > c->body_left) length = c->body_left;
    take_body(c, at, length);
    c->body_left -= length;
    return c->body_left == 0;
}

static void receive(struct conn *c) {
    static char bytes[READ_SIZE];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) { /* the peer closed: the end of an answer BY_CLOSE, else a cut */
        c->close_after = true;
        if (c->phase == IN_BODY && c->framing == BY_CLOSE) {
            finish_answer(c);
            return;
        }
        fail(CUT, c, n == 0 ? "closed by the target" : strerror(errno));
        conn_close(c);
        if (!options.hold && now_ns() < stop_ns) {
            results.reconnects++;
            conn_open(c);
        }
        return;
    }
    if (c->phase == IN_BODY) {
        if (take_framed(c, bytes, (size_t)n)) finish_answer(c);
        return;
    }
    size_t had = c->text.length;
    buffer_append(&c->text, bytes, (size_t)n);
    char *head_end = memmem(c->text.data, c->text.length, "\r\n\r\n", 4);
    if (!head_end) return;
    parse_head(c, c->text.data, head_end);
    size_t used = (size_t)(head_end - c->text.data) + 4 - had;
    c->text.length = 0;
    c->phase = IN_BODY;
    if (take_framed(c, bytes + used, (size_t)n - used)) finish_answer(c);
}

static void handle(struct conn *c, uint32_t events) {
    if (c->phase == CONNECTING) {
        int error = 0;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
        if (error) {
            fail(REFUSED, c, strerror(error));
            conn_close(c);
            return;
        }
        start_request(c);
        if (c->phase == IN_HEAD) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    } else if (c->phase == SENDING && events & EPOLLOUT) {
        send_more(c);
        if (c->sent == request_length) {
            c->phase = IN_HEAD;
            watch(c, EPOLL_CTL_MOD, EPOLLIN);
        }
    }
    if (c->phase != CLOSED && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
}

/* ---- the run ------------------------------------------------------------------------------------------------- */

static struct conn *run(void) {
    struct conn *conns = calloc((size_t)options.connections, sizeof *conns);
    if (!conns) die("calloc");
    epoll_fd = epoll_create1(0);
    const int64_t start_ns = now_ns();
    stop_ns = start_ns + (int64_t)(options.seconds * 1e9);
    const int64_t give_up_ns = stop_ns + (options.hold ? 0 : (int64_t)(options.drain_s * 1e9));
    long opened = 0;

    for (;;) {
        int64_t now = now_ns();
        long due = options.connections;
        if (options.ramp_per_s > 0 && (double)(now - start_ns) / 1e9 * options.ramp_per_s + 1 < (double)due)
            due = (long)((double)(now - start_ns) / 1e9 * options.ramp_per_s) + 1;
        while (opened < due && now < stop_ns) conn_open(&conns[opened++]);

        bool all_sent = now >= stop_ns || opened == options.connections;
        if (now >= give_up_ns || (active == 0 && all_sent) || results.failures_total >= GIVE_UP_AFTER) break;

        int64_t left_ms = ((now < stop_ns ? stop_ns : give_up_ns) - now) / 1000000 + 1;
        int timeout_ms = !all_sent ? 1 : left_ms < 1000 ? (int)left_ms : 1000;
        struct epoll_event events[EVENTS_PER_WAIT];
        int n = epoll_wait(epoll_fd, events, EVENTS_PER_WAIT, timeout_ms);
        for (int i = 0; i < n; i++) handle(events[i].data.ptr, events[i].events);
    }
    return conns;
}

static void report(struct conn *conns) {
    long open = 0, begun = 0;
    for (struct conn *c = conns; c < conns + options.connections; c++) {
        if (c->phase == CLOSED) continue;
        open++;
        if (c->first_byte_ns) begun++;
        if (!options.hold) fail(UNFINISHED, c, "no end of the answer in time");
    }
    printf("{\"answers\":%lld,\"rps\":%.1f,\"events\":%lld", results.answers,
           (double)results.answers_in_time / options.seconds, results.events);
    printf(",\"open\":%ld,\"begun\":%ld,\"reconnects\":%lld", open, begun, results.reconnects);
    printf(",\"errors\":%lld", results.failures_total);
    for (int i = 0; i < FAILURES; i++) printf(",\"%s\":%lld", failure_names[i], results.failures[i]);
    printf(",\"first_error\":\"%s\"", results.first_failure);
    print_samples("whole_us", &results.whole);
    print_samples("first_byte_us", &results.first_byte);
    printf("}\n");
}

/* ---- the command line ---------------------------------------------------------------------------------------- */

static struct buffer read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    struct buffer content = {0};
    char piece[4096];
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;) buffer_append(&content, piece, n);
    fclose(file);
    return content;
}

static void build_request(const char *path, const char *headers, struct buffer body) {
    size_t size = strlen(path) + strlen(headers) + body.length + 512;
    request = checked_realloc(NULL, size);
    int n = snprintf(request, size,
                     "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nuser-agent: headgate-bench\r\naccept: */*\r\n"
                     "content-type: application/json\r\n%scontent-length: %zu\r\n\r\n",
                     path, options.port, headers, body.length);
    memcpy(request + n, body.data, body.length);
    request_length = (size_t)n + body.length;
    wants_stream = memmem(body.data, body.length, "\"stream\":true", 13) != NULL;
}

static void misuse(const char *why) {
    fprintf(stderr, "load: %s; see the head of load.c for the options\n", why);
    exit(2);
}

int main(int argc, char **argv) {
    enum { PORT, BODY, CONNECTIONS, SECONDS, RAMP, DRAIN, HOLD, PATH, HEADER };
    static const struct option known[] = {
        {"port", required_argument, NULL, PORT},       {"body", required_argument, NULL, BODY},
        {"connections", required_argument, NULL, CONNECTIONS}, {"seconds", required_argument, NULL, SECONDS},
        {"ramp", required_argument, NULL, RAMP},       {"drain", required_argument, NULL, DRAIN},
        {"hold", no_argument, NULL, HOLD},             {"path", required_argument, NULL, PATH},
        {"header", required_argument, NULL, HEADER},   {NULL, 0, NULL, 0},
    };
    const char *path = "/v1/messages";
    struct buffer headers = {0}, body = {0};
    for (int which; (which = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (which) {
        case PORT: options.port = atoi(optarg); break;
        case BODY: body = read_file(optarg); break;
        case CONNECTIONS: options.connections = atol(optarg); break;
        case SECONDS: options.seconds = atof(optarg); break;
        case RAMP: options.ramp_per_s = atof(optarg); break;
        case DRAIN: options.drain_s = atof(optarg); break;
        case HOLD: options.hold = true; break;
        case PATH: path = optarg; break;
        case HEADER:
            buffer_append(&headers, optarg, strlen(optarg));
            buffer_append(&headers, "\r\n", 2);
            break;
        default: misuse("unknown option");
        }
    }
    buffer_append(&headers, "", 1); /* the NUL */
    if (options.port <= 0 || body.length == 0) misuse("--port and --body are needed");
    if (options.connections < 1 || options.seconds <= 0) misuse("--connections and --seconds must be positive");

    build_request(path, headers.data, body);
    struct conn *conns = run();
    report(conns);

    for (struct conn *c = conns; c < conns + options.connections; c++) {
        if (c->phase != CLOSED) conn_close(c);
        free(c->text.data);
    }
    free(conns);
    free(headers.data);
    free(body.data);
    free(request);
    free(results.whole.ns);
    free(results.first_byte.ns);
    return 0;
}
