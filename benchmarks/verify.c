/* Every byte that comes back is parsed, inflated if need be, and compared. */
#include "loadgen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PACKED (4u << 20) /* bytes of a compressed answer, whatever it says */

static uint8_t expected_head[WS_MAX_HEADER];
static size_t head_size, tag_size;
static uint8_t *inflated;     /* the last compressed answer */
static struct codec *shared;  /* without context takeover */
/* In a broadcast many get the same bytes, which are compared and not inflated. */
static uint8_t *known;
static size_t known_size;

void fail(struct conn *c, const char *format, ...)
{
    if (!total.errors++) {
        va_list args;
        int n = snprintf(total.first_error, sizeof total.first_error, "connection %u: ", c->id);
        va_start(args, format);
        vsnprintf(total.first_error + n, sizeof total.first_error - (size_t)n, format, args);
        va_end(args);
    }
    close_now(c);
}

void make_tag(uint8_t tag[TAG], uint32_t id, uint32_t number)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 7; i >= 0; i--, id >>= 4, number >>= 4) {
        tag[i] = (uint8_t)digits[id & 15];
        tag[8 + i] = (uint8_t)digits[number & 15];
    }
}

static bool read_tag(const uint8_t *tag, uint32_t *id, uint32_t *number)
{
    char text[9] = { 0 }, *end;
    memcpy(text, tag, 8);
    *id = (uint32_t)strtoul(text, &end, 16);
    if (end != text + 8)
        return false;
    memcpy(text, tag + 8, 8);
    *number = (uint32_t)strtoul(text, &end, 16);
    return end == text + 8;
}

void verify_init(void)
{
    head_size = ws_header(expected_head, opt.text ? WS_TEXT : WS_BINARY, opt.payload, NULL);
    tag_size = opt.payload >= TAG ? TAG : 0;
    if (!opt.deflate)
        return;
    inflated = malloc(opt.payload + 1);
    known = malloc(MOST_PACKED);
    if (!inflated || !known)
        usage("out of memory");
    shared = codec_new(false, 15);
}

/* A message is complete and everything but its tag has been compared. */
static bool complete(struct conn *c, const uint8_t *tag)
{
    uint32_t id = c->id, number = c->received;
    if (tag_size && opt.mode != BROADCAST) {
        uint8_t wanted[TAG];
        make_tag(wanted, id, number);
        if (memcmp(tag, wanted, TAG)) {
            fail(c, "message %u is tagged %.16s", number, (const char *)tag);
            return false;
        }
    } else if (tag_size) {
        if (!read_tag(tag, &id, &number) || id >= opt.senders || c->next_of[id] != number) {
            fail(c, "broadcast tagged %.16s out of order", (const char *)tag);
            return false;
        }
        c->next_of[id]++;
    }
    if (opt.mode == ECHO && c->received == c->sent) {
        fail(c, "an answer more than messages sent");
        return false;
    }
    c->received++;
    total.answers++;
    on_message(c, id, number);
    return c->state == OPEN || c->state == CLOSING;
}

static bool complete_deflated(struct conn *c, uint8_t *data, size_t size)
{
    bool alone = opt.deflate == ALONE;
    if (!alone || size != known_size || memcmp(data, known, size)) {
        if (!alone && !c->codec)
            c->codec = codec_new(true, CODEC_BITS);
        ssize_t n = codec_inflate(alone ? shared : c->codec, data, size, inflated,
            opt.payload + 1);
        if (n != (ssize_t)opt.payload) {
            fail(c, "message %u inflates to %zd bytes", c->received, n);
            return false;
        }
        if (alone)
            memcpy(known, data, known_size = size);
    }
    if (memcmp(inflated + TAG, text_of(c->received) + TAG, opt.payload - TAG)) {
        fail(c, "wrong bytes in compressed message %u", c->received);
        return false;
    }
    total.compressed++;
    return complete(c, inflated);
}

static void control_frame(struct conn *c)
{
    static const uint8_t key[4] = { 0x5a, 0x12, 0xc3, 0x7e };
    if (c->opcode == WS_PING && c->state == OPEN && !c->pong_len) {
        size_t n = ws_header(c->pong, WS_PONG, c->control_len, key);
        ws_xor(c->pong + n, c->control, c->control_len, key, 0);
        c->pong_len = (uint8_t)(n + c->control_len);
        flush(c);
    } else if (c->opcode == WS_CLOSE && c->state != CLOSING) {
        fail(c, "closed by the server with code %d",
            c->control_len < 2 ? 1005 : c->control[0] << 8 | c->control[1]);
    }
}

static bool frame_header(struct conn *c, const uint8_t *h, size_t n)
{
    c->left = h[1];
    if (n > 2)
        for (size_t i = 2, m = c->left = 0; i < n; i++, m++)
            c->left = c->left << 8 | h[i];
    c->fin = h[0] & 0x80;
    c->opcode = h[0] & 15;
    c->in_frame = true;
    c->control_len = 0;
    bool first = !(c->opcode & 8) && !c->in_message;
    if (first)
        c->deflated = h[0] & WS_RSV1 && opt.deflate;
    if (h[0] & (first && opt.deflate ? 0x30 : 0x70) || h[1] & 0x80) {
        fail(c, "reserved or mask bit in header %02x %02x", h[0], h[1]);
    } else if (c->opcode & 8) {
        if (c->left > 125 || !c->fin)
            fail(c, "bad control frame %02x", h[0]);
    } else if (c->opcode != (c->in_message ? WS_CONT : opt.text ? WS_TEXT : WS_BINARY)) {
        fail(c, "opcode %d", c->opcode);
    } else if (c->deflated) {
        if (c->left > MOST_PACKED - c->at)
            fail(c, "%llu bytes compressed", (unsigned long long)(c->at + c->left));
        else if (!(c->heap = realloc(c->heap, c->at + c->left + CODEC_TAIL)))
            usage("out of memory");
    } else if (c->at + c->left > opt.payload || (c->fin && c->at + c->left != opt.payload)) {
        fail(c, "length %llu", (unsigned long long)(c->at + c->left));
    }
    return c->state == OPEN || c->state == CLOSING;
}

/* Compare a piece of a message that starts at c->at. */
static bool payload_piece(struct conn *c, const uint8_t *p, size_t n)
{
    total.answer_bytes += n;
    if (c->deflated) {
        memcpy(c->heap + c->at, p, n);
        c->at += n;
        return true;
    }
    if (c->at < tag_size) {
        size_t m = tag_size - (size_t)c->at < n ? tag_size - (size_t)c->at : n;
        memcpy(c->tag + c->at, p, m);
        c->at += m, p += m, n -= m;
    }
    if (memcmp(p, text_of(c->received) + c->at, n)) {
        fail(c, "wrong bytes in message %u", c->received);
        return false;
    }
    c->at += n;
    return true;
}

static bool frame_end(struct conn *c)
{
    c->in_frame = false;
    if (c->opcode & 8) {
        control_frame(c);
        return c->state == OPEN || c->state == CLOSING;
    }
    c->in_message = !c->fin;
    if (!c->fin)
        return true;
    size_t size = (size_t)c->at;
    c->at = 0;
    if (!c->deflated)
        return complete(c, c->tag);
    uint8_t *whole = c->heap;
    c->heap = NULL;
    bool good = complete_deflated(c, whole, size);
    free(whole);
    return good;
}

/* The whole of a short compressed message, the most common answer; 0 if it is not. */
static size_t short_deflated(const uint8_t *p, size_t have)
{
    if (have < 2 || p[0] != (0x80 | WS_RSV1 | (opt.text ? WS_TEXT : WS_BINARY)))
        return 0;
    return p[1] < 126 && have >= 2u + p[1] ? 2u + p[1] : 0;
}

void verify(struct conn *c, uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    const size_t whole = head_size + opt.payload;
    while (p < end) {
        const bool between = !c->in_frame && !c->in_message && !c->head_len;
        const size_t deflated = between && opt.deflate ? short_deflated(p, (size_t)(end - p)) : 0;
        if (deflated) {
            total.answer_bytes += deflated - 2;
            if (!complete_deflated(c, p + 2, deflated - 2))
                return;
            p += deflated;
            continue;
        }
        if (between && (size_t)(end - p) >= whole && !memcmp(p, expected_head, head_size)) {
            const uint8_t *body = p + head_size;
            total.answer_bytes += opt.payload;
            if (memcmp(body + tag_size, text_of(c->received) + tag_size, opt.payload - tag_size)) {
                fail(c, "wrong bytes in message %u", c->received);
                return;
            }
            p += whole;
            if (!complete(c, body))
                return;
            continue;
        }
        if (!c->in_frame) {
            size_t need = 2;
            c->head[c->head_len++] = *p++;
            if (c->head_len >= 2)
                need = (c->head[1] & 127) == 127 ? 10 : (c->head[1] & 127) == 126 ? 4 : 2;
            if (c->head_len < need)
                continue;
            c->head_len = 0;
            if (!frame_header(c, c->head, need))
                return;
        }
        size_t n = (uint64_t)(end - p) < c->left ? (size_t)(end - p) : (size_t)c->left;
        if (c->opcode & 8) {
            memcpy(c->control + c->control_len, p, n);
            c->control_len = (uint8_t)(c->control_len + n);
        } else if (!payload_piece(c, p, n)) {
            return;
        }
        p += n, c->left -= n;
        if (!c->left && !frame_end(c))
            return;
    }
}
