/* Messages through zlib, for the floor and the load generator (RFC 7692 7.2). */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the Python servers are set to as well. */
#define CODEC_LEVEL 1
#define CODEC_BITS 12
#define CODEC_MEMORY 5
/* Bytes after a compressed payload that codec_inflate writes to and restores. */
#define CODEC_TAIL 4

struct codec;

/* One for a connection with context takeover, or one for all without; its two zlib
 * streams are made when first used. `reads` is the window of what it inflates.
 * Without memory the program ends. */
struct codec *codec_new(bool takeover, int reads);
void codec_free(struct codec *k);

/* Inflate or deflate a whole message. Returns the bytes at out; -1 if the data is
 * corrupt or cut off, or what comes of it does not fit. */
ssize_t codec_inflate(struct codec *k, uint8_t *in, size_t len, uint8_t *out, size_t room);
ssize_t codec_deflate(struct codec *k, const uint8_t *in, size_t len, uint8_t *out, size_t room);

#endif
