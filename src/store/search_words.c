/* SPDX-License-Identifier: Apache-2.0 */
/* A search text into its words. */
#include "store/search_words.h"

size_t search_char_len(struct slice text, size_t at) {
    size_t n = 1;
    while (at + n < text.len && ((unsigned char)text.at[at + n] & 0xC0) == 0x80) {
        n++;
    }
    return n;
}

size_t search_chars(struct slice text) {
    size_t chars = 0;
    for (size_t at = 0; at < text.len; at += search_char_len(text, at)) {
        chars++;
    }
    return chars;
}

static bool next_word(struct slice *rest, struct slice *ret_word) {
    while (slice_next(rest, ' ', ret_word)) {
        if (ret_word->len > 0) {
            return true;
        }
    }
    return false;
}

/* White space of every kind that people type becomes a space. */
static size_t copy_with_spaces(struct slice query, char *to) {
    size_t len = 0;
    for (size_t at = 0; at < query.len;) {
        size_t n = search_char_len(query, at);
        struct slice c = slice_from(query.at + at, n);
        bool space = (n == 1 && (unsigned char)c.at[0] <= ' ') || slice_eq_text(c, "\xC2\xA0") ||
                     slice_eq_text(c, "\xE3\x80\x80");
        if (space) {
            to[len++] = ' ';
        } else {
            memcpy(to + len, c.at, n);
            len += n;
        }
        at += n;
    }
    return len;
}

enum err_e search_words_read(struct slice query, struct search_words *ret_words,
                             struct problem *ret_problem) {
    ret_words->len = 0;
    if (query.len > sizeof ret_words->text || !slice_is_utf8(query)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "q",
                           "it must be UTF-8 of at most %d characters", SEARCH_CHARS_MAX);
    }
    struct slice rest = slice_from(ret_words->text, copy_with_spaces(query, ret_words->text));
    struct slice word;
    size_t longest = 0;
    while (next_word(&rest, &word)) {
        if (ret_words->len == SEARCH_WORDS_MAX) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, "q", "more than %d words",
                               SEARCH_WORDS_MAX);
        }
        size_t chars = search_chars(word);
        longest = chars > longest ? chars : longest;
        ret_words->items[ret_words->len++] = word;
    }
    if (longest < 2) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "q",
                           "a word of at least two characters is needed");
    }
    return ERR_OK;
}
