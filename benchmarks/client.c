/* Connections: the opening handshake, masked frames out, bytes in, the end. */
#define _GNU_SOURCE
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD_SIZE 700      /* of the request: what a browser sends with a cookie or two */
#define SCRATCH (64 * 1024)
#define LARGE (16 * 1024)  /* from here on the payload is not copied */
/* With RDHUP the end of a stream is known without a read that returns 0. With ET the
 * kernel does not look again at what was read: 5 % of a short echo. */
#define READABLE (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define SOURCES 200        /* 127.0.0.2 to 127.0.0.201: enough ports for any loop */

static uint8_t read_buffer[READ_SIZE + CODEC_TAIL], scratch[SCRATCH], *masked;
static uint8_t frame_head[WS_MAX_HEADER];
static size_t head_size, tag_size, body_size; /* the tag's and the payload's as sent */
static uint8_t key[4];
static uint64_t seed;
static int request_before; /* length of the request up to its key */
static char request[HEAD_SIZE + 1];

/* One masking key for the whole run: a server cannot tell, and the generator
 * masks its payload only once. */
static void prepare_frame(void)
{
    if (getrandom(key, 4, 0) != 4 || getrandom(&seed, sizeof seed, 0) != sizeof seed)
        exit(1);
    key[0] |= 1; /* never all zero */
    tag_size = opt.deflate ? PACKED_TAG : opt.payload >= TAG ? TAG : 0;
    body_size = opt.deflate ? packed_size : opt.payload;
    int opcode = (opt.text ? WS_TEXT : WS_BINARY) | (opt.deflate ? WS_RSV1 : 0);
    head_size = ws_header(frame_head, opcode, body_size, key);
    masked = malloc(n_texts * body_size + 1);
    if (!masked)
        exit(1);
    for (uint32_t i = 0; i < n_texts; i++)
        ws_xor(masked + i * body_size, (opt.deflate ? packed : texts) + i * body_size,
            body_size, key, 0);
}

void client_init(void)
{
    static const char *const offers[] = { "",
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
        "client_no_context_takeover\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12; "
        "client_max_window_bits=12\r\n" };
    static const char rest[] =
        "\r\nSec-WebSocket-Version: 13\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/130.0.0.0 Safari/537.36\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n";
    prepare_frame();
    request_before = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nOrigin: http://127.0.0.1:%d\r\nSec-WebSocket-Key: ",
        opt.path, opt.port, opt.port);
    int n = request_before + 24;
    n += snprintf(request + n, sizeof request - (size_t)n, "%s%sCookie: session=", rest,
        offers[opt.deflate]);
    for (; n < HEAD_SIZE - 4; n++)
        request[n] = "0123456789abcdef"[n * 7 % 16];
    memcpy(request + n, "\r\n\r\n", 5);
}

static void arm(struct conn *c, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = c };
    if (c->armed == events)
        return;
    epoll_ctl(epfd, c->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev);
    c->armed = events;
}

/* splitmix64: keys must differ, and a system call each would cost too much here. */
static uint64_t next_random(void)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void send_request(struct conn *c)
{
    uint64_t nonce[2] = { next_random(), next_random() };
    char text[25];
    ws_base64((const uint8_t *)nonce, sizeof nonce, text);
    memcpy(request + request_before, text, 24);
    ws_accept(text, 24, c->accept);
    ssize_t n = send(c->fd, request, HEAD_SIZE, MSG_NOSIGNAL);
    if (n == HEAD_SIZE) {
        c->state = SHAKING;
        arm(c, READABLE);
    } else if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
        arm(c, EPOLLOUT);
    } else {
        fail(c, "sending the request: %s", n < 0 ? strerror(errno) : "in part");
    }
}

void start_connection(struct conn *c)
{
    static uint32_t turn;
    int one = 1;
    struct sockaddr_in from = { .sin_family = AF_INET }, to = from;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + turn++ % SOURCES);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)opt.port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->state = CONNECTING;
    c->started = clock_ns();
    if (c->fd < 0) {
        fail(c, "socket: %s", strerror(errno));
        return;
    }
    /* The port is chosen at connect, so each source address has them all. */
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)
        || (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)) {
        fail(c, "connect: %s", strerror(errno));
        return;
    }
    send_request(c);
}

/* What we send refers to nothing before it, and no further back than 12 bits. */
static bool agreed(const char *text)
{
    const char *answer = strcasestr(text, "\r\nSec-WebSocket-Extensions:"), *bits;
    if (!opt.deflate || !answer)
        return !opt.deflate && !answer;
    if (!strstr(answer, "permessage-deflate"))
        return false;
    if (opt.deflate == ALONE)
        return strstr(answer, "server_no_context_takeover");
    bits = strstr(answer, "client_max_window_bits=");
    if (bits && atoi(bits + 23) < CODEC_BITS)
        return false;
    bits = strstr(answer, "server_max_window_bits=");
    return bits && atoi(bits + 23) <= CODEC_BITS;
}

/* Every server writes its answer at once, so it comes whole with one read. What
 * follows it is the connection's first frames. */
static void take_answer(struct conn *c)
{
    char *text = (char *)read_buffer;
    ssize_t n = recv(c->fd, text, READ_SIZE, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            fail(c, "%s in the handshake", n ? strerror(errno) : "end of stream");
        return;
    }
    text[n] = 0;
    char *end = strstr(text, "\r\n\r\n");
    if (!end) {
        fail(c, "an answer in pieces, or endless: %.40s", text);
        return;
    }
    end[2] = 0;
    char *accept = strcasestr(text, "\r\nSec-WebSocket-Accept:");
    if (strncmp(text, "HTTP/1.1 101 ", 13)) {
        fail(c, "refused: %.40s", text);
    } else if (!accept || strncmp(accept + 23 + strspn(accept + 23, " "), c->accept, 28)) {
        fail(c, "wrong Sec-WebSocket-Accept");
    } else if (!agreed(text)) {
        fail(c, opt.deflate ? "permessage-deflate was not granted as it was offered"
                            : "an extension that was not offered");
    } else {
        uint8_t *rest = (uint8_t *)end + 4;
        c->state = OPEN;
        total.opened++;
        on_open(c);
        if (c->state == OPEN || c->state == CLOSING)
            verify(c, rest, (size_t)(read_buffer + n - rest));
    }
}

static bool push(struct conn *c, struct iovec *parts, int count, ssize_t *n)
{
    struct msghdr msg = { .msg_iov = parts, .msg_iovlen = (size_t)count };
    *n = count == 1 ? send(c->fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL)
                    : sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    if (*n >= 0)
        return true;
    if (errno == EAGAIN)
        arm(c, READABLE | EPOLLOUT);
    else
        fail(c, "send: %s", strerror(errno));
    return false;
}

static void frame_start(uint8_t *out, uint32_t id, uint32_t number)
{
    memcpy(out, frame_head, head_size);
    if (tag_size) {
        uint8_t tag[TAG], bits[PACKED_TAG];
        make_tag(tag, id, number);
        if (opt.deflate)
            pack_tag(bits, tag, packed + number % n_texts * body_size);
        ws_xor(out + head_size, opt.deflate ? bits : tag, tag_size, key, 0);
    }
}

static uint8_t *body_of(uint32_t number)
{
    return masked + number % n_texts * body_size;
}

/* Frames follow from their number, so what the socket did not take is not kept
 * but made again. */
static int fill(struct conn *c, struct iovec parts[2])
{
    const size_t start = head_size + tag_size, rest = body_size - tag_size;
    const uint64_t frame = head_size + body_size;
    uint64_t skip = c->sent_of_frame;
    if (body_size < LARGE) {
        size_t at = 0;
        for (uint32_t i = 0; i < c->queued && at + frame <= SCRATCH; i++, at += frame) {
            frame_start(scratch + at, c->id, c->sent + i);
            memcpy(scratch + at + start, body_of(c->sent + i) + tag_size, rest);
        }
        parts[0] = (struct iovec){ scratch + skip, at - skip };
        return 1;
    }
    frame_start(scratch, c->id, c->sent);
    uint8_t *body = body_of(c->sent);
    if (skip >= start) {
        parts[0] = (struct iovec){ body + (skip - head_size), frame - skip };
        return 1;
    }
    parts[0] = (struct iovec){ scratch + skip, start - skip };
    parts[1] = (struct iovec){ body + tag_size, rest };
    return 2;
}

void flush(struct conn *c)
{
    const uint64_t frame = head_size + body_size;
    struct iovec parts[2];
    ssize_t n;
    while (c->state == OPEN) {
        if (c->pong_len && !c->sent_of_frame) {
            parts[0] = (struct iovec){ c->pong + c->pong_at, (size_t)c->pong_len - c->pong_at };
            if (!push(c, parts, 1, &n))
                return;
            c->pong_at = (uint8_t)(c->pong_at + n);
            if (c->pong_at == c->pong_len)
                c->pong_at = c->pong_len = 0;
            continue;
        }
        if (!c->queued) {
            arm(c, READABLE);
            return;
        }
        if (!push(c, parts, fill(c, parts), &n))
            return;
        uint64_t reached = c->sent_of_frame + (uint64_t)n;
        c->sent += (uint32_t)(reached / frame);
        c->queued -= (uint32_t)(reached / frame);
        c->sent_of_frame = reached % frame;
    }
}

void close_now(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->armed = 0;
    free(c->heap);
    codec_free(c->codec);
    c->heap = NULL;
    c->codec = NULL;
    if (c->state == CLOSED)
        return;
    c->state = CLOSED;
    total.closed++;
}

void reset_now(struct conn *c)
{
    const struct linger none = { .l_onoff = 1 };
    if (c->fd >= 0)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close_now(c);
}

/* RFC 6455 7.1.1: the server closes TCP first, so the answer is awaited. */
void begin_close(struct conn *c)
{
    uint8_t frame[8] = { 0x88, 0x82 };
    const uint8_t code[2] = { 1000 >> 8, 1000 & 255 };
    if (opt.abrupt || c->sent_of_frame || c->pong_len) {
        close_now(c);
        return;
    }
    memcpy(frame + 2, key, 4);
    ws_xor(frame + 6, code, 2, key, 0);
    c->state = CLOSING;
    if (send(c->fd, frame, sizeof frame, MSG_NOSIGNAL) != sizeof frame)
        close_now(c);
    else
        arm(c, READABLE);
}

void on_event(struct conn *c, uint32_t events)
{
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error)
            fail(c, "connect: %s", strerror(error));
        else
            send_request(c);
        return;
    }
    if (c->state == SHAKING) {
        take_answer(c);
        return;
    }
    if (c->state == CLOSED)
        return;
    if (events & EPOLLOUT)
        flush(c);
    if (!(events & ~(uint32_t)EPOLLOUT) || c->state == CLOSED)
        return;
    ssize_t n;
    /* A read that does not fill the buffer has taken all there was. */
    while ((n = recv(c->fd, read_buffer, READ_SIZE, 0)) > 0) {
        now = clock_ns();
        verify(c, read_buffer, (size_t)n);
        if (c->queued && opt.mode == ECHO)
            flush(c);
        if (c->state == CLOSED)
            return;
        if (n < READ_SIZE) {
            if (c->state == CLOSING && events & EPOLLRDHUP)
                close_now(c);
            return;
        }
    }
    if (n < 0 && errno == EAGAIN)
        return;
    if (c->state == CLOSING)
        close_now(c);
    else
        fail(c, "%s", n ? strerror(errno) : "end of stream");
}
