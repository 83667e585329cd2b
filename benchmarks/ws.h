/* The few pieces of RFC 6455 that the load generator and the floor share. */
#ifndef WS_H
#define WS_H

#include <stddef.h>
#include <stdint.h>

enum { WS_CONT = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10,
    WS_RSV1 = 0x40 /* with the opcode of a compressed message */ };

/* Longest header: 2 bytes, 8 of length, 4 of masking key. */
#define WS_MAX_HEADER 14

/* Sec-WebSocket-Accept for a key; out gets 28 characters and a NUL. */
void ws_accept(const char *key, size_t len, char out[29]);

/* Base64 with padding and a NUL. */
void ws_base64(const uint8_t *in, size_t len, char *out);

/* Write a header; key NULL for a server's frame. Returns its length. */
size_t ws_header(uint8_t *out, int opcode, uint64_t len, const uint8_t *key);

/* XOR len bytes with key, whose first byte to use is key[phase % 4]. dst may lie
 * at or before src in the same buffer: every block is loaded before it is stored. */
void ws_xor(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t phase);

#endif
