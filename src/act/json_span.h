/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a member's value lies in the text of a JSON document: to take a part out, or to change one
 * value and leave every other byte as it was. For texts that json_parse has accepted; of anything
 * else it finds nothing or something, within the text. Pure. Thread: any.
 */
#ifndef TURNOUT_ACT_JSON_SPAN_H
#define TURNOUT_ACT_JSON_SPAN_H

#include "base/slice.h"

/* The value at the end of a path of member names, NULL-terminated; false when there is none. Names
 * are compared as they are written, without escapes. */
bool json_span(struct slice text, const char *const *path, struct slice *ret_value);

#endif
