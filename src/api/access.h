/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log: a line a request, written by a thread of its own.
 *
 *   loops ── copy a line, or drop it ──► buffer ──► thread ──► file
 *
 * A loop never waits for the disk: the buffer has a bound, and what does not fit is dropped and
 * counted. The file may be moved away (logrotate): a new one begins within a second.
 * Thread: open and close from main, write from any.
 */
#ifndef TURNOUT_API_ACCESS_H
#define TURNOUT_API_ACCESS_H

#include "base/slice.h"

enum {
    ACCESS_BUFFER = 1 << 20, /* bytes that wait: some 5,000 lines */
    ACCESS_LINE_MAX = 640,
    ACCESS_CLOSE_MS = 2000,  /* that closing waits for a disk or a pipe that stands still */
};

struct access_log;

/* `path` "-" is standard output. ERR_CONFIG with what is wrong, a pipe that nobody reads among it:
 * opening waits for no reader. */
MAY_BLOCK enum err_e access_open(const char *path, struct access_log **ret_log,
                                 struct problem *ret_problem) MUST_CHECK;
/* Writes what waits, for at most ACCESS_CLOSE_MS. What cannot be written by then is lost, and said;
 * its thread stays with its write, and frees the log should that ever end. NULL: nothing. */
MAY_BLOCK void access_close(struct access_log *log);

/* `line` with its end. False: there was no room, and it is dropped. */
bool access_write(struct access_log *log, struct slice line);

#endif
