#define _GNU_SOURCE
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Log-linear: 32 steps to a doubling, so a figure is right within 3 %. */
#define STEPS 32
static uint64_t buckets[64 * STEPS], samples;

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t))
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double own_cpu(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

/* The CPU clock of a process counts user and system time of all its threads, to
 * the nanosecond; /proc/PID/stat gives the same sum in ticks of 10 ms. */
double server_cpu(void)
{
    double sum = 0;
    for (int i = 0; i < opt.n_pids; i++) {
        clockid_t clock;
        if (!clock_getcpuclockid(opt.pids[i], &clock))
            sum += seconds_of(clock);
    }
    return sum;
}

void latency_reset(void)
{
    memset(buckets, 0, sizeof buckets);
    samples = 0;
}

void latency_add(uint64_t ns)
{
    unsigned at = (unsigned)ns;
    if (ns >= STEPS) {
        unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - 5;
        at = (shift + 1) * STEPS + (unsigned)(ns >> shift & (STEPS - 1));
    }
    buckets[at]++;
    samples++;
}

double latency_at(double share)
{
    uint64_t wanted = (uint64_t)(share * (double)samples), seen = 0;
    for (unsigned at = 0; at < 64 * STEPS; at++) {
        seen += buckets[at];
        if (seen > wanted || (seen == samples && seen)) {
            if (at < STEPS)
                return at / 1e3;
            return (double)((uint64_t)(STEPS + at % STEPS) << (at / STEPS - 1)) / 1e3;
        }
    }
    return 0;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct fairness fairness_of(const struct conn *all, uint32_t n, double window_ns)
{
    struct fairness found = { 0 };
    double *means = malloc(n * sizeof *means), *counts = malloc(n * sizeof *counts);
    if (!means || !counts)
        usage("out of memory");
    for (uint32_t i = 0; i < n; i++) {
        counts[i] = all[i].counted;
        /* One without any answer has waited for the whole window, or longer. */
        means[i] = all[i].counted ? (double)all[i].waited / counts[i] : window_ns;
    }
    qsort(means, n, sizeof *means, ascending);
    qsort(counts, n, sizeof *counts, ascending);
    if (means[n / 2] > 0)
        found.worst = means[(uint32_t)((double)n * 0.99)] / means[n / 2];
    if (counts[n / 2] > 0)
        found.least = counts[0] / counts[n / 2];
    free(means);
    free(counts);
    return found;
}
