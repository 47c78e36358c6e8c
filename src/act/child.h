/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of another program: text in, text out, within a deadline. Never a shell: the arguments
 * are handed over as they are. The program leads a process group of its own, and the whole group is
 * killed when the time is up. It inherits no descriptor but its three.
 *
 * Thread: any but a loop's; several may run at once.
 */
#ifndef TURNOUT_ACT_CHILD_H
#define TURNOUT_ACT_CHILD_H

#include "base/buf.h"

enum { CHILD_OUTPUT_MAX = 1 << 20 };

struct child_run {
    const char *const *argv; /* [0]: a path, or a name that the PATH has; NULL-terminated */
    struct slice input;
    int64_t timeout_ms;
    struct buf *output;      /* cleared first; ERR_TOO_LARGE beyond its limit */
    struct buf *complaint;   /* standard error, cut at the buf's limit */
};

/* ERR_OK: it ended by itself with *ret_exit, 0 to 255, or 128 + a signal. ERR_CONFIG: there is no
 * such program, or it may not be run. ERR_DEADLINE: it was killed. ERR_NO_MEMORY, ERR_IO. */
MAY_BLOCK enum err_e child_run(const struct child_run *run, int *ret_exit,
                               struct problem *ret_problem) MUST_CHECK;

#endif
