/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a search, as every store takes them: parted by white space of any kind, at most 16,
 * one of them of two characters at least. Thread: any.
 */
#ifndef TURNOUT_STORE_SEARCH_WORDS_H
#define TURNOUT_STORE_SEARCH_WORDS_H

#include "base/slice.h"

enum { SEARCH_CHARS_MAX = 400, SEARCH_WORDS_MAX = 16 };

struct search_words {
    struct slice items[SEARCH_WORDS_MAX]; /* in `text` */
    size_t len;
    char text[4 * SEARCH_CHARS_MAX];
};

/* ERR_INVALID_FIELD with field `q`. Holds pointers into itself: never copied. */
enum err_e search_words_read(struct slice query, struct search_words *ret_words,
                             struct problem *ret_problem) MUST_CHECK;

size_t search_char_len(struct slice text, size_t at); /* bytes of the character at `at` */
size_t search_chars(struct slice text);

#endif
