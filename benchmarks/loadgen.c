/* Load generator for WebSocket servers: one thread, one epoll, JSON on stdout.
 *
 *     loadgen --port P [--mode echo|idle|broadcast|handshake] [options]
 *
 *   echo       every connection keeps --depth messages in flight
 *   broadcast  the first --senders connections each keep --depth rounds in flight; a
 *              round is over when every connection, senders too, has its message
 *   handshake  --concurrency connections at once, again and again, in waves: the server
 *              is stopped while one wave is reset and the next one asks. To open a
 *              connection costs more than to accept it, so a server that need not
 *              wait would get them one by one where it could have had them all
 *   idle       opens all, says so, then obeys lines on stdin: "echo" sends one
 *              message on each connection, "quit" or the end of stdin ends it
 *
 *   --connections N  --payload BYTES  --depth N  --senders N  --concurrency N  --text
 *   --seconds S  --count N (ends the window early)  --warmup S  --abrupt (end without
 *   a closing handshake)  --echo (idle: one message each at once)
 *   --deflate none|alone|takeover (what is offered; messages go out compressed)
 *   --pid P (again and again: processes whose CPU time is the server's)
 *   --mark (SIGUSR1 and SIGUSR2 to these at the edges of the window)  --path P (of the request)
 *
 * The window begins after the warm-up and ends before what is in flight is drained;
 * both CPU times are taken at its very edges. Any error ends the run and is told.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define EVENTS 512
#define PATIENCE 10000000000u /* ns without any progress: the server hangs */

struct totals total;
struct conn *conns;
int epfd;
uint64_t now;

static bool refilling; /* an answer is followed by a new message */
static bool measuring; /* the window is open */
static uint32_t started, open_now, busy, next_echo;
static uint32_t *remaining; /* broadcast: deliveries missing, by sender and round */
static bool dirty[MAX_SENDERS];
static double cpu_before[2], cpu_after[2], window;
static uint64_t window_start, rounds_before;

/* The modes' answers to what happens on a connection. */

static void start_again(struct conn *c)
{
    *c = (struct conn){ .fd = -1, .id = c->id, .stamps = c->stamps, .next_of = c->next_of };
    start_connection(c);
}

void on_open(struct conn *c)
{
    open_now++;
    if (opt.mode != HANDSHAKE)
        return;
    busy--;
    if (measuring) {
        total.messages++;
        latency_add(clock_ns() - c->started);
    }
}

static void tell_server(int signal)
{
    for (int i = 0; i < opt.n_pids; i++)
        kill(opt.pids[i], signal);
}

static void next_wave(void)
{
    tell_server(SIGSTOP);
    for (uint32_t i = 0; i < opt.connections; i++)
        reset_now(&conns[i]);
    for (uint32_t i = 0; i < opt.connections && !total.errors; i++, busy++)
        start_again(&conns[i]);
    tell_server(SIGCONT);
}

static void on_delivery(uint32_t sender, uint32_t number)
{
    uint32_t slot = sender * opt.depth + number % opt.depth;
    if (measuring) {
        total.messages++;
        latency_add(now - conns[sender].stamps[number % opt.depth]);
    }
    if (--remaining[slot])
        return;
    total.rounds++;
    remaining[slot] = opt.connections;
    if (refilling) {
        conns[sender].queued++;
        conns[sender].stamps[number % opt.depth] = now;
        busy++;
        dirty[sender] = true;
    }
    busy--;
}

static void echo_next(void)
{
    while (busy < opt.concurrency && next_echo < opt.connections) {
        struct conn *c = &conns[next_echo++];
        busy++;
        c->queued = 1;
        flush(c);
    }
}

void on_message(struct conn *c, uint32_t sender, uint32_t number)
{
    if (opt.mode == BROADCAST) {
        on_delivery(sender, number);
        return;
    }
    uint64_t *stamp = &c->stamps[number % opt.depth];
    if (measuring) {
        total.messages++;
        latency_add(now - *stamp);
        c->counted++;
        c->waited += now - *stamp;
    }
    if (refilling) {
        /* It takes the place, and the slot, of the one that came back. */
        *stamp = now;
        c->queued++;
    } else {
        busy--;
        if (opt.mode == IDLE) {
            total.messages++;
            echo_next();
        }
    }
}

/* One turn of the loop; false when there is no point in going on. */

static bool turn(uint64_t deadline)
{
    static struct epoll_event events[EVENTS];
    static uint64_t last_sum, last_change;
    uint64_t at = clock_ns();
    int wait = deadline <= at ? 0 : (int)((deadline - at) / 1000000 + 1);
    int n = epoll_wait(epfd, events, EVENTS, wait < 100 ? wait : 100);
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr)
            on_event(events[i].data.ptr, events[i].events);
    for (uint32_t i = 0; i < opt.senders && opt.mode == BROADCAST; i++)
        if (dirty[i]) {
            dirty[i] = false;
            flush(&conns[i]);
        }
    if (opt.mode == HANDSHAKE && !busy && refilling && !total.errors)
        next_wave();
    uint64_t sum = n > 0 ? last_sum + 1 : last_sum;
    now = clock_ns();
    if (sum != last_sum || !last_change)
        last_sum = sum, last_change = now;
    if (now - last_change > PATIENCE && !total.errors++)
        snprintf(total.first_error, sizeof total.first_error, "nothing came for 10 s");
    return !total.errors;
}

static bool run_for(double seconds, bool counted)
{
    uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9);
    while (clock_ns() < end && !(counted && opt.count && total.messages >= opt.count))
        if (!turn(end))
            return false;
    return true;
}

static bool open_all(void)
{
    while (open_now < opt.connections) {
        while (started < opt.connections && started - open_now < opt.concurrency)
            start_again(&conns[started++]);
        if (!turn(clock_ns() + 100000000u))
            return false;
    }
    return true;
}

static void close_all(void)
{
    uint64_t end = clock_ns() + 1000000000u;
    bool failed = total.errors > 0;
    refilling = false;
    for (uint32_t i = 0; i < opt.connections; i++)
        if (conns[i].state == OPEN && !failed)
            begin_close(&conns[i]);
    while (!failed && clock_ns() < end && turn(end)) {
        bool left = false;
        for (uint32_t i = 0; i < opt.connections && !left; i++)
            left = conns[i].state == CLOSING;
        if (!left)
            break;
    }
}

static void begin_traffic(void)
{
    uint32_t sending = opt.mode == BROADCAST ? opt.senders : opt.connections;
    refilling = true;
    if (opt.mode == HANDSHAKE) {
        next_wave();
        return;
    }
    for (uint32_t i = 0; i < sending && !total.errors; i++) {
        now = clock_ns();
        for (uint32_t k = 0; k < opt.depth; k++)
            conns[i].stamps[k] = now;
        busy += opt.depth;
        conns[i].queued = opt.depth;
        flush(&conns[i]);
    }
}

static void measure(void)
{
    if (opt.mode != HANDSHAKE && !open_all())
        return;
    /* A server may count a connection in a moment after its 101 went out. */
    if (opt.mode == BROADCAST && !run_for(0.2, false))
        return;
    begin_traffic();
    if (!run_for(opt.warmup, false))
        return;
    if (opt.mark)
        tell_server(SIGUSR1);
    measuring = true;
    rounds_before = total.rounds;
    cpu_before[0] = server_cpu();
    cpu_before[1] = own_cpu();
    window_start = clock_ns();
    run_for(opt.seconds, true);
    window = (double)(clock_ns() - window_start) / 1e9;
    cpu_after[0] = server_cpu();
    cpu_after[1] = own_cpu();
    if (opt.mark)
        tell_server(SIGUSR2);
    measuring = refilling = false;
    total.rounds -= rounds_before;
    uint64_t rounds = total.rounds, end = clock_ns() + 5000000000u;
    if (opt.mode != HANDSHAKE)
        while (busy && !total.errors && clock_ns() < end)
            turn(end);
    total.rounds = rounds;
    if (opt.mode != HANDSHAKE && busy && !total.errors++)
        snprintf(total.first_error, sizeof total.first_error, "%u answers never came", busy);
}

static void print_text(const char *text)
{
    putchar('"');
    for (; *text; text++)
        if ((unsigned char)*text < 32 || (unsigned char)*text > 126)
            putchar('?');
        else
            printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    putchar('"');
}

static void report(const char *event)
{
    printf("{\"event\": \"%s\", \"connections\": %u, \"payload\": %llu, \"depth\": %u, "
           "\"seconds\": %.6f, \"messages\": %llu, \"rounds\": %llu, \"errors\": %llu, ",
        event, opt.connections, (unsigned long long)opt.payload, opt.depth, window,
        (unsigned long long)total.messages, (unsigned long long)total.rounds,
        (unsigned long long)total.errors);
    printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f, \"own_cpu\": %.6f, "
           "\"server_cpu\": %.6f, \"first_error\": ",
        latency_at(0.5), latency_at(0.99), latency_at(1), cpu_after[1] - cpu_before[1],
        cpu_after[0] - cpu_before[0]);
    print_text(total.first_error);
    /* Of the answers, at their shares in the whole run. */
    double answers = total.answers ? (double)total.answers : 1;
    printf(", \"compressed\": %.4f, \"answer_bytes\": %.1f",
        (double)total.compressed / answers, (double)total.answer_bytes / answers);
    struct fairness fair = { 0 };
    if (opt.mode == ECHO)
        fair = fairness_of(conns, opt.connections, window * 1e9);
    printf(", \"worst_mean\": %.3f, \"least_share\": %.3f}\n", fair.worst, fair.least);
    fflush(stdout);
}

static void echo_each(void)
{
    next_echo = 0;
    total.messages = 0;
    echo_next();
    while (total.messages < opt.connections)
        if (!turn(clock_ns() + 100000000u))
            break;
    report("echoed");
}

static void stay_idle(void)
{
    struct epoll_event ev = { .events = EPOLLIN };
    char line[64];
    if (!open_all())
        return;
    report("open");
    if (opt.echo_each)
        echo_each();
    /* Commands come from a program that waits for each answer: one a read. */
    epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &ev);
    for (;;) {
        static struct epoll_event events[EVENTS];
        int n = epoll_wait(epfd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                on_event(events[i].data.ptr, events[i].events);
                continue;
            }
            ssize_t got = read(0, line, sizeof line - 1);
            if (got <= 0 || !strncmp(line, "quit", 4))
                return;
            if (!strncmp(line, "echo", 4))
                echo_each();
        }
        if (total.errors)
            return;
    }
}

/* What a connection needs for its mode is allotted once; a struct that is used
 * again keeps it. */
static void allot(void)
{
    conns = calloc(opt.connections, sizeof *conns);
    remaining = calloc((size_t)opt.senders * opt.depth, sizeof *remaining);
    uint64_t *stamps = calloc((size_t)opt.connections * opt.depth, sizeof *stamps);
    uint32_t *next_of = calloc((size_t)opt.connections * opt.senders, sizeof *next_of);
    if (!conns || !remaining || !stamps || !next_of)
        usage("out of memory");
    for (uint32_t i = 0; i < opt.connections; i++) {
        conns[i].id = i;
        conns[i].stamps = stamps + (size_t)i * opt.depth;
        conns[i].next_of = next_of + (size_t)i * opt.senders;
    }
    for (uint32_t i = 0; i < opt.senders * opt.depth; i++)
        remaining[i] = opt.connections;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    parse_options(argc, argv);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (opt.connections + 16 > limit.rlim_max)
        usage("more connections than file descriptors (ulimit -Hn)");
    epfd = epoll_create1(EPOLL_CLOEXEC);
    allot();
    texts_init();
    verify_init();
    client_init();
    latency_reset();
    if (opt.mode == IDLE)
        stay_idle();
    else
        measure();
    if (opt.mode != IDLE || total.errors)
        report(total.errors ? "failed" : "done");
    close_all();
    return total.errors > 0;
}
