/* The load generator's parts: loadgen.c (modes), options.c, client.c (connections),
 * verify.c (what comes back), stats.c (time, CPU, latency). */
#ifndef LOADGEN_H
#define LOADGEN_H

#include "ws.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READ_SIZE (256 * 1024)
/* A payload starts with who sent it and its number there, in hexadecimal, so that
 * a lost, doubled, misplaced or misdelivered message is noticed. Payloads shorter
 * than this carry none. */
#define TAG 16
#define MAX_SENDERS 16
#define MAX_PIDS 16

enum mode { ECHO, IDLE, BROADCAST, HANDSHAKE };
enum state { UNUSED, CONNECTING, SHAKING, OPEN, CLOSING, CLOSED };

struct conn {
    int fd;
    uint32_t id;
    uint32_t armed;         /* what the epoll was asked for */
    uint8_t state, head_len, opcode;
    bool fin, in_frame, in_message;
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
};

struct options {
    enum mode mode;
    int port;
    uint32_t connections, depth, senders, concurrency;
    uint64_t payload, count;
    double seconds, warmup;
    bool text, abrupt, echo_each;
    int pids[MAX_PIDS], n_pids;
};

struct totals {
    uint64_t messages;   /* verified; in a broadcast every delivery */
    uint64_t rounds, opened, closed, errors;
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

/* verify.c */
extern uint8_t *plain;     /* the payload without its tag */
void verify_init(void);
void verify(struct conn *c, const uint8_t *data, size_t len);
void make_tag(uint8_t tag[TAG], uint32_t id, uint32_t number);
void fail(struct conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* loadgen.c: what the modes want to know */
void on_open(struct conn *c);
void on_message(struct conn *c, uint32_t sender, uint32_t number);
void on_closed(struct conn *c);

/* stats.c */
uint64_t clock_ns(void);
double own_cpu(void);
double server_cpu(void);
void latency_reset(void);
void latency_add(uint64_t ns);
double latency_at(double share); /* us */

#endif
