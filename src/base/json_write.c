/* SPDX-License-Identifier: Apache-2.0 */
/* Appending JSON text. */
#include "base/json.h"

#include "base/assert.h"

#include <math.h>

enum { REAL_DECIMALS = 4, REAL_MAX = 1000000000 }; /* written without printf */

void json_writer_init(struct json_writer *w, struct buf *to) {
    *w = (struct json_writer){.to = to};
}

/* Before each value: the comma that parts it from the one before. */
static void begin_value(struct json_writer *w) {
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->comma[w->depth]) {
        buf_add_char(w->to, ',');
    }
    w->comma[w->depth] = true;
}

static void open_level(struct json_writer *w, char bracket) {
    begin_value(w);
    buf_add_char(w->to, bracket);
    ASSERT(w->depth + 1 < JSON_WRITER_DEPTH);
    w->comma[++w->depth] = false;
}

static void close_level(struct json_writer *w, char bracket) {
    ASSERT(w->depth > 0 && !w->after_key);
    w->depth--;
    buf_add_char(w->to, bracket);
}

void json_begin_object(struct json_writer *w) {
    open_level(w, '{');
}

void json_end_object(struct json_writer *w) {
    close_level(w, '}');
}

void json_begin_array(struct json_writer *w) {
    open_level(w, '[');
}

void json_end_array(struct json_writer *w) {
    close_level(w, ']');
}

void json_key(struct json_writer *w, const char *key) {
    begin_value(w);
    buf_add_char(w->to, '"');
    buf_add_text(w->to, key);
    buf_add(w->to, SLICE_LIT("\":"));
    w->after_key = true;
}

static void add_escaped(struct buf *to, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"':
        buf_add(to, SLICE_LIT("\\\""));
        return;
    case '\\':
        buf_add(to, SLICE_LIT("\\\\"));
        return;
    case '\n':
        buf_add(to, SLICE_LIT("\\n"));
        return;
    case '\r':
        buf_add(to, SLICE_LIT("\\r"));
        return;
    case '\t':
        buf_add(to, SLICE_LIT("\\t"));
        return;
    default:
        buf_add(to, SLICE_LIT("\\u00"));
        buf_add_char(to, hex[c >> 4]);
        buf_add_char(to, hex[c & 15]);
    }
}

static const bool needs_escape[256] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* below a space */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ['"'] = 1, ['\\'] = 1, [0x7f] = 1,
};

void json_add_text(struct json_writer *w, struct slice text) {
    begin_value(w);
    buf_add_char(w->to, '"');
    size_t plain = 0; /* start of the run that needs no escape */
    for (size_t i = 0; i < text.len; i++) {
        if (needs_escape[(unsigned char)text.at[i]]) {
            buf_add(w->to, slice_from(text.at + plain, i - plain));
            add_escaped(w->to, (unsigned char)text.at[i]);
            plain = i + 1;
        }
    }
    buf_add(w->to, slice_skip(text, plain));
    buf_add_char(w->to, '"');
}

void json_add_cstr(struct json_writer *w, const char *text) {
    if (text == NULL) {
        json_add_null(w);
    } else {
        json_add_text(w, slice_of(text));
    }
}

void json_add_int(struct json_writer *w, int64_t value) {
    begin_value(w);
    buf_add_int(w->to, value);
}

void json_add_int_text(struct json_writer *w, int64_t value) {
    begin_value(w);
    buf_add_char(w->to, '"');
    buf_add_int(w->to, value);
    buf_add_char(w->to, '"');
}

static void add_decimals(struct buf *to, int64_t rest, int decimals) {
    char digits[REAL_DECIMALS + 1] = ".";
    for (int i = decimals; i > 0; i--, rest /= 10) {
        digits[i] = (char)('0' + rest % 10);
    }
    buf_add(to, slice_from(digits, (size_t)decimals + 1));
}

/* As "%.*f" has it, several times as fast: documents of figures are hundreds of such numbers.
 * False: it is negative or large. What the product of two doubles loses is told by fma, so the
 * nearer one of two results is known; of two equally near ones the even one is taken. */
static bool add_scaled(struct buf *to, double value, int decimals) {
    static const int64_t powers[REAL_DECIMALS + 1] = {1, 10, 100, 1000, 10000};
    if (decimals < 0 || decimals > REAL_DECIMALS || signbit(value) || value >= REAL_MAX) {
        return false;
    }
    double power = (double)powers[decimals], scaled = value * power, whole = floor(scaled);
    double above_half = (scaled - whole - 0.5) + fma(value, power, -scaled);
    int64_t units = (int64_t)whole;
    units += above_half > 0 || (above_half == 0 && units % 2 == 1);
    buf_add_int(to, units / powers[decimals]);
    if (decimals > 0) {
        add_decimals(to, units % powers[decimals], decimals);
    }
    return true;
}

void json_add_real(struct json_writer *w, double value, int decimals) {
    if (!isfinite(value)) {
        json_add_null(w);
        return;
    }
    begin_value(w);
    if (!add_scaled(w->to, value, decimals)) {
        buf_printf(w->to, "%.*f", decimals, value);
    }
}

void json_add_bool(struct json_writer *w, bool value) {
    begin_value(w);
    buf_add_text(w->to, value ? "true" : "false");
}

void json_add_null(struct json_writer *w) {
    begin_value(w);
    buf_add(w->to, SLICE_LIT("null"));
}

void json_add_time(struct json_writer *w, int64_t ms) {
    if (ms == TIME_NONE) {
        json_add_null(w);
        return;
    }
    char text[TIME_TEXT_SIZE];
    time_format(ms, text);
    begin_value(w);
    buf_add_char(w->to, '"');
    buf_add(w->to, slice_from(text, TIME_TEXT_SIZE - 1));
    buf_add_char(w->to, '"');
}

void json_add_raw(struct json_writer *w, struct slice value) {
    begin_value(w);
    buf_add(w->to, value);
}

void json_put_text(struct json_writer *w, const char *key, struct slice text) {
    json_key(w, key);
    json_add_text(w, text);
}

void json_put_cstr(struct json_writer *w, const char *key, const char *text) {
    json_key(w, key);
    json_add_cstr(w, text);
}

void json_put_int(struct json_writer *w, const char *key, int64_t value) {
    json_key(w, key);
    json_add_int(w, value);
}

void json_put_real(struct json_writer *w, const char *key, double value, int decimals) {
    json_key(w, key);
    json_add_real(w, value, decimals);
}

void json_put_bool(struct json_writer *w, const char *key, bool value) {
    json_key(w, key);
    json_add_bool(w, value);
}

void json_put_null(struct json_writer *w, const char *key) {
    json_key(w, key);
    json_add_null(w);
}

void json_put_time(struct json_writer *w, const char *key, int64_t ms) {
    json_key(w, key);
    json_add_time(w, ms);
}
