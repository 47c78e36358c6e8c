/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor of a paged list: where the page before ended, opaque to clients.
 *
 * base64url over: version (1 byte), list (1 byte), filter (4 bytes), keys (2 x 8 bytes), check (4
 * bytes), numbers little-endian. The check finds damage, the list and filter find a cursor that
 * belongs to another list. It is no secret and grants nothing: keys only say where to start. Pure.
 * Thread: any.
 */
#ifndef TURNOUT_API_CURSOR_H
#define TURNOUT_API_CURSOR_H

#include "base/text.h"

enum cursor_list_e { CURSOR_EVENTS = 1, CURSOR_GATES, CURSOR_PARTICIPANTS, CURSOR_ATTENDANCE,
                     CURSOR_ACTIONS, CURSOR_NOTICES };

struct cursor {
    enum cursor_list_e list;
    uint32_t filter; /* hash of what the list was asked for */
    int64_t keys[2]; /* of the last item; the second is 0 where one is enough */
};

enum { CURSOR_BYTES = 26, CURSOR_TEXT_SIZE = TEXT_BASE64_LEN(CURSOR_BYTES) + 1 };

void cursor_format(const struct cursor *cursor, char ret_text[CURSOR_TEXT_SIZE]);
/* `expected` says which list and filter; its keys are filled. ERR_INVALID_CURSOR otherwise. */
enum err_e cursor_parse(struct slice text, struct cursor *expected,
                        struct problem *ret_problem) MUST_CHECK;

/* Folds one more part of a filter into its hash; start with 0. The order of the parts matters. */
uint32_t cursor_fold(uint32_t filter, struct slice part);
uint32_t cursor_fold_int(uint32_t filter, int64_t part);

#endif
