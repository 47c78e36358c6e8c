/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small encodings: lower-case hexadecimal and base64url without padding (RFC 4648, section 5), and
 * percent-decoding of query strings. Thread: any. Nothing here allocates outside a given arena.
 */
#ifndef TURNOUT_BASE_TEXT_H
#define TURNOUT_BASE_TEXT_H

#include "base/arena.h"

void text_to_hex(const void *bytes, size_t len, char *ret_hex); /* 2*len characters and a NUL */

/* Characters for `len` bytes without padding, the NUL not counted. */
#define TEXT_BASE64_LEN(len) (((len) * 4 + 2) / 3)
void text_to_base64(const void *bytes, size_t len, char *ret_text); /* adds a NUL */
/* Bytes written, at most `size`; -1 when a character is foreign or it does not fit. */
int text_from_base64(struct slice text, void *ret_bytes, size_t size);

/* Undoes %XX, and + as a space when `plus` says so; false on a broken escape or a full arena. */
enum text_plus_e { TEXT_PLUS_STAYS, TEXT_PLUS_IS_SPACE };
bool text_percent_decode(struct arena *arena, struct slice text, enum text_plus_e plus,
                         struct slice *ret_text);

#endif
