/* SPDX-License-Identifier: Apache-2.0 */
/* A whole file, or standard input, for commands that read one document. Thread: main. */
#ifndef TURNOUT_APP_INPUT_H
#define TURNOUT_APP_INPUT_H

#include "base/buf.h"
#include "base/err.h"

/* Fills `ret_text`, which the caller has not begun; buf_fini it in any case. "-" is standard input.
 * ERR_TOO_LARGE for more than `max` bytes, ERR_IO, ERR_NO_MEMORY. */
MAY_BLOCK enum err_e input_read(const char *path, size_t max, struct buf *ret_text,
                                struct problem *ret_problem) MUST_CHECK;

#endif
