/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Search: what goes into the index for a participant, and the expression that finds it.
 *
 * A name is indexed by its words (unicode61 folds case and accents), an address by its grams: at
 * every character the next three, fewer at the end. A run of grams, as a phrase, is then exactly a
 * part of the address: "kim@" is found as the phrase "kim im@". A word of two characters is a
 * gram's prefix. Punctuation would part the grams, so it is moved to the private use area, which
 * unicode61 counts as letters. A third column holds the event, so that one index serves all events.
 */
#include "store/sqlite_priv.h"

enum { GRAM = 3, QUERY_CHARS_MAX = 400, WORDS_MAX = 16 };

static size_t char_len(struct slice text, size_t at) {
    size_t n = 1;
    while (at + n < text.len && ((unsigned char)text.at[at + n] & 0xC0) == 0x80) {
        n++;
    }
    return n;
}

static size_t count_chars(struct slice text) {
    size_t chars = 0;
    for (size_t at = 0; at < text.len; at += char_len(text, at)) {
        chars++;
    }
    return chars;
}

static bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* U+E000 + c in UTF-8 for ASCII punctuation; other characters as they are. */
static void add_gram_char(struct buf *to, struct slice c) {
    if (c.len == 1 && !is_alnum(c.at[0])) {
        unsigned code = 0xE000u + (unsigned char)c.at[0];
        const char moved[3] = {(char)(0xE0 | (code >> 12)), (char)(0x80 | ((code >> 6) & 63)),
                               (char)(0x80 | (code & 63))};
        buf_add(to, slice_from(moved, sizeof moved));
    } else {
        buf_add(to, c);
    }
}

/* Appends the gram that begins at byte `at`: up to `chars` characters. */
static void add_gram(struct buf *to, struct slice text, size_t at, size_t chars) {
    for (size_t i = 0; i < chars && at < text.len; i++) {
        size_t n = char_len(text, at);
        add_gram_char(to, slice_from(text.at + at, n));
        at += n;
    }
}

void search_event_word(int64_t event_id, struct buf *ret_text) {
    buf_add_char(ret_text, 'e');
    buf_add_int(ret_text, event_id);
}

void search_address_grams(struct slice email, struct buf *ret_text) {
    for (size_t at = 0; at < email.len; at += char_len(email, at)) {
        if (at > 0) {
            buf_add_char(ret_text, ' ');
        }
        add_gram(ret_text, email, at, GRAM);
    }
}

/* {name} : "word" * */
static void add_name_term(struct buf *to, struct slice word) {
    buf_add_text(to, "({name} : \"");
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] == '"') {
            buf_add_char(to, '"');
        }
        buf_add_char(to, word.at[i]);
    }
    buf_add_text(to, "\" *)");
}

/* {email} : "kim im@ m@x", or "ki" * for a word that is shorter than a gram */
static void add_address_term(struct buf *to, struct slice word, size_t chars) {
    buf_add_text(to, "({email} : \"");
    size_t at = 0;
    for (size_t left = chars; left >= GRAM; left--) {
        if (at > 0) {
            buf_add_char(to, ' ');
        }
        add_gram(to, word, at, GRAM);
        at += char_len(word, at);
    }
    if (chars < GRAM) {
        add_gram(to, word, 0, chars);
    }
    buf_add_text(to, chars < GRAM ? "\" *)" : "\")");
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
        size_t n = char_len(query, at);
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

enum err_e search_expression(int64_t event_id, struct slice query, struct buf *ret_text,
                             struct problem *ret_problem) {
    char text[4 * QUERY_CHARS_MAX];
    if (query.len > sizeof text || !slice_is_utf8(query)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "q",
                           "it must be UTF-8 of at most %d characters", QUERY_CHARS_MAX);
    }
    struct slice rest = slice_from(text, copy_with_spaces(query, text));
    buf_add_text(ret_text, "({event} : ");
    search_event_word(event_id, ret_text);
    buf_add_char(ret_text, ')');
    size_t longest = 0;
    struct slice word;
    for (int words = 0; next_word(&rest, &word); words++) {
        if (words == WORDS_MAX) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, "q", "more than %d words",
                               WORDS_MAX);
        }
        size_t chars = count_chars(word);
        longest = chars > longest ? chars : longest;
        buf_add_text(ret_text, " AND (");
        add_name_term(ret_text, word);
        buf_add_text(ret_text, " OR ");
        add_address_term(ret_text, word, chars);
        buf_add_char(ret_text, ')');
    }
    if (longest < 2) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "q",
                           "a word of at least two characters is needed");
    }
    return ret_text->failed ? ERR_NO_MEMORY : ERR_OK;
}
