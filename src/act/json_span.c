/* SPDX-License-Identifier: Apache-2.0 */
/* Steps over values without reading them. */
#include "act/json_span.h"

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice skip_blanks(struct slice text) {
    while (text.len > 0 && is_blank(text.at[0])) {
        text = slice_skip(text, 1);
    }
    return text;
}

/* The length of a string with its quotes; 0: none begins here. */
static size_t string_length(struct slice text) {
    if (text.len == 0 || text.at[0] != '"') {
        return 0;
    }
    for (size_t i = 1; i < text.len; i++) {
        if (text.at[i] == '\\') {
            i++;
        } else if (text.at[i] == '"') {
            return i + 1;
        }
    }
    return 0;
}

/* The length of the value that begins here; 0: none does. */
static size_t value_length(struct slice text) {
    size_t depth = 0;
    for (size_t i = 0; i < text.len;) {
        char c = text.at[i];
        if (c == '"') {
            size_t len = string_length(slice_skip(text, i));
            if (len == 0) {
                return 0;
            }
            i += len;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']' || is_blank(c))) {
            return i;
        } else {
            depth += c == '{' || c == '[';
            depth -= c == '}' || c == ']';
            i++;
        }
        if (depth == 0 && (c == '"' || c == '}' || c == ']')) {
            return i;
        }
    }
    return depth == 0 ? text.len : 0;
}

/* The value of a member of the object that `text` begins with. */
static bool member(struct slice text, const char *name, struct slice *ret_value) {
    text = skip_blanks(text);
    if (text.len == 0 || text.at[0] != '{') {
        return false;
    }
    do {
        text = skip_blanks(slice_skip(text, 1)); /* behind { or , */
        size_t key = string_length(text);
        if (key == 0) {
            return false;
        }
        bool is_it = slice_eq_text(slice_from(text.at + 1, key - 2), name);
        text = skip_blanks(slice_skip(text, key));
        if (text.len == 0 || text.at[0] != ':') {
            return false;
        }
        text = skip_blanks(slice_skip(text, 1));
        size_t len = value_length(text);
        if (is_it || len == 0) {
            *ret_value = slice_from(text.at, len);
            return len > 0;
        }
        text = skip_blanks(slice_skip(text, len));
    } while (text.len > 0 && text.at[0] == ',');
    return false;
}

bool json_span(struct slice text, const char *const *path, struct slice *ret_value) {
    struct slice value = text;
    for (; *path != NULL; path++) {
        if (!member(value, *path, &value)) {
            return false;
        }
    }
    *ret_value = value;
    return true;
}
