/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of lines that a later run can be tried on: what was there before moves to PATH.1 when it
 * is opened and when it is full, so a file begins where its process began and its size has a bound.
 * Trouble with the file is logged once and ends the recording, nothing else.
 * Thread: the controller's.
 */
#ifndef TURNOUT_ACT_RECORDER_H
#define TURNOUT_ACT_RECORDER_H

#include "base/slice.h"

struct recorder;

/* NULL without memory. `bytes_max` is the size at which a new file begins. */
MAY_BLOCK struct recorder *recorder_open(const char *path, int64_t bytes_max);
MAY_BLOCK void recorder_write(struct recorder *recorder, struct slice line); /* without its end */
MAY_BLOCK void recorder_close(struct recorder *recorder); /* NULL: nothing */

#endif
