/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a run went over its time: latencies of scans in equal intervals, and at their ends the
 * memory, descriptors and processor time of the processes that are watched, and the machine's as
 * the kernel counts them. Thread: one.
 */
#ifndef LOADGEN_SAMPLES_H
#define LOADGEN_SAMPLES_H

#include "base/json.h"
#include "stat/histogram.h"

enum { WATCHED_MAX = 8, SAMPLES_MAX = 720 };

struct sample {
    double at_s;
    uint64_t done;
    double p50_us, p99_us, max_us;
    uint64_t open; /* connections */
    double cpu_percent, memory_percent; /* of the machine; the CPU since the sample before */
    struct usage {
        uint64_t rss_kib, descriptors;
        double cpu_s;
    } usage[WATCHED_MAX];
};

struct samples {
    int pids[WATCHED_MAX];
    size_t pids_len;
    double interval_s;
    struct histogram interval; /* of the interval under way */
    struct machine_time {
        uint64_t busy, all; /* ticks of all cores */
    } machine;              /* at the last sample */
    struct sample samples[SAMPLES_MAX];
    size_t len;
};

/* "123,456"; NULL watches nobody. False when it is no such list. */
bool samples_watch(struct samples *samples, const char *pids);
/* Begins anew; the intervals are such that `seconds` fit. */
void samples_begin(struct samples *samples, double seconds);
/* Ends the interval when it is over. */
void samples_tick(struct samples *samples, double at_s, uint64_t open);
void samples_report(const struct samples *samples, struct json_writer *w);

/* User and system time of a process; 0 when there is none. */
double process_cpu_s(int pid);

#endif
