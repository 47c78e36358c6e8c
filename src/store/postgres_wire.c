/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in PostgreSQL's binary format: exact, and without parsing on either side. Numbers are big
 * endian; a timestamptz is microseconds since 2000 UTC; an array of one dimension is a header
 * (dimensions, has nulls, type, length, first index) and each element with its length in front. An
 * element that is a row is the number of its columns, and each with its type and length in front.
 */
#include "store/postgres_priv.h"

#define EPOCH_2000_MS 946684800000LL

enum { ARRAY_HEADER = 20, ARRAY_HEADER_EMPTY = 12 };

static void put_u32(char *to, uint32_t value) {
    for (int i = 3; i >= 0; i--, value >>= 8) {
        to[i] = (char)(value & 0xff);
    }
}

static void put_i64(char *to, int64_t value) {
    uint64_t bits = (uint64_t)value;
    for (int i = 7; i >= 0; i--, bits >>= 8) {
        to[i] = (char)(bits & 0xff);
    }
}

static int64_t us_of(int64_t ms) {
    return (ms - EPOCH_2000_MS) * 1000;
}

/* ── parameters ── */

void pg_args_init(struct pg_args *args) {
    args->count = 0;
}

static void add_arg(struct pg_args *args, enum pg_type_e type, const char *at, size_t len) {
    ASSERT(args->count < PG_ARGS_MAX);
    args->at[args->count] = at;
    args->len[args->count] = (int)len;
    args->types[args->count] = (unsigned)type;
    args->count++;
}

static void add_scalar(struct pg_args *args, enum pg_type_e type, int64_t value) {
    ASSERT(args->count < PG_ARGS_MAX);
    char *scalar = args->scalars[args->count];
    put_i64(scalar, value);
    add_arg(args, type, scalar, 8);
}

void pg_arg_int(struct pg_args *args, int64_t value) {
    add_scalar(args, PG_BIGINT, value);
}

void pg_arg_int_or_null(struct pg_args *args, int64_t value, int64_t null) {
    if (value == null) {
        add_arg(args, PG_BIGINT, NULL, 0);
    } else {
        pg_arg_int(args, value);
    }
}

void pg_arg_time(struct pg_args *args, int64_t ms) {
    if (ms == TIME_NONE) {
        add_arg(args, PG_TIMESTAMPTZ, NULL, 0);
    } else {
        add_scalar(args, PG_TIMESTAMPTZ, us_of(ms));
    }
}

void pg_arg_text(struct pg_args *args, struct slice text) {
    add_arg(args, PG_TEXT, text.len == 0 ? "" : text.at, text.len);
}

void pg_arg_text_or_null(struct pg_args *args, struct slice text) {
    if (text.at == NULL) {
        add_arg(args, PG_TEXT, NULL, 0);
    } else {
        pg_arg_text(args, text);
    }
}

void pg_arg_word(struct pg_args *args, const char *word) {
    pg_arg_text_or_null(args, slice_of(word));
}

void pg_arg_bytes(struct pg_args *args, struct slice bytes) {
    add_arg(args, PG_BYTEA, bytes.at, bytes.len);
}

/* ── arrays ── */

void pg_array_init(struct pg_array *array, unsigned type) {
    *array = (struct pg_array){.type = type};
    buf_init(&array->bytes, PG_ARRAY_MEMORY);
}

void pg_array_fini(struct pg_array *array) {
    buf_fini(&array->bytes);
}

void pg_array_clear(struct pg_array *array) {
    buf_clear(&array->bytes);
    array->count = 0;
    array->has_null = false;
    array->columns = 0;
}

static void add_u32(struct pg_array *array, uint32_t value) {
    char bytes[4];
    put_u32(bytes, value);
    buf_add(&array->bytes, slice_from(bytes, sizeof bytes));
}

static void begin_element(struct pg_array *array) {
    static const char no_header[ARRAY_HEADER];
    if (array->count == 0) {
        buf_add(&array->bytes, slice_from(no_header, sizeof no_header));
    }
    array->count++;
}

/* An element, or a column of the row that is open; `at` NULL: it is NULL. */
static void push(struct pg_array *array, enum pg_type_e type, const char *at, size_t len) {
    if (array->columns > 0) {
        add_u32(array, (uint32_t)type);
        array->columns--;
    } else {
        ASSERT(array->row_at == 0);
        begin_element(array);
        array->has_null = array->has_null || at == NULL;
    }
    add_u32(array, at == NULL ? UINT32_MAX : (uint32_t)len);
    if (at != NULL) {
        buf_add(&array->bytes, slice_from(at, len));
    }
}

void pg_begin_row(struct pg_array *array, int columns) {
    ASSERT(array->row_at == 0 && columns > 0);
    begin_element(array);
    array->row_at = array->bytes.len;
    array->columns = columns;
    add_u32(array, 0); /* the length, at its end */
    add_u32(array, (uint32_t)columns);
}

void pg_end_row(struct pg_array *array) {
    ASSERT(array->columns == 0 && array->row_at > 0);
    if (!array->bytes.failed) {
        put_u32(array->bytes.at + array->row_at,
                (uint32_t)(array->bytes.len - array->row_at - sizeof(uint32_t)));
    }
    array->row_at = 0;
}

static void push_i64(struct pg_array *array, enum pg_type_e type, int64_t value) {
    char bytes[8];
    put_i64(bytes, value);
    push(array, type, bytes, sizeof bytes);
}

void pg_push_int(struct pg_array *array, int64_t value) {
    push_i64(array, PG_BIGINT, value);
}

void pg_push_int_or_null(struct pg_array *array, int64_t value, int64_t null) {
    if (value == null) {
        push(array, PG_BIGINT, NULL, 0);
    } else {
        pg_push_int(array, value);
    }
}

void pg_push_bool(struct pg_array *array, bool value) {
    char byte = (char)value;
    push(array, PG_BOOL, &byte, 1);
}

void pg_push_time(struct pg_array *array, int64_t ms) {
    if (ms == TIME_NONE) {
        push(array, PG_TIMESTAMPTZ, NULL, 0);
    } else {
        push_i64(array, PG_TIMESTAMPTZ, us_of(ms));
    }
}

void pg_push_text(struct pg_array *array, struct slice text) {
    push(array, PG_TEXT, text.len == 0 ? "" : text.at, text.len);
}

void pg_push_text_or_null(struct pg_array *array, struct slice text) {
    if (text.at == NULL) {
        push(array, PG_TEXT, NULL, 0);
    } else {
        pg_push_text(array, text);
    }
}

void pg_push_bytes_or_null(struct pg_array *array, struct slice bytes) {
    push(array, PG_BYTEA, bytes.at, bytes.len);
}

void pg_push_word(struct pg_array *array, const char *word) {
    pg_push_text_or_null(array, slice_of(word));
}

bool pg_arg_array(struct pg_args *args, struct pg_array *array) {
    static const char no_header[ARRAY_HEADER_EMPTY];
    if (array->count == 0) {
        buf_add(&array->bytes, slice_from(no_header, sizeof no_header));
    }
    ASSERT(array->row_at == 0);
    if (array->bytes.failed) {
        return false;
    }
    char *header = array->bytes.at;
    put_u32(header, array->count > 0);
    put_u32(header + 4, array->has_null);
    put_u32(header + 8, (uint32_t)array->type);
    if (array->count > 0) {
        put_u32(header + 12, (uint32_t)array->count);
        put_u32(header + 16, 1);
    }
    /* The types of arrays are known to the prepared statements that take them. */
    add_arg(args, PG_TEXT, header, array->bytes.len);
    return true;
}

/* ── columns ── */

bool pg_next(struct pg_rows *rows) {
    rows->row++;
    rows->column = 0;
    return rows->result != NULL && rows->row < PQntuples(rows->result);
}

/* The column's bytes, and the reader moves on; at NULL for NULL. */
static struct slice take(struct pg_rows *rows) {
    int column = rows->column++;
    ASSERT(column < PQnfields(rows->result));
    if (PQgetisnull(rows->result, rows->row, column)) {
        return SLICE_NONE;
    }
    return slice_from(PQgetvalue(rows->result, rows->row, column),
                      (size_t)PQgetlength(rows->result, rows->row, column));
}

/* A signed number of 1, 2, 4 or 8 bytes. */
static int64_t number_of(struct slice bytes) {
    uint64_t value = bytes.len > 0 && (bytes.at[0] & 0x80) != 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < bytes.len; i++) {
        value = value << 8 | (unsigned char)bytes.at[i];
    }
    return (int64_t)value;
}

bool pg_get_bool(struct pg_rows *rows) {
    return number_of(take(rows)) != 0;
}

int64_t pg_get_int(struct pg_rows *rows) {
    return number_of(take(rows));
}

int64_t pg_get_int_or(struct pg_rows *rows, int64_t null) {
    struct slice bytes = take(rows);
    return bytes.at == NULL ? null : number_of(bytes);
}

int64_t pg_get_time(struct pg_rows *rows) {
    struct slice bytes = take(rows);
    if (bytes.at == NULL) {
        return TIME_NONE;
    }
    int64_t us = number_of(bytes);
    return us / 1000 - (us % 1000 < 0) + EPOCH_2000_MS;
}

struct slice pg_get_text(struct pg_rows *rows) {
    return take(rows);
}

bool pg_get_copy(struct pg_rows *rows, struct arena *arena, struct slice *ret_text) {
    struct slice text = take(rows);
    if (text.at == NULL) {
        *ret_text = SLICE_NONE;
        return true;
    }
    *ret_text = arena_copy(arena, text);
    return ret_text->at != NULL;
}
