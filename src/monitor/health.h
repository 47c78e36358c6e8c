/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the process and its machine are: processor, memory, descriptors, pressure, disk.
 *
 * Percent are of the limit that applies to the process: the tightest of its control groups when
 * that is tighter than the machine, else the machine. What counts as used is what is used of that
 * very limit, by whomever: a group's when the group bears it, the machine's when the machine does.
 * So 100 means that there is no more to be had. What only this process uses is told apart
 * (process_cpu_percent, rss_bytes). What nobody knows is NAN, or -1 in whole numbers.
 *
 * Thread: the monitor's. The arithmetic is in health.c's pure half, tested with made-up trees.
 */
#ifndef TURNOUT_MONITOR_HEALTH_H
#define TURNOUT_MONITOR_HEALTH_H

#include "base/slice.h"

struct pressure {
    double some, full; /* percent of the last 10 seconds; NAN: not told */
};

/* X(NAME, word): where a limit comes from. */
#define LIMIT_SOURCE_TABLE(X) X(UNKNOWN, "unknown") X(MACHINE, "machine") X(CGROUP, "cgroup")
#define X(name, word) LIMIT_##name,
enum limit_source_e { LIMIT_SOURCE_TABLE(X) LIMIT_SOURCE_COUNT };
#undef X
const char *limit_source_text(enum limit_source_e source);

struct health {
    double cpu_percent;         /* of the limit, since the last reading */
    double process_cpu_percent; /* of the same limit, by this process alone */
    double cpu_cores;           /* the limit */
    enum limit_source_e cpu_source;
    double memory_percent;
    int64_t memory_limit; /* bytes */
    enum limit_source_e memory_source;
    int64_t rss_bytes;
    int64_t open_fds;
    int64_t fds_limit;
    bool has_pressure;
    struct pressure cpu, memory, io;
    int64_t disk_free_bytes, disk_total_bytes; /* where the store is */
};

struct health_reader;

/* `root` is "" but in tests, `disk_path` a path on the store's disk or NULL; both are borrowed.
 * NULL without memory. */
struct health_reader *health_open(const char *root, const char *disk_path);
void health_close(struct health_reader *reader);
/* The first reading has no cpu: percent are of the time between two readings. */
MAY_BLOCK void health_read(struct health_reader *reader, int64_t now_us,
                           struct health *ret_health);

#endif
