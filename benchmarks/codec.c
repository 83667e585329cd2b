#include "codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct codec {
    z_stream in, out;
    bool takeover, reading, writing;
    int reads;
};

static void check(int status)
{
    if (status != Z_OK) {
        fprintf(stderr, "zlib: %d\n", status);
        exit(1);
    }
}

struct codec *codec_new(bool takeover, int reads)
{
    struct codec *k = calloc(1, sizeof *k);
    if (!k)
        check(Z_MEM_ERROR);
    k->takeover = takeover;
    k->reads = reads;
    return k;
}

void codec_free(struct codec *k)
{
    if (!k)
        return;
    if (k->reading)
        inflateEnd(&k->in);
    if (k->writing)
        deflateEnd(&k->out);
    free(k);
}

ssize_t codec_inflate(struct codec *k, uint8_t *in, size_t len, uint8_t *out, size_t room)
{
    static const uint8_t tail[CODEC_TAIL] = { 0, 0, 0xff, 0xff };
    uint8_t after[CODEC_TAIL];
    if (!k->reading)
        check(inflateInit2(&k->in, -k->reads));
    else if (!k->takeover)
        check(inflateReset(&k->in));
    k->reading = true;
    memcpy(after, in + len, sizeof tail);
    memcpy(in + len, tail, sizeof tail);
    k->in.next_in = in;
    k->in.avail_in = (uInt)(len + sizeof tail);
    k->in.next_out = out;
    k->in.avail_out = (uInt)room;
    int status = inflate(&k->in, Z_SYNC_FLUSH);
    memcpy(in + len, after, sizeof tail);
    if (status != Z_OK || k->in.avail_in || !k->in.avail_out)
        return -1;
    return (ssize_t)(room - k->in.avail_out);
}

ssize_t codec_deflate(struct codec *k, const uint8_t *in, size_t len, uint8_t *out, size_t room)
{
    if (!k->writing)
        check(deflateInit2(&k->out, CODEC_LEVEL, Z_DEFLATED, -CODEC_BITS, CODEC_MEMORY,
            Z_DEFAULT_STRATEGY));
    else if (!k->takeover)
        check(deflateReset(&k->out));
    k->writing = true;
    k->out.next_in = (uint8_t *)(uintptr_t)in; /* zlib only reads it */
    k->out.avail_in = (uInt)len;
    k->out.next_out = out;
    k->out.avail_out = (uInt)room;
    if (deflate(&k->out, Z_SYNC_FLUSH) != Z_OK || !k->out.avail_out)
        return -1;
    return (ssize_t)(room - k->out.avail_out) - 4;
}
