/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns over keys, with the meaning that Redis gives them in SCAN MATCH, so that one pattern
 * invalidates the same keys on every level:
 *
 *     *       any run of bytes, also none        [abc]   one of these bytes
 *     ?       exactly one byte                   [a-z]   one byte in the range, either way round
 *     \x      x itself                           [^a-z]  one byte outside
 *
 * A class without its ] ends with the pattern; a lone \ at the end stands for itself; [] matches
 * nothing and [^] any byte. Time is at most key length times pattern length, whatever the pattern.
 * Thread: any.
 */
#ifndef TURNOUT_CACHE_GLOB_H
#define TURNOUT_CACHE_GLOB_H

#include "base/slice.h"

bool glob_matches(struct slice pattern, struct slice key);

#endif
