/* What is sent: one payload, or with --deflate several, and each compressed.
 *
 * A payload that is compressed must not be the same each time, nor may compressing
 * it cost the generator more than the server. So there are a few of equal length,
 * before and after, and the tag stands in a block of its own whose bits are patched:
 * with the fixed Huffman codes every digit of it is 8 bits (RFC 1951 3.2.6). */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define WANTED 64 /* of 128 bytes: more than a window of 12 bits holds */
#define ATTEMPTS 4000
#define BLOCK_HEAD 2 /* BFINAL 0, BTYPE 01, first bit first */

uint32_t n_texts = 1;
uint8_t *texts, *packed;
size_t packed_size;

static uint32_t dice(uint32_t sides)
{
    static uint32_t x = 2463534242u;
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    return x % sides;
}

/* Quotes, as feeds of market data send them: names again and again, new numbers. */
static void write_quotes(char *out, size_t size)
{
    static const char *const names[] = { "EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCHF",
        "NZDUSD", "USDCAD", "EURJPY", "EURGBP", "EURCHF", "GBPJPY", "AUDJPY" };
    char quote[200];
    for (size_t at = 0; at < size;) {
        unsigned bid = 10000 + dice(80000);
        int n = snprintf(quote, sizeof quote,
            "\"pair\":\"%s\",\"bid\":%u.%05u,\"bidSize\":%u00,\"ask\":%u.%05u,\"askSize\":%u00,"
            "\"time\":1731%u%u},{", names[dice(12)], 1 + bid % 3, bid, 1 + dice(90), 1 + bid % 3,
            bid + 1 + dice(20), 1 + dice(90), 100000 + dice(900000), 100 + dice(900));
        size_t take = size - at < (size_t)n ? size - at : (size_t)n;
        memcpy(out + at, quote, take);
        at += take;
    }
}

/* Compress the payload at text behind a block with a tag of zero bits. */
static size_t pack(const uint8_t *text, uint8_t *out, size_t room)
{
    z_stream z = { .next_in = (uint8_t *)(uintptr_t)(text + TAG) };
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -CODEC_BITS, 8, 0) != Z_OK)
        usage("zlib does not start");
    z.avail_in = (uInt)(opt.payload - TAG);
    z.next_out = out;
    z.avail_out = (uInt)room;
    deflatePrime(&z, 3, BLOCK_HEAD);
    for (int i = 0; i < TAG; i++)
        deflatePrime(&z, 8, 0);
    deflatePrime(&z, 7, 0); /* the end of the block */
    if (deflate(&z, Z_SYNC_FLUSH) != Z_OK || !z.avail_out)
        usage("zlib does not compress");
    size_t n = room - z.avail_out - 4;
    deflateEnd(&z);
    return n;
}

static void make_packed(void)
{
    const size_t room = compressBound((uLong)opt.payload) + 64;
    uint8_t *one = malloc(room);
    packed = malloc(room * WANTED);
    if (!one || !packed)
        usage("out of memory");
    /* More of a long payload are not needed, and hard to find. */
    uint32_t attempts = opt.payload > 4096 ? 1 : ATTEMPTS;
    uint32_t wanted = opt.mode == BROADCAST ? 1 : WANTED;
    n_texts = 0;
    for (; attempts && n_texts < wanted; attempts--) {
        uint8_t *text = texts + n_texts * opt.payload;
        memset(text, 0, TAG);
        write_quotes((char *)text + TAG, opt.payload - TAG);
        size_t n = pack(text, one, room);
        if (!n_texts)
            packed_size = n;
        if (n == packed_size)
            memcpy(packed + n_texts++ * n, one, n);
    }
    free(one);
}

void texts_init(void)
{
    static const char words[] = "{\"kind\":\"tick\",\"symbol\":\"ABCD\",\"price\":101.25,\"size\":300} ";
    uint32_t x = 2463534242u;
    texts = malloc(opt.payload * (opt.deflate ? WANTED : 1) + 1);
    if (!texts)
        usage("out of memory");
    if (opt.deflate) {
        make_packed();
        return;
    }
    for (uint64_t i = 0; i < opt.payload; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        texts[i] = opt.text ? (uint8_t)words[i % (sizeof words - 1)] : (uint8_t)x;
    }
}

const uint8_t *text_of(uint32_t number)
{
    return texts + (size_t)(number % n_texts) * opt.payload;
}

/* Huffman codes stand in a stream from their highest bit on, all else from its
 * lowest; so each code is turned round. */
void pack_tag(uint8_t out[PACKED_TAG], const uint8_t tag[TAG], const uint8_t *packed_text)
{
    out[0] = BLOCK_HEAD;
    for (int i = 0; i < TAG; i++) {
        uint8_t code = (uint8_t)(0x30 + tag[i]), turned = 0;
        for (int bit = 0; bit < 8; bit++)
            turned = (uint8_t)(turned << 1 | (code >> bit & 1));
        out[i] |= (uint8_t)(turned << 3);
        out[i + 1] = turned >> 5;
    }
    out[TAG] |= packed_text[TAG] & 0xf8;
}
