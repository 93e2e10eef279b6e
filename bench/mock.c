/*
 * mock.c - a stand-in for the Claude Messages API that is too fast to be what a benchmark measures.
 *
 *     mock [PORT]        listens on 127.0.0.1 (no PORT or 0: any free one) and prints the port on its first line
 *
 * One thread, epoll, HTTP/1.1 with keep-alive, request bodies with Content-Length or in chunks.  It answers
 * `POST .../v1/messages` with a Message of about 690 bytes, or with a stream of server-sent events (each event its own
 * chunk) when the body says "stream": true.  Anything else gets an error in Anthropic's envelope.
 *
 * The request chooses the behaviour by markers anywhere in the TEXT of its body, because text survives every gateway:
 *
 *     delay=MS           wait before the first byte of the answer        (default 0)
 *     gap=MS             wait between the events of a stream             (default 0: the whole stream at once)
 *     deltas=N           content_block_delta events in a stream          (default 50)
 *
 * The rate-limit headers name limits that no benchmark reaches, so that a gateway which paces never has to wait.
 * SIGINT and SIGTERM end it; the last line, on stderr, is a JSON object of what it counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
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

#define MAX_HEAD (64u << 10)
#define MAX_REQUEST (64u << 20)
#define MAX_DELTAS 100000
#define DEFAULT_DELTAS 50
#define DELTA_TEXTS 8
#define EVENTS_PER_WAIT 512

/* Where every answer gets its own number: 16 characters, in the request id and in the message id. */
#define SERIAL "################"
#define SERIAL_LENGTH (sizeof SERIAL - 1)

enum phase {
    READING,   /* waiting for the rest of a request */
    DELAYED,   /* the request is complete, its `delay` is running */
    STREAMING, /* the opening events are out, deltas or the closing events are due */
};

struct buffer {
    char *data;
    size_t start; /* first byte still of use */
    size_t end;
    size_t capacity;
};

struct conn {
    int fd;
    enum phase phase;
    bool dead;            /* to be freed by the event loop, nowhere else */
    bool close_after;     /* the client said "connection: close" */
    bool awaits_writable; /* EPOLLOUT is switched on */
    struct buffer in, out;

    bool wants_stream;
    long delay_ms, gap_ms, deltas, deltas_sent;

    int64_t due_us;  /* when the timer fires */
    long timer_slot; /* place in the timer heap, -1 when not in it */
};

/* An answer, or a part of one, ready to copy; only its serial numbers change. */
struct template {
    char text[4096];
    size_t length;
    size_t serial_at[2];
    int serials;
};

static struct template whole_answer, stream_opening, stream_delta[DELTA_TEXTS], stream_closing;
static struct {
    long long requests, streams, events, abandoned, rejected;
} counts;
static int epoll_fd;
static uint64_t next_serial;
static volatile sig_atomic_t stopping;

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

static size_t buffer_used(const struct buffer *b) { return b->end - b->start; }

/* Make room for `extra` bytes at the end. */
static void buffer_reserve(struct buffer *b, size_t extra) {
    if (b->start == b->end) b->start = b->end = 0;
    if (b->end + extra <= b->capacity) return;
    if (b->start > 0) {
        memmove(b->data, b->data + b->start, buffer_used(b));
        b->end -= b->start;
        b->start = 0;
        if (b->end + extra <= b->capacity) return;
    }
    size_t capacity = b->capacity ? b->capacity : 8192;
    while (capacity < b->end + extra) capacity *= 2;
    b->data = realloc(b->data, capacity);
    if (!b->data) die("realloc");
    b->capacity = capacity;
}

static void buffer_append(struct buffer *b, const char *text, size_t length) {
    buffer_reserve(b, length);
    memcpy(b->data + b->end, text, length);
    b->end += length;
}

/* ---- what it says -------------------------------------------------------------------------------------------- */

static const char *const delta_texts[DELTA_TEXTS] = {
    "The gateway", " forwards the", " request body", " upstream, and", " counts the", " tokens of", " each answer",
    " as it comes.",
};

#define CACHE_USAGE \
    "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0"
#define START_USAGE                                                                                                   \
    "\"input_tokens\":215," CACHE_USAGE ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"                       \
    "\"ephemeral_1h_input_tokens\":0},\"service_tier\":\"standard\",\"inference_geo\":\"global\""

static const char message_text[] =
    "{\"id\":\"msg_01" SERIAL "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-5-5\","
    "\"content\":[{\"type\":\"text\",\"text\":\"The gateway reads the request, checks the caller and its limits, sends "
    "the body on with its own credential, and records the usage that the answer reports. An error of the upstream goes "
    "back to the caller as it came, with its status and body.\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
    "\"stop_details\":null,\"usage\":{" START_USAGE ",\"output_tokens\":63}}";

static void template_add(struct template *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void template_add(struct template *t, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(t->text + t->length, sizeof t->text - t->length, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof t->text - t->length) die("template too long");
    t->length += (size_t)n;
}

/* One server-sent event, in a chunk of its own. */
static void template_add_event(struct template *t, const char *name, const char *data) {
    size_t length = strlen("event: \ndata: \n\n") + strlen(name) + strlen(data);
    template_add(t, "%zx\r\nevent: %s\ndata: %s\n\n\r\n", length, name, data);
}

static void template_find_serials(struct template *t) {
    t->serials = 0;
    for (char *at = t->text; (at = strstr(at, SERIAL)); at += SERIAL_LENGTH)
        t->serial_at[t->serials++] = (size_t)(at - t->text);
}

/* Every limit is far above the reach of a benchmark, and all but untouched. */
static void template_add_limit(struct template *t, const char *name, long limit, long remaining, const char *reset) {
    template_add(t, "anthropic-ratelimit-%s-limit: %ld\r\nanthropic-ratelimit-%s-remaining: %ld\r\n", name, limit, name,
                 remaining);
    template_add(t, "anthropic-ratelimit-%s-reset: %s\r\n", name, reset);
}

static void template_start_head(struct template *t, time_t now) {
    char date[64], reset[64];
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    now += 1; /* what was taken is back in a second at the latest */
    gmtime_r(&now, &utc);
    strftime(reset, sizeof reset, "%Y-%m-%dT%H:%M:%SZ", &utc);
    t->length = 0;
    template_add(t, "HTTP/1.1 200 OK\r\ndate: %s\r\nserver: mock\r\nrequest-id: req_01" SERIAL "\r\n", date);
    template_add(t, "anthropic-organization-id: 00000000-0000-4000-8000-000000000000\r\n");
    template_add_limit(t, "requests", 10000000, 9999999, reset);
    template_add_limit(t, "input-tokens", 2000000000, 1999999000, reset);
    template_add_limit(t, "output-tokens", 400000000, 399999000, reset);
    template_add_limit(t, "tokens", 2400000000, 2399998000, reset);
}

/* The templates that hold a date are written again when the second changes. */
static void render_dated(time_t now) {
    struct template *t = &whole_answer;
    template_start_head(t, now);
    template_add(t, "content-type: application/json\r\ncontent-length: %zu\r\n\r\n", strlen(message_text));
    template_add(t, "%s", message_text);
    template_find_serials(t);

    t = &stream_opening;
    template_start_head(t, now);
    template_add(t, "content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
                    "transfer-encoding: chunked\r\n\r\n");
    template_add_event(t, "message_start",
                       "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_01" SERIAL "\",\"type\":\"message\","
                       "\"role\":\"assistant\",\"model\":\"claude-sonnet-5-5\",\"content\":[],\"stop_reason\":null,"
                       "\"stop_sequence\":null,\"usage\":{" START_USAGE ",\"output_tokens\":2}}}");
    template_add_event(t, "content_block_start",
                       "{\"type\":\"content_block_start\",\"index\":0,"
                       "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
    template_add_event(t, "ping", "{\"type\":\"ping\"}");
    template_find_serials(t);
}

static void render_undated(void) {
    for (int i = 0; i < DELTA_TEXTS; i++) {
        char data[256];
        snprintf(data, sizeof data,
                 "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}",
                 delta_texts[i]);
        template_add_event(&stream_delta[i], "content_block_delta", data);
    }
    struct template *t = &stream_closing;
    template_add_event(t, "content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}");
    template_add_event(t, "message_delta",
                       "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                       "\"usage\":{\"input_tokens\":215," CACHE_USAGE ",\"output_tokens\":163}}");
    template_add_event(t, "message_stop", "{\"type\":\"message_stop\"}");
    template_add(t, "0\r\n\r\n");
}

/* ---- timers: a binary heap, earliest first ------------------------------------------------------------------- */

static struct conn **timers;
static long timer_count, timer_capacity;

static void timer_put(long slot, struct conn *c) {
    timers[slot] = c;
    c->timer_slot = slot;
}

static void timer_up(long slot, struct conn *c) {
    while (slot > 0 && timers[(slot - 1) / 2]->due_us > c->due_us) {
        timer_put(slot, timers[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    timer_put(slot, c);
}

static void timer_down(long slot, struct conn *c) {
    for (long child; (child = 2 * slot + 1) < timer_count; slot = child) {
        if (child + 1 < timer_count && timers[child + 1]->due_us < timers[child]->due_us) child++;
        if (timers[child]->due_us >= c->due_us) break;
        timer_put(slot, timers[child]);
    }
    timer_put(slot, c);
}

static void timer_set(struct conn *c, int64_t due_us) {
    if (timer_count == timer_capacity) {
        timer_capacity = timer_capacity ? 2 * timer_capacity : 1024;
        timers = realloc(timers, (size_t)timer_capacity * sizeof *timers);
        if (!timers) die("realloc");
    }
    c->due_us = due_us;
    timer_up(timer_count++, c);
}

static void timer_clear(struct conn *c) {
    if (c->timer_slot < 0) return;
    long slot = c->timer_slot;
    struct conn *last = timers[--timer_count];
    c->timer_slot = -1;
    if (last == c) return;
    if (slot > 0 && timers[(slot - 1) / 2]->due_us > last->due_us)
        timer_up(slot, last);
    else
        timer_down(slot, last);
}

/* ---- sending ------------------------------------------------------------------------------------------------- */

static void await_writable(struct conn *c, bool wanted) {
    if (c->awaits_writable == wanted) return;
    c->awaits_writable = wanted;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void flush(struct conn *c) {
    while (!c->dead && buffer_used(&c->out) > 0) {
        ssize_t n = send(c->fd, c->out.data + c->out.start, buffer_used(&c->out), MSG_NOSIGNAL);
        if (n >= 0)
            c->out.start += (size_t)n;
        else if (errno == EAGAIN) {
            await_writable(c, true);
            return;
        } else if (errno != EINTR)
            c->dead = true;
    }
    if (c->dead) return;
    await_writable(c, false);
    if (c->close_after && c->phase == READING) c->dead = true;
}

static void say(struct conn *c, const struct template *t) {
    size_t at = buffer_used(&c->out);
    buffer_append(&c->out, t->text, t->length);
    if (t->serials == 0) return;
    char serial[SERIAL_LENGTH + 1];
    snprintf(serial, sizeof serial, "%016llx", (unsigned long long)next_serial++);
    for (int i = 0; i < t->serials; i++)
        memcpy(c->out.data + c->out.start + at + t->serial_at[i], serial, SERIAL_LENGTH);
}

/* One step of a stream: the opening events, a delta, or the closing events. */
static void stream_step(struct conn *c) {
    if (c->phase != STREAMING) {
        c->phase = STREAMING;
        c->deltas_sent = 0;
        counts.streams++;
        counts.events += 3;
        say(c, &stream_opening);
    } else if (c->deltas_sent < c->deltas) {
        say(c, &stream_delta[c->deltas_sent++ % DELTA_TEXTS]);
        counts.events++;
    } else {
        say(c, &stream_closing);
        counts.events += 3;
        c->phase = READING;
    }
}

/* Answer at once, or take the step that is due and set the timer for the next one. */
static void answer(struct conn *c, int64_t due_us) {
    if (c->wants_stream) {
        do stream_step(c);
        while (c->phase == STREAMING && c->gap_ms == 0);
        /* From the time it was due, not from now: late steps must not slow the pace that was asked for. */
        if (c->phase == STREAMING) timer_set(c, due_us + c->gap_ms * 1000);
    } else {
        c->phase = READING;
        say(c, &whole_answer);
    }
    flush(c);
}

static void reject(struct conn *c, int status, const char *reason, const char *type) {
    char body[256], text[512];
    counts.rejected++;
    int length = snprintf(body, sizeof body, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%s\"}}",
                          type, reason);
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", status,
                     reason, length, body);
    buffer_append(&c->out, text, (size_t)n);
    if (status == 400) c->close_after = true; /* no telling where the next request begins */
    flush(c);
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

enum parsed { INCOMPLETE, COMPLETE, MALFORMED };

struct request {
    bool is_message; /* POST to a path that ends in /v1/messages */
    bool close;
    char *body;
    size_t body_length;
    size_t length; /* bytes of the connection that the request took */
};

/* The value of a header line when its name is `name` (in lower case, with the colon), else NULL. */
static const char *header_value(const char *line, const char *name) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0) return NULL;
    line += length;
    return line + strspn(line, " \t");
}

/* The number that begins at `at`, or -1 when there is none or it is absurd; the text need not end with a NUL. */
static long read_number(const char *at, const char *end, int base) {
    long value = -1;
    for (; at < end && value < 1000000000; at++) {
        int lower = *at | 32, digit = base;
        if (*at >= '0' && *at <= '9') digit = *at - '0';
        if (lower >= 'a' && lower <= 'f') digit = lower - 'a' + 10;
        if (digit >= base) return value;
        value = (value < 0 ? 0 : value) * base + digit;
    }
    return at < end ? -1 : value;
}

/*
 * Walk the chunks of a body.  With `join` they are moved together at `data`, which destroys the framing: so walk
 * without it first, and join only a body that is complete.
 */
static enum parsed walk_chunks(char *data, size_t length, bool join, size_t *body_length, size_t *consumed) {
    size_t at = 0, joined = 0;
    for (;;) {
        char *line_end = memchr(data + at, '\n', length - at);
        if (!line_end) return length - at > 1024 ? MALFORMED : INCOMPLETE;
        long number = read_number(data + at, line_end, 16);
        if (number < 0 || number > MAX_REQUEST) return MALFORMED;
        size_t size = (size_t)number;
        at = (size_t)(line_end - data) + 1;
        if (size == 0) break;
        if (length - at < size + 2) return INCOMPLETE;
        if (memcmp(data + at + size, "\r\n", 2) != 0) return MALFORMED;
        if (join) memmove(data + joined, data + at, size);
        joined += size;
        at += size + 2;
    }
    for (;;) { /* trailers, up to an empty line */
        char *line_end = memchr(data + at, '\n', length - at);
        if (!line_end) return length - at > MAX_HEAD ? MALFORMED : INCOMPLETE;
        size_t line_length = (size_t)(line_end - (data + at));
        bool empty = line_length == 0 || (line_length == 1 && data[at] == '\r');
        at += line_length + 1;
        if (empty) break;
    }
    *body_length = joined;
    *consumed = at;
    return COMPLETE;
}

static enum parsed parse_request(char *data, size_t length, struct request *r) {
    char *head_end = memmem(data, length, "\r\n\r\n", 4);
    if (!head_end) return length > MAX_HEAD ? MALFORMED : INCOMPLETE;
    size_t head_length = (size_t)(head_end - data) + 4;

    char *line_end = memmem(data, head_length, "\r\n", 2);
    char *target = memchr(data, ' ', (size_t)(line_end - data));
    char *target_end = target ? memchr(target + 1, ' ', (size_t)(line_end - target - 1)) : NULL;
    if (!target_end) return MALFORMED;
    char *query = memchr(target, '?', (size_t)(target_end - target));
    size_t path_length = (size_t)((query ? query : target_end) - target);
    const char suffix[] = "/v1/messages";
    const size_t suffix_length = sizeof suffix - 1;
    *r = (struct request){.body = data + head_length};
    r->is_message = strncmp(data, "POST ", 5) == 0 && path_length > suffix_length &&
                    memcmp(target + path_length - suffix_length, suffix, suffix_length) == 0;

    long content_length = 0;
    bool chunked = false;
    for (char *line = line_end + 2; line < head_end + 2; line = line_end + 2) {
        const char *value;
        line_end = memmem(line, (size_t)(head_end + 2 - line), "\r\n", 2);
        if ((value = header_value(line, "content-length:")))
            content_length = read_number(value, line_end, 10);
        else if ((value = header_value(line, "transfer-encoding:")))
            chunked = strncasecmp(value, "chunked", 7) == 0;
        else if ((value = header_value(line, "connection:")))
            r->close = strncasecmp(value, "close", 5) == 0;
    }

    if (chunked) {
        size_t consumed;
        enum parsed parsed = walk_chunks(r->body, length - head_length, false, &r->body_length, &consumed);
        if (parsed != COMPLETE) return parsed;
        walk_chunks(r->body, length - head_length, true, &r->body_length, &consumed);
        r->length = head_length + consumed;
        return COMPLETE;
    }
    if (content_length < 0 || content_length > MAX_REQUEST) return MALFORMED;
    r->body_length = (size_t)content_length;
    r->length = head_length + r->body_length;
    return r->length <= length ? COMPLETE : INCOMPLETE;
}

/* The number behind `name` in the body, or `otherwise`. */
static long marker(const struct request *r, const char *name, long otherwise) {
    const char *end = r->body + r->body_length;
    const char *at = memmem(r->body, r->body_length, name, strlen(name));
    long number = at ? read_number(at + strlen(name), end, 10) : -1;
    return number < 0 ? otherwise : number;
}

/* Gateways that write the JSON anew differ in white space. */
static bool says_stream_true(const struct request *r) {
    const char *end = r->body + r->body_length;
    const char *at = memmem(r->body, r->body_length, "\"stream\"", 8);
    if (!at) return false;
    at += 8;
    while (at < end && (*at == ' ' || *at == ':')) at++;
    return end - at >= 4 && memcmp(at, "true", 4) == 0;
}

/* Answer every complete request in the input; one at a time, in order. */
static void serve(struct conn *c) {
    while (!c->dead && !c->close_after && c->phase == READING && buffer_used(&c->in) > 0) {
        struct request r;
        enum parsed parsed = parse_request(c->in.data + c->in.start, buffer_used(&c->in), &r);
        if (parsed == INCOMPLETE && buffer_used(&c->in) <= MAX_REQUEST + MAX_HEAD) return;
        if (parsed != COMPLETE) {
            reject(c, 400, "Bad Request", "invalid_request_error");
            return;
        }
        c->close_after = r.close;
        c->wants_stream = says_stream_true(&r);
        c->delay_ms = marker(&r, "delay=", 0);
        c->gap_ms = marker(&r, "gap=", 0);
        c->deltas = marker(&r, "deltas=", DEFAULT_DELTAS);
        if (c->deltas > MAX_DELTAS) c->deltas = MAX_DELTAS;
        c->in.start += r.length;

        if (!r.is_message) {
            reject(c, 404, "Not Found", "not_found_error");
            continue;
        }
        counts.requests++;
        int64_t now = now_us();
        if (c->delay_ms > 0) {
            c->phase = DELAYED;
            timer_set(c, now + c->delay_ms * 1000);
        } else
            answer(c, now);
    }
}

static void receive(struct conn *c) {
    buffer_reserve(&c->in, 4096);
    ssize_t n = recv(c->fd, c->in.data + c->in.end, c->in.capacity - c->in.end, 0);
    if (n > 0) {
        c->in.end += (size_t)n;
        serve(c);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        c->dead = true;
}

/* ---- connections and the event loop -------------------------------------------------------------------------- */

static void accept_all(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct conn *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = fd;
        c->timer_slot = -1;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    }
}

static void free_if_dead(struct conn *c) {
    if (!c->dead) return;
    if (c->phase != READING) counts.abandoned++;
    timer_clear(c);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

static void run_due_timers(void) {
    int64_t now = now_us();
    while (timer_count > 0 && timers[0]->due_us <= now) {
        struct conn *c = timers[0];
        int64_t due_us = c->due_us;
        timer_clear(c);
        answer(c, due_us);
        serve(c); /* a request may have come while the answer was running */
        free_if_dead(c);
    }
}

static int milliseconds_to_next_timer(void) {
    if (timer_count == 0) return -1;
    int64_t left_us = timers[0]->due_us - now_us();
    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, length) < 0) die("bind");
    if (listen(fd, 4096) < 0) die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) die("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void on_stop_signal(int number) {
    (void)number;
    stopping = 1;
}

int main(int argc, char **argv) {
    /* The stop signals arrive inside epoll_pwait only: just before it they would set the flag and wake nobody. */
    struct sigaction action = {.sa_handler = on_stop_signal};
    sigset_t stop_signals, before;
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGINT);
    sigaddset(&stop_signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop_signals, &before);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    next_serial = (uint64_t)time(NULL) << 32; /* so that two mocks, or two runs, do not share ids */

    time_t rendered_at = time(NULL);
    render_undated();
    render_dated(rendered_at);
    epoll_fd = epoll_create1(0);
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}; /* NULL: the listener */
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");

    while (!stopping) {
        struct epoll_event events[EVENTS_PER_WAIT];
        int n = epoll_pwait(epoll_fd, events, EVENTS_PER_WAIT, milliseconds_to_next_timer(), &before);
        if (time(NULL) != rendered_at) render_dated(rendered_at = time(NULL));
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT) flush(c);
            if (!c->dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
            free_if_dead(c);
        }
        run_due_timers();
    }
    fprintf(stderr, "{\"requests\":%lld,\"streams\":%lld,\"events\":%lld,\"abandoned\":%lld,\"rejected\":%lld}\n",
            counts.requests, counts.streams, counts.events, counts.abandoned, counts.rejected);
    return 0;
}
