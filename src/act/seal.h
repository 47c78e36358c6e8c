/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature by which nodes and controllers of one cluster know each other: HMAC-SHA256 with
 * the cluster's secret (RFC 2104), in lower-case hexadecimal. Parts are joined by line feeds, so
 * only the last one may hold any. Thread: any.
 */
#ifndef TURNOUT_ACT_SEAL_H
#define TURNOUT_ACT_SEAL_H

#include "base/slice.h"

enum { SEAL_SIZE = 65, SEAL_PARTS_MAX = 8 };

/* False without memory. */
bool seal_make(struct slice secret, const struct slice *parts, size_t parts_len,
               char ret_seal[SEAL_SIZE]) MUST_CHECK;
/* Compares in a time that does not depend on where they differ. */
bool seal_fits(struct slice secret, const struct slice *parts, size_t parts_len,
               struct slice seal) MUST_CHECK;

#endif
