/* The command line of the load generator; its head tells what each option means. */
#define _GNU_SOURCE
#include "loadgen.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options opt = { .connections = 1, .depth = 1, .senders = 1, .concurrency = 64,
    .payload = 128, .seconds = 1, .warmup = 0.2,
    .path = "/feed?room=1" };

void usage(const char *problem)
{
    fprintf(stderr, "loadgen: %s; see the head of loadgen.c\n", problem);
    exit(2);
}

void parse_options(int argc, char **argv)
{
    static const char *const modes[] = { "echo", "idle", "broadcast", "handshake" };
    static const char *const ways[] = { "none", "alone", "takeover" };
    static const struct option names[] = { { "port", 1, 0, 'p' }, { "mode", 1, 0, 'm' },
        { "connections", 1, 0, 'c' }, { "payload", 1, 0, 'b' }, { "depth", 1, 0, 'd' },
        { "senders", 1, 0, 's' }, { "concurrency", 1, 0, 'k' }, { "text", 0, 0, 't' },
        { "seconds", 1, 0, 'S' }, { "count", 1, 0, 'n' }, { "warmup", 1, 0, 'w' },
        { "abrupt", 0, 0, 'a' }, { "echo", 0, 0, 'e' }, { "pid", 1, 0, 'i' },
        { "deflate", 1, 0, 'z' }, { "path", 1, 0, 'P' }, { "mark", 0, 0, 'M' }, { 0, 0, 0, 0 } };
    int o, mode = 0, way;
    while ((o = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (o) {
        case 'p': opt.port = atoi(optarg); break;
        case 'c': opt.connections = (uint32_t)atoi(optarg); break;
        case 'b': opt.payload = strtoull(optarg, NULL, 10); break;
        case 'd': opt.depth = (uint32_t)atoi(optarg); break;
        case 's': opt.senders = (uint32_t)atoi(optarg); break;
        case 'k': opt.concurrency = (uint32_t)atoi(optarg); break;
        case 't': opt.text = true; break;
        case 'S': opt.seconds = atof(optarg); break;
        case 'n': opt.count = strtoull(optarg, NULL, 10); break;
        case 'w': opt.warmup = atof(optarg); break;
        case 'a': opt.abrupt = true; break;
        case 'e': opt.echo_each = true; break;
        case 'P': opt.path = optarg; break;
        case 'M': opt.mark = true; break;
        case 'i':
            if (opt.n_pids == MAX_PIDS)
                usage("too many --pid");
            opt.pids[opt.n_pids++] = atoi(optarg);
            break;
        case 'm':
            for (mode = 0; mode < 4 && strcmp(modes[mode], optarg); mode++) { }
            if (mode == 4)
                usage("no such mode");
            opt.mode = (enum mode)mode;
            break;
        case 'z':
            for (way = 0; way < 3 && strcmp(ways[way], optarg); way++) { }
            if (way == 3)
                usage("no such way to deflate");
            opt.deflate = (enum deflate)way;
            break;
        default: usage("no such option");
        }
    }
    if (opt.mode == HANDSHAKE)
        opt.connections = opt.concurrency;
    if (!opt.port || !opt.connections || !opt.depth || !opt.concurrency || !opt.senders)
        usage("--port is needed, and every number over 0");
    if (opt.mode == BROADCAST && (opt.senders > MAX_SENDERS || opt.senders > opt.connections
            || opt.payload < TAG))
        usage("broadcast: at most 16 senders, a payload of 16 bytes or more");
    if (strlen(opt.path) > 64)
        usage("a path of at most 64 characters");
    if (opt.deflate && opt.payload < TAG)
        usage("deflate: a payload of 16 bytes or more");
}
