/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits that control groups put on this process, and how much of them is used: version 1,
 * version 2, both at once, nested groups, or none.
 *
 *   /proc/self/mountinfo  where each hierarchy is mounted, and which of its groups is on top
 *   /proc/self/cgroup     which group of each hierarchy this process is in
 *
 * A limit holds for everything below it, so every group from the process's own up to the top of the
 * mount is looked at; the tightest limit is the one that applies, and what is used of it is what
 * the group that bears it uses. Thread: the monitor's.
 */
#ifndef TURNOUT_MONITOR_CGROUP_H
#define TURNOUT_MONITOR_CGROUP_H

#include "base/slice.h"

enum { CGROUP_FOLDER_SIZE = 512 };

struct cgroup_limits {
    bool has_memory;
    uint64_t memory_limit; /* bytes */
    uint64_t memory_used;  /* without the page cache that the kernel drops first */
    bool has_cpu;
    double cpu_cores;      /* may be a fraction */
    uint64_t cpu_used_us;  /* since the group was made */
    char cpu_group[CGROUP_FOLDER_SIZE]; /* whose time it is: another's cannot be subtracted */
    char pressure_folder[CGROUP_FOLDER_SIZE]; /* of the process's own group; empty: none */
};

MAY_BLOCK void cgroup_read(const char *root, struct cgroup_limits *ret_limits);

#endif
