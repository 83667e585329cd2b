#include "ws.h"

#include <string.h>

static uint32_t rotl(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t *p)
{
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16
            | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20)
            f = (b & c) | (~b & d), k = 0x5A827999;
        else if (i < 40)
            f = b ^ c ^ d, k = 0x6ED9EBA1;
        else if (i < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
        else
            f = b ^ c ^ d, k = 0xCA62C1D6;
        uint32_t t = rotl(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotl(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* Only for input of at most 119 bytes, two blocks: a key and the GUID are 60. */
static void sha1(const uint8_t *in, size_t len, uint8_t out[20])
{
    uint8_t block[128] = { 0 };
    size_t total = len + 9 <= 64 ? 64 : 128;
    memcpy(block, in, len);
    block[len] = 0x80;
    block[total - 2] = (uint8_t)(len * 8 >> 8);
    block[total - 1] = (uint8_t)(len * 8);
    uint32_t h[5] = { 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0 };
    for (size_t at = 0; at < total; at += 64)
        sha1_block(h, block + at);
    for (int i = 0; i < 20; i++)
        out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void ws_base64(const uint8_t *in, size_t len, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; len > 0; in += 3) {
        size_t n = len < 3 ? len : 3;
        uint32_t v = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) | (n > 2 ? in[2] : 0);
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        *out++ = n > 1 ? alphabet[v >> 6 & 63] : '=';
        *out++ = n > 2 ? alphabet[v & 63] : '=';
        len -= n;
    }
    *out = 0;
}

void ws_accept(const char *key, size_t len, char out[29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[100], digest[20];
    if (len > 60)
        len = 60; /* no key is so long; the answer will simply not match */
    memcpy(text, key, len);
    memcpy(text + len, guid, 36);
    sha1(text, len + 36, digest);
    ws_base64(digest, 20, out);
}

size_t ws_header(uint8_t *out, int opcode, uint64_t len, const uint8_t *key)
{
    size_t n = 2;
    uint8_t mask = key ? 0x80 : 0;
    out[0] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        out[1] = (uint8_t)(mask | len);
    } else if (len < 65536) {
        out[1] = mask | 126;
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
        n = 4;
    } else {
        out[1] = mask | 127;
        for (int i = 0; i < 8; i++)
            out[2 + i] = (uint8_t)(len >> (56 - 8 * i));
        n = 10;
    }
    if (key) {
        memcpy(out + n, key, 4);
        n += 4;
    }
    return n;
}

typedef uint32_t block __attribute__((vector_size(32)));

void ws_xor(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t phase)
{
    uint8_t turned[4];
    uint32_t word;
    for (int i = 0; i < 4; i++)
        turned[i] = key[(phase + (size_t)i) & 3];
    memcpy(&word, turned, 4);
    block mask = { word, word, word, word, word, word, word, word };
    size_t i = 0;
    for (; i + sizeof(block) <= len; i += sizeof(block)) {
        block v;
        memcpy(&v, src + i, sizeof v);
        v ^= mask;
        memcpy(dst + i, &v, sizeof v);
    }
    for (; i + 4 <= len; i += 4) {
        uint32_t v;
        memcpy(&v, src + i, 4);
        v ^= word;
        memcpy(dst + i, &v, 4);
    }
    for (; i < len; i++)
        dst[i] = src[i] ^ turned[i & 3];
}
