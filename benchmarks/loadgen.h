/* The load generator's parts: loadgen.c (modes), options.c, texts.c (what is sent),
 * client.c (connections), verify.c (what comes back), stats.c (time, CPU, latency). */
#ifndef LOADGEN_H
#define LOADGEN_H

#include "codec.h"
#include "ws.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READ_SIZE (256 * 1024)
/* A payload starts with who sent it and its number there, in hexadecimal, so that
 * a lost, doubled, misplaced or misdelivered message is noticed. Payloads shorter
 * than this carry none. */
#define TAG 16
#define PACKED_TAG (TAG + 1) /* and 3 bits before it, 5 after it */
#define MAX_SENDERS 16
#define MAX_PIDS 16

enum mode { ECHO, IDLE, BROADCAST, HANDSHAKE };
enum deflate { PLAIN, ALONE, TAKEOVER };
enum state { UNUSED, CONNECTING, SHAKING, OPEN, CLOSING, CLOSED };

struct conn {
    int fd;
    uint32_t id;
    uint32_t armed;         /* what the epoll was asked for */
    uint8_t state, head_len, opcode;
    bool fin, in_frame, in_message, deflated;
    uint8_t head[WS_MAX_HEADER];
    uint8_t control_len;    /* payload bytes of a control frame so far */
    uint8_t control[125];
    uint8_t tag[TAG];
    uint64_t left;          /* payload of the frame in progress still to come */
    uint64_t at;            /* payload bytes of the message in progress */
    uint32_t received;      /* messages, all verified */
    uint32_t sent;          /* messages whose last byte the socket took */
    uint32_t queued;        /* messages that may go out now */
    uint64_t sent_of_frame; /* bytes of the frame in progress that are out */
    uint8_t pong[6 + 125];  /* an answer waiting for the end of a frame */
    uint8_t pong_len, pong_at;
    char accept[29];
    uint32_t *next_of;      /* broadcast: the next number of each sender */
    uint64_t *stamps;       /* ring of times, one for each message in flight */
    uint64_t started;
    uint64_t waited;        /* ns in the window, for all answers that were counted */
    uint32_t counted;
    uint8_t *heap;          /* of a compressed message so far; there are c->at bytes */
    struct codec *codec;    /* with context takeover */
};

struct options {
    enum mode mode;
    enum deflate deflate;
    int port;
    uint32_t connections, depth, senders, concurrency;
    uint64_t payload, count;
    double seconds, warmup;
    bool text, abrupt, echo_each, mark;
    const char *path;
    int pids[MAX_PIDS], n_pids;
};

struct totals {
    uint64_t messages;   /* verified; in a broadcast every delivery */
    uint64_t rounds, opened, closed, errors;
    uint64_t answers, compressed, answer_bytes; /* of the whole run, as on the wire */
    char first_error[160];
};

extern struct options opt;
extern struct totals total;
extern struct conn *conns;
extern int epfd;
extern uint64_t now;       /* ns; taken once an event */

/* options.c */
void usage(const char *problem) __attribute__((noreturn));
void parse_options(int argc, char **argv);

/* client.c */
void client_init(void);
void start_connection(struct conn *c);
void on_event(struct conn *c, uint32_t events);
void flush(struct conn *c);
void begin_close(struct conn *c);
void close_now(struct conn *c);
void reset_now(struct conn *c); /* without ceremony: the peer's socket is gone, too */

/* texts.c */
extern uint32_t n_texts;
extern uint8_t *texts;     /* payloads, one after the other, without their tags */
extern uint8_t *packed;    /* the same compressed */
extern size_t packed_size; /* of each */
void texts_init(void);
const uint8_t *text_of(uint32_t number);
void pack_tag(uint8_t out[PACKED_TAG], const uint8_t tag[TAG], const uint8_t *packed_text);

/* verify.c */
void verify_init(void);
/* CODEC_TAIL bytes behind the data are changed and restored. */
void verify(struct conn *c, uint8_t *data, size_t len);
void make_tag(uint8_t tag[TAG], uint32_t id, uint32_t number);
void fail(struct conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* loadgen.c: what the modes want to know */
void on_open(struct conn *c);
void on_message(struct conn *c, uint32_t sender, uint32_t number);

/* stats.c */
uint64_t clock_ns(void);
double own_cpu(void);
double server_cpu(void);
void latency_reset(void);
void latency_add(uint64_t ns);
double latency_at(double share); /* us */
/* How unequally connections are served: of their mean latencies the one that 1 % of
 * them exceed, to the median; of their answers the fewest, to the median. */
struct fairness { double worst, least; };
struct fairness fairness_of(const struct conn *all, uint32_t n, double window_ns);

#endif
