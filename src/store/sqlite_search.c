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

enum { GRAM = 3 };

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
        size_t n = search_char_len(text, at);
        add_gram_char(to, slice_from(text.at + at, n));
        at += n;
    }
}

void search_event_word(int64_t event_id, struct buf *ret_text) {
    buf_add_char(ret_text, 'e');
    buf_add_int(ret_text, event_id);
}

void search_address_grams(struct slice email, struct buf *ret_text) {
    for (size_t at = 0; at < email.len; at += search_char_len(email, at)) {
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
        at += search_char_len(word, at);
    }
    if (chars < GRAM) {
        add_gram(to, word, 0, chars);
    }
    buf_add_text(to, chars < GRAM ? "\" *)" : "\")");
}

enum err_e search_expression(int64_t event_id, struct slice query, struct buf *ret_text,
                             struct problem *ret_problem) {
    struct search_words words;
    TRY(search_words_read(query, &words, ret_problem));
    buf_add_text(ret_text, "({event} : ");
    search_event_word(event_id, ret_text);
    buf_add_char(ret_text, ')');
    for (size_t i = 0; i < words.len; i++) {
        buf_add_text(ret_text, " AND (");
        add_name_term(ret_text, words.items[i]);
        buf_add_text(ret_text, " OR ");
        add_address_term(ret_text, words.items[i], search_chars(words.items[i]));
        buf_add_char(ret_text, ')');
    }
    return ret_text->failed ? ERR_NO_MEMORY : ERR_OK;
}
