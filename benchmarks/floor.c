/* The floor: what an echo must cost. One epoll, one thread, no options.
 *
 * It parses, unmasks and sends back what one recv brought with one send. Frames
 * are rewritten where they lie and never assembled: a large payload goes back
 * piece by piece. It checks no UTF-8, no fragments, no limits and has no timers,
 * so it is a yardstick and not a server.
 *
 * With "broadcast" every message goes to every connection, one send for each
 * message and receiver. It does not join rounds: a server that does can beat it.
 *
 * With "alone" or "takeover" it agrees on permessage-deflate and inflates and deflates
 * every message with zlib, in a broadcast once for all; messages are whole frames of
 * less than 64 KiB then.
 *
 *     floor [echo|broadcast [alone|takeover]]        prints "listening PORT"
 */
#define _GNU_SOURCE
#include "codec.h"
#include "ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define EVENTS 512

struct conn {
    int fd;
    unsigned index;      /* in all[] */
    uint64_t left;       /* payload of the frame in progress that is still to come */
    uint32_t phase;      /* bytes of it that came, mod 4 */
    uint8_t key[4];
    uint8_t opcode, held, open, closing;
    uint8_t head[WS_MAX_HEADER]; /* the first `held` bytes of an incomplete header */
    uint8_t *in;         /* an incomplete request, or message to broadcast or inflate */
    uint8_t *out;        /* what the socket did not take */
    uint32_t in_len;
    size_t out_len;
    struct codec *codec; /* with context takeover */
};

static int epfd;
static bool broadcasting, deflating, takeover;
static struct codec *shared; /* without context takeover */
/* A message inflated, and frames that go out with one send. */
#define LARGEST (1024 * 1024)
static uint8_t inflated[LARGEST], batch[2 * LARGEST];
static size_t batched;
static struct conn **all;
static unsigned count, room;
/* Room before the bytes received for what was held back from the last read. */
static uint8_t *area, *buffer;
#define HELD_MAX 65536

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void drop(struct conn *c)
{
    close(c->fd);
    all[c->index] = all[--count];
    all[c->index]->index = c->index;
    free(c->in);
    free(c->out);
    codec_free(c->codec);
    c->fd = -1;
    free(c);
}

static void watch(struct conn *c, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = c };
    epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev);
}

/* False if the connection is dead; it is then only closed by its own event, so
 * that a broadcast may go on over the table. */
static bool push(struct conn *c, const uint8_t *data, size_t len)
{
    ssize_t n = 0;
    if (!c->out_len) {
        n = send(c->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            n = 0;
        if ((size_t)n == len)
            return true;
        /* While it cannot be written to it is not read either. A broadcast goes
         * on regardless: there what a slow receiver lacks piles up here. */
        watch(c, EPOLLOUT);
    }
    c->out = realloc(c->out, c->out_len + len - (size_t)n);
    if (!c->out)
        die("realloc");
    memcpy(c->out + c->out_len, data + n, len - (size_t)n);
    c->out_len += len - (size_t)n;
    return true;
}

static bool on_writable(struct conn *c)
{
    ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    memmove(c->out, c->out + n, c->out_len -= (size_t)n);
    if (!c->out_len) {
        free(c->out);
        c->out = NULL;
        if (c->closing)
            return false;
        watch(c, EPOLLIN);
    }
    return true;
}

/* Rewrite the client's frames at in as a server's frames at out (out <= in).
 * Returns the bytes at out, or -1 if a frame is not masked. */
static ssize_t turn_round(struct conn *c, uint8_t *out, uint8_t *in, size_t len)
{
    uint8_t *start = out, *end = in + len;
    while (!c->closing) {
        if (!c->left) {
            size_t have = (size_t)(end - in), need = 6, size;
            if (have >= 2)
                need = (in[1] & 127) == 127 ? 14 : (in[1] & 127) == 126 ? 8 : 6;
            if (have < need) {
                memcpy(c->head, in, have);
                c->held = (uint8_t)have;
                break;
            }
            if (!(in[1] & 0x80))
                return -1;
            c->opcode = in[0] & 15;
            c->left = in[1] & 127;
            if (need > 6)
                for (size_t i = 2, n = c->left = 0; n < need - 6; n++, i++)
                    c->left = c->left << 8 | in[i];
            memcpy(c->key, in + need - 4, 4);
            c->phase = 0;
            size = need - 4;
            uint8_t first = in[0];
            memmove(out, in, size);
            out[0] = c->opcode == WS_PING ? 0x80 | WS_PONG : first;
            out[1] &= 0x7f;
            out += size;
            in += need;
        }
        size_t n = (size_t)(end - in);
        if (n > c->left)
            n = c->left;
        ws_xor(out, in, n, c->key, c->phase);
        c->phase = (uint32_t)(c->phase + n) & 3;
        out += n, in += n, c->left -= n;
        if (c->left)
            break;
        if (c->opcode == WS_CLOSE)
            c->closing = true;
    }
    return out - start;
}

static bool shake(struct conn *c, uint8_t **data, size_t *len)
{
    static const char *const answers[] = {
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
        "client_no_context_takeover\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12; "
        "client_max_window_bits=12\r\n" };
    uint8_t *end = memmem(*data, *len, "\r\n\r\n", 4);
    if (!end) {
        if (*len > HELD_MAX || !(c->in = malloc(*len)))
            return false;
        memcpy(c->in, *data, c->in_len = (uint32_t)*len);
        *len = 0;
        return true;
    }
    *end = 0; /* for strcasestr */
    char *key = strcasestr((char *)*data, "\r\nSec-WebSocket-Key:"), accept[29], reply[400];
    if (!key)
        return false;
    key += 20;
    key += strspn(key, " \t");
    ws_accept(key, strcspn(key, " \t\r\n"), accept);
    int n = snprintf(reply, sizeof reply,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "%sSec-WebSocket-Accept: %s\r\n\r\n", deflating ? answers[takeover] : "", accept);
    c->open = true;
    end += 4;
    *len -= (size_t)(end - *data);
    *data = end;
    return push(c, (uint8_t *)reply, (size_t)n);
}

/* Inflate and deflate a message into the batch, as a frame; 0 if that fails. */
static size_t renew(struct conn *c, int opcode, uint8_t *data, size_t len)
{
    struct codec *k = shared;
    uint8_t *out = batch + batched + WS_MAX_HEADER, head[WS_MAX_HEADER];
    if (takeover)
        k = c->codec ? c->codec : (c->codec = codec_new(true, CODEC_BITS));
    ssize_t n = codec_inflate(k, data, len, inflated, LARGEST);
    if (n >= 0)
        n = codec_deflate(k, inflated, (size_t)n, out, LARGEST);
    if (n < 0)
        return 0;
    size_t head_size = ws_header(head, opcode | WS_RSV1, (uint64_t)n, NULL);
    memmove(batch + batched + head_size, out, (size_t)n);
    memcpy(batch + batched, head, head_size);
    return head_size + (size_t)n;
}

static void send_to_all(const uint8_t *frame, size_t len)
{
    for (unsigned i = 0; i < count; i++)
        if (all[i]->open)
            push(all[i], frame, len);
}

static bool push_batch(struct conn *c)
{
    size_t len = batched;
    batched = 0;
    return !len || push(c, batch, len);
}

/* Messages which are needed whole; what comes of them goes to all, or back. */
static bool take_messages(struct conn *from, uint8_t *data, size_t len)
{
    while (len >= 2) {
        size_t head = 2, size = data[1];
        if (size == 126 && len >= 4)
            head = 4, size = (size_t)data[2] << 8 | data[3];
        if (size >= 126 && head == 2)
            break; /* no message of 64 KiB or more here */
        if (head + size > len)
            break;
        uint8_t *frame = data;
        size_t frame_len = head + size;
        if (data[0] & WS_RSV1) {
            if (batched + LARGEST + WS_MAX_HEADER > sizeof batch && !push_batch(from))
                return false;
            frame = batch + batched;
            if (!(frame_len = renew(from, data[0] & 15, data + head, size)))
                return false;
        }
        if (broadcasting && !(data[0] & 8)) {
            send_to_all(frame, frame_len);
        } else if (frame != data) {
            batched += frame_len;
        } else if (!push_batch(from) || !push(from, frame, frame_len)) {
            return false;
        }
        data += head + size;
        len -= head + size;
    }
    if (!push_batch(from))
        return false;
    if (!len)
        return true;
    if (len > HELD_MAX || !(from->in = malloc(len)))
        return false;
    memcpy(from->in, data, len);
    from->in_len = (uint32_t)len;
    return true;
}

static bool on_readable(struct conn *c)
{
    ssize_t n = recv(c->fd, buffer, READ_SIZE, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    uint8_t *data = buffer;
    size_t len = (size_t)n;
    if (!c->open) {
        if (c->in) {
            memcpy(data -= c->in_len, c->in, c->in_len);
            len += c->in_len;
            free(c->in);
            c->in = NULL;
        }
        if (!shake(c, &data, &len))
            return false;
        if (!len)
            return true;
    }
    memcpy(data - c->held, c->head, c->held);
    uint8_t *in = data - c->held, *out = in;
    len += c->held;
    c->held = 0;
    n = turn_round(c, out, in, len);
    if (n < 0)
        return false;
    if (broadcasting || deflating) {
        if (c->in) {
            memcpy(out -= c->in_len, c->in, c->in_len);
            n += c->in_len;
            free(c->in);
            c->in = NULL;
        }
        if (!take_messages(c, out, (size_t)n))
            return false;
    } else if (n && !push(c, out, (size_t)n)) {
        return false;
    }
    return !c->closing || c->out_len;
}

static void accept_all(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        if (count == room)
            all = realloc(all, (room = room ? room * 2 : 64) * sizeof *all);
        if (!c || !all)
            die("malloc");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        c->index = count;
        all[count++] = c;
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
        if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev))
            die("epoll_ctl");
    }
}

static int listen_somewhere(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) || listen(fd, 4096)
        || getsockname(fd, (struct sockaddr *)&sa, &len))
        die("listen");
    printf("listening %d\n", ntohs(sa.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct rlimit lim;
    struct epoll_event events[EVENTS], ev = { .events = EPOLLIN };
    broadcasting = argc > 1 && !strcmp(argv[1], "broadcast");
    deflating = argc > 2;
    takeover = deflating && !strcmp(argv[2], "takeover");
    shared = codec_new(false, 15);
    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
    area = malloc(HELD_MAX + WS_MAX_HEADER + READ_SIZE + CODEC_TAIL);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    if (!area || epfd < 0)
        die("start");
    buffer = area + HELD_MAX + WS_MAX_HEADER;
    int listener = listen_somewhere();
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev))
        die("epoll_ctl");
    for (;;) {
        int n = epoll_wait(epfd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            bool alive = true;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT && c->out_len)
                alive = on_writable(c);
            else if (events[i].events)
                alive = on_readable(c);
            if (!alive)
                drop(c);
        }
    }
}
