/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that outlives whoever started it, and is known again by whoever comes next: by its pid
 * together with the boot and the moment in it when it began. So a pid that another program has by
 * now is never taken for it.
 *
 * Thread: any but a loop's.
 */
#ifndef TURNOUT_ACT_PROCESS_H
#define TURNOUT_ACT_PROCESS_H

#include "base/slice.h"

enum { PROCESS_BOOT_SIZE = 40 };

struct process_id {
    int64_t pid;   /* 0: none */
    int64_t began; /* clock ticks since the boot */
    char boot[PROCESS_BOOT_SIZE];
};

struct process_start {
    const char *const *argv; /* [0]: an absolute path; NULL-terminated */
    char *const *environment;
    const char *folder; /* it works there */
    const char *out;    /* its standard output, begun anew */
    const char *log;    /* its standard error, appended to */
    /* Called when the process exists and waits to run its program: who it is must be remembered
     * before this returns. False, or the end of this process in the middle of it, and the program
     * never runs: there is no process that nobody knows. */
    bool (*remember)(void *data, const struct process_id *id);
    void *data;
};

/* In a session of its own, with no descriptor but its three and no signal blocked. ERR_NO_MEMORY;
 * ERR_IO: a file cannot be opened, or it was not remembered. A program that cannot be run ends with
 * 127, which process_is_alive tells. */
MAY_BLOCK enum err_e process_start(const struct process_start *start,
                                   struct problem *ret_problem) MUST_CHECK;

/* Who a process is that somebody else has started. False: there is none. */
MAY_BLOCK bool process_find(int64_t pid, struct process_id *ret_id);

/* False also for what is left of it. A child of this process is reaped. */
MAY_BLOCK bool process_is_alive(const struct process_id *id);

/* Reaches this process or none. */
MAY_BLOCK void process_signal(const struct process_id *id, int signal_number);

#endif
