/* SPDX-License-Identifier: Apache-2.0 */
/* Files of loads: INI, every key in a table, everything that is not understood an error. */
#include "load.h"

#include <ini.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define X(name, word, class) word,
static const char *const kind_words[] = {KIND_TABLE(X)};
#undef X

enum class_e { CLASS_SCAN, CLASS_VISIT, CLASS_READ };
#define X(name, word, class) CLASS_##class,
static const enum class_e kind_classes[] = {KIND_TABLE(X)};
#undef X

const char *kind_text(enum kind_e kind) {
    return kind_words[kind];
}

bool kind_is_read(enum kind_e kind) {
    return kind_classes[kind] == CLASS_READ;
}

/* Numbers. X(section, key, member, default, lowest, highest) */
#define LOAD_NUMBERS(X)                                                                            \
    X("load", "seconds", seconds, 60, 0.1, 86400)                                                  \
    X("event", "people", people, 10000, 1, LOAD_PEOPLE_MAX)                                        \
    X("event", "gates", gates, 40, 2, LOAD_GATES_MAX)                                              \
    X("event", "capacity", capacity, -1, -1, CAPACITY_MAX)                                         \
    X("event", "restricted", restricted, 0, 0, 1)                                                  \
    X("event", "warm", warm, 0, 0, 1)                                                              \
    X("search", "from", search.from, 0, 1, 1e6)                                                    \
    X("search", "up_to", search.up_to, 1e5, 1, 1e6)                                                \
    X("search", "limit_ms", search.limit_ms, 100, 0.1, 1e5)                                        \
    X("search", "quantile", search.quantile, 0.99, 0.5, 1)                                         \
    X("search", "probe_s", search.probe_s, 10, 0.2, 600)                                           \
    X("search", "settle_s", search.settle_s, 2, 0, 60)                                             \
    X("search", "step", search.step, 0.05, 0.005, 0.5)
#define STREAM_NUMBERS(X)                                                                          \
    X("stream", "connections", connections, 64, 1, LOAD_CONNECTIONS_MAX)                           \
    X("stream", "burst", burst, 0, 0, 1e7)                                                         \
    X("stream", "lines", lines, 1, 1, LOAD_LINES_MAX)                                              \
    X("stream", "queued_s", queued_s, 0, 0, 86400)

struct reading {
    struct load *load;
    const char *path;
    struct buf *errors;
};

static bool parse_number(struct slice text, double *ret) {
    char copy[64], *end;
    if (!slice_to_cstr(text, copy, sizeof copy)) {
        return false;
    }
    errno = 0;
    *ret = strtod(copy, &end);
    return errno == 0 && end != copy && *end == '\0' && isfinite(*ret);
}

bool curve_parse(struct slice text, struct curve *ret_curve) {
    struct curve curve = {.len = 0};
    struct slice word, at;
    while (slice_next(&text, ' ', &word)) {
        if (word.len == 0) {
            continue;
        }
        struct curve_point point;
        if (curve.len == CURVE_POINTS_MAX || !slice_next(&word, ':', &at) ||
            !parse_number(at, &point.at_s) || !parse_number(word, &point.rate) ||
            point.rate < 0 || (curve.len == 0 ? point.at_s != 0
                                              : point.at_s <= curve.points[curve.len - 1].at_s)) {
            return false;
        }
        curve.points[curve.len++] = point;
    }
    *ret_curve = curve;
    return curve.len > 0;
}

struct piece curve_piece(const struct curve *curve, double at_s) {
    for (size_t i = 1; i < curve->len; i++) {
        const struct curve_point *a = &curve->points[i - 1], *b = &curve->points[i];
        if (at_s < b->at_s) {
            double slope = (b->rate - a->rate) / (b->at_s - a->at_s);
            return (struct piece){a->rate + slope * (at_s - a->at_s), slope, b->at_s};
        }
    }
    double rate = curve->len == 0 ? 0 : curve->points[curve->len - 1].rate;
    return (struct piece){rate, 0, INFINITY};
}

static bool complain(const struct reading *reading, const char *section, const char *key,
                     const char *wants) {
    buf_printf(reading->errors, "%s: [%s] %s: %s\n", reading->path, section, key, wants);
    return false;
}

/* One number of a table; -1: the key is another one. */
static int set_number(const char *value, const char *key, const char *name, double *ret,
                      const double bounds[2]) {
    double number;
    if (strcmp(key, name) != 0) {
        return -1;
    }
    if (!parse_number(slice_of(value), &number) || number < bounds[0] || number > bounds[1]) {
        return 0;
    }
    *ret = number;
    return 1;
}

static bool set_stream(const struct reading *reading, struct stream *stream, const char *key,
                       const char *value) {
    int set = -1;
#define X(section, name, member, missing, lowest, highest)                                         \
    if (set < 0) {                                                                                 \
        set = set_number(value, key, name, &stream->member, (const double[]){lowest, highest});    \
    }
    STREAM_NUMBERS(X)
#undef X
    for (int kind = 0; set < 0 && kind < KIND_COUNT; kind++) {
        set = set_number(value, key, kind_words[kind], &stream->weights[kind],
                         (const double[]){0, 1e6});
    }
    if (set < 0 && strcmp(key, "curve") == 0) {
        set = curve_parse(slice_of(value), &stream->curve);
    } else if (set < 0 && strcmp(key, "method") == 0) {
        set = method_parse(slice_of(value), &stream->method);
    }
    if (set < 0) {
        return complain(reading, stream->name, key, "there is no such key or operation");
    }
    return set == 1 || complain(reading, stream->name, key,
                                "not understood, or out of its range; a curve is 0:RATE AT:RATE …");
}

static struct stream *find_stream(struct load *load, const char *name) {
    for (size_t i = 0; i < load->streams_len; i++) {
        if (strcmp(load->streams[i].name, name) == 0) {
            return &load->streams[i];
        }
    }
    if (load->streams_len == STREAMS_MAX || strlen(name) >= STREAM_NAME_SIZE || *name == '\0') {
        return NULL;
    }
    struct stream *stream = &load->streams[load->streams_len++];
    *stream = (struct stream){.method = METHOD_QR};
    snprintf(stream->name, sizeof stream->name, "%s", name);
#define X(section, name, member, missing, lowest, highest) stream->member = missing;
    STREAM_NUMBERS(X)
#undef X
    return stream;
}

static bool set_load(const struct reading *reading, const char *section, const char *key,
                     const char *value) {
    struct load *load = reading->load;
    int set = -1;
#define X(part, name, member, missing, lowest, highest)                                            \
    if (set < 0 && strcmp(section, part) == 0) {                                                   \
        set = set_number(value, key, name, &load->member, (const double[]){lowest, highest});      \
    }
    LOAD_NUMBERS(X)
#undef X
    if (set < 0 && strcmp(section, "load") == 0 && strcmp(key, "title") == 0) {
        set = slice_to_cstr(slice_of(value), load->title, sizeof load->title);
    } else if (set < 0 && strcmp(section, "event") == 0 && strcmp(key, "reentry") == 0) {
        set = reentry_parse(slice_of(value), &load->reentry);
    }
    return set < 0 ? complain(reading, section, key, "there is no such key")
                   : set == 1 || complain(reading, section, key, "not a value in its range");
}

static int on_pair(void *data, const char *section, const char *key, const char *value) {
    const struct reading *reading = data;
    static const char prefix[] = "stream.";
    if (strncmp(section, prefix, sizeof prefix - 1) != 0) {
        set_load(reading, section, key, value);
        return 1;
    }
    struct stream *stream = find_stream(reading->load, section + sizeof prefix - 1);
    if (stream == NULL) {
        complain(reading, section, key, "too many streams, or a name too long");
    } else {
        set_stream(reading, stream, key, value);
    }
    return 1;
}

/* What no single key can say. */
static void check_stream(const struct reading *reading, struct stream *stream) {
    bool has_scans = false, has_reads = false;
    stream->weight = 0;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        stream->weight += stream->weights[kind];
        if (stream->weights[kind] > 0) {
            has_reads |= kind_classes[kind] == CLASS_READ;
            has_scans |= kind_classes[kind] != CLASS_READ;
        }
    }
    if (stream->weight <= 0) {
        complain(reading, stream->name, "mix", "no operation has a weight");
    }
    if (stream->lines > 1 && has_reads) {
        complain(reading, stream->name, "lines", "an upload holds scans only");
    }
    if (stream->lines <= 1 && stream->weights[KIND_VISIT] > 0) {
        complain(reading, stream->name, "visit", "only in uploads: lines above 1");
    }
    if (stream->lines > 1 &&
        (stream->weights[KIND_DOUBLE_TAP] > 0 || stream->weights[KIND_RESEND] > 0)) {
        complain(reading, stream->name, "mix", "double_tap and resend need requests of their own");
    }
    if (has_scans && stream->weights[KIND_WRONG_GATE] > 0 && reading->load->restricted == 0) {
        complain(reading, stream->name, "wrong_gate", "needs [event] restricted above 0");
    }
    if (stream->curve.len == 0 && stream->burst == 0) {
        complain(reading, stream->name, "curve", "give a curve or a burst");
    }
}

bool load_read(struct load *load, const char *path, struct buf *errors) {
    *load = (struct load){.reentry = REENTRY_AFTER_EXIT};
    struct reading reading = {.load = load, .path = path, .errors = errors};
#define X(section, name, member, missing, lowest, highest) load->member = missing;
    LOAD_NUMBERS(X)
#undef X
    int line = ini_parse(path, on_pair, &reading);
    if (line != 0) {
        buf_printf(errors, line > 0 ? "%s:%d: neither a section nor KEY = VALUE\n"
                                    : "%s: cannot be read (%d)\n", path, line);
        return false;
    }
    for (size_t i = 0; i < load->streams_len; i++) {
        check_stream(&reading, &load->streams[i]);
    }
    if (load->streams_len == 0) {
        complain(&reading, "stream.NAME", "curve", "a load needs a stream");
    }
    return errors->len == 0;
}

/* ── numbers for streams ── */

static void scale_stream(struct stream *stream, double factor) {
    for (size_t i = 0; i < stream->curve.len; i++) {
        stream->curve.points[i].rate *= factor;
    }
    stream->burst = round(stream->burst * factor);
}

static void connect_stream(struct stream *stream, double connections) {
    stream->connections = fmax(1, round(connections));
}

typedef void (*stream_fn)(struct stream *stream, double number);

static bool apply_named(struct load *load, struct slice word, stream_fn fn) {
    struct slice name;
    double number;
    if (!slice_next(&word, '=', &name) || !parse_number(word, &number) || number < 0) {
        return false;
    }
    for (size_t i = 0; i < load->streams_len; i++) {
        if (slice_eq_text(name, load->streams[i].name)) {
            fn(&load->streams[i], number);
            return true;
        }
    }
    return false;
}

static bool apply_all(struct load *load, const char *text, stream_fn fn) {
    struct slice rest = slice_of(text), word;
    while (slice_next(&rest, ',', &word)) {
        if (!apply_named(load, word, fn)) {
            return false;
        }
    }
    return true;
}

bool load_scale(struct load *load, const char *text) {
    double factor;
    if (!parse_number(slice_of(text), &factor)) {
        return apply_all(load, text, scale_stream);
    }
    for (size_t i = 0; i < load->streams_len && factor >= 0; i++) {
        scale_stream(&load->streams[i], factor);
    }
    return factor >= 0;
}

bool load_connections(struct load *load, const char *text) {
    double number, all = 0;
    if (!parse_number(slice_of(text), &number)) {
        return apply_all(load, text, connect_stream);
    }
    for (size_t i = 0; i < load->streams_len; i++) {
        all += load->streams[i].connections;
    }
    for (size_t i = 0; i < load->streams_len && number >= 1; i++) {
        connect_stream(&load->streams[i], load->streams[i].connections * number / all);
    }
    return number >= 1;
}
