/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that are kept in files. Thread: any that may block. */
#ifndef TURNOUT_ACT_SECRET_H
#define TURNOUT_ACT_SECRET_H

#include "base/slice.h"

/* The first line of the file that the setting `key` names. ERR_CONFIG when it cannot be read, is
 * empty, or is longer than size - 1 bytes; the problem does not repeat it. */
MAY_BLOCK enum err_e secret_read(const char *path, const char *key, char *ret_secret, size_t size,
                                 struct problem *ret_problem) MUST_CHECK;

#endif
