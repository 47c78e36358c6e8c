/* SPDX-License-Identifier: Apache-2.0 */
/* What people may write into events, gates and participants. */
#include "domain/event.h"

#include "domain/words.h"

WORDS(reentry, enum reentry_e, REENTRY_TABLE)
WORDS(gate_status, enum gate_status_e, GATE_STATUS_TABLE)
WORDS(participant_status, enum participant_status_e, PARTICIPANT_STATUS_TABLE)

static bool all_of(struct slice text, const char *extra) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || strchr(extra, c) == NULL)) {
            return false;
        }
    }
    return true;
}

bool code_is_valid(struct slice code) {
    return code.len >= 1 && code.len <= CODE_MAX && all_of(code, "._-");
}

bool timezone_is_valid(struct slice timezone) {
    return timezone.len >= 1 && timezone.len <= CODE_MAX && all_of(timezone, "_+-/");
}

/* Code points of well-formed UTF-8: bytes that do not continue one. */
static size_t chars_of(struct slice text) {
    size_t chars = 0;
    for (size_t i = 0; i < text.len; i++) {
        chars += ((unsigned char)text.at[i] & 0xC0) != 0x80;
    }
    return chars;
}

static bool has_control(struct slice text, const char *allowed) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == 0x7f || (c < 0x20 && (c == 0 || strchr(allowed, c) == NULL))) {
            return true;
        }
    }
    return false;
}

/* White space of Unicode (property White_Space) in UTF-8, beside the space itself. Most texts have
 * ASCII at both ends, where control characters are refused before and only the space is left. */
static bool is_space_at_end(struct slice text) {
    unsigned char first = (unsigned char)text.at[0], last = (unsigned char)text.at[text.len - 1];
    if (first < 0x80 && last < 0x80) {
        return first == ' ' || last == ' ';
    }
    static const char *const spaces[] = {
        " ",            "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80",
        "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85",
        "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A",
        "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80",
    };
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        struct slice space = slice_of(spaces[i]);
        if (slice_starts_with(text, space) ||
            (text.len >= space.len &&
             slice_eq(slice_from(text.at + text.len - space.len, space.len), space))) {
            return true;
        }
    }
    return false;
}

bool text_is_valid(struct slice text, size_t chars_max) {
    return slice_is_utf8(text) && chars_of(text) <= chars_max && !has_control(text, "\t\n");
}

bool token_is_valid(struct slice token) {
    return token.len >= 1 && slice_is_utf8(token) && chars_of(token) <= TOKEN_MAX &&
           !has_control(token, "") && !is_space_at_end(token);
}

bool nonce_is_valid(struct slice nonce) {
    return nonce.len >= 1 && slice_is_utf8(nonce) && chars_of(nonce) <= NONCE_MAX &&
           !has_control(nonce, "");
}

bool gates_allow(struct slice gates, struct slice code) {
    if (gates.len == 0) {
        return true;
    }
    struct slice one;
    while (slice_next(&gates, ' ', &one)) {
        if (slice_eq(one, code)) {
            return true;
        }
    }
    return false;
}
