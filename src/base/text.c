/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal, base64url and percent-decoding. */
#include "base/text.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void text_to_hex(const void *bytes, size_t len, char *ret_hex) {
    const unsigned char *from = bytes;
    for (size_t i = 0; i < len; i++) {
        ret_hex[2 * i] = hex_digits[from[i] >> 4];
        ret_hex[2 * i + 1] = hex_digits[from[i] & 15];
    }
    ret_hex[2 * len] = '\0';
}

void text_to_base64(const void *bytes, size_t len, char *ret_text) {
    const unsigned char *from = bytes;
    unsigned bits = 0;
    int held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8) | from[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            *ret_text++ = base64_digits[(bits >> held) & 63];
        }
    }
    if (held > 0) {
        *ret_text++ = base64_digits[(bits << (6 - held)) & 63];
    }
    *ret_text = '\0';
}

static int base64_value(char c) {
    const char *found = c == '\0' ? NULL : strchr(base64_digits, c);
    return found == NULL ? -1 : (int)(found - base64_digits);
}

int text_from_base64(struct slice text, void *ret_bytes, size_t size) {
    unsigned char *to = ret_bytes;
    size_t written = 0;
    unsigned bits = 0;
    int held = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.at[i]);
        if (value < 0) {
            return -1;
        }
        bits = (bits << 6) | (unsigned)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            if (written == size) {
                return -1;
            }
            to[written++] = (unsigned char)(bits >> held);
        }
    }
    return text.len % 4 == 1 ? -1 : (int)written;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool text_percent_decode(struct arena *arena, struct slice text, enum text_plus_e plus,
                         struct slice *ret_text) {
    char *to = arena_alloc(arena, text.len + 1);
    if (to == NULL) {
        return false;
    }
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '%') {
            int high = text.len - i > 2 ? hex_value(text.at[i + 1]) : -1;
            int low = text.len - i > 2 ? hex_value(text.at[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus == TEXT_PLUS_IS_SPACE) {
            c = ' ';
        }
        to[len++] = c;
    }
    to[len] = '\0';
    *ret_text = slice_from(to, len);
    return true;
}
