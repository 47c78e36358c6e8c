/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What HAProxy's socket answers. Whatever it is: an answer's text lies within it, and so does each
 * text of a table, and a server's state is one of those there are.
 */
#include "act/haproxy_socket.h"
#include "act/haproxy_stat.h"
#include "base/assert.h"
#include "fuzz.h"

static void check_within(struct slice part, struct slice whole) {
    ASSERT(part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len));
}

static void read_stat(struct arena *arena, struct slice text) {
    struct haproxy_row *rows;
    size_t len;
    if (haproxy_stat_read(arena, text, &rows, &len) != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        ASSERT(rows[i].status < HAPROXY_STATUS_COUNT);
        check_within(rows[i].backend, text);
        check_within(rows[i].server, text);
        check_within(rows[i].address, text);
    }
}

static void read_map(struct arena *arena, struct slice text) {
    struct haproxy_entry *entries;
    size_t len;
    if (haproxy_map_read(arena, text, &entries, &len) != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        check_within(entries[i].key, text);
        check_within(entries[i].value, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice raw = slice_from((const char *)data, size), text;
    struct haproxy_info info;
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    if (haproxy_reply_read(raw, &text) == ERR_OK) {
        check_within(text, raw);
    }
    if (haproxy_info_read(raw, &info) == ERR_OK) {
        check_within(info.version, raw);
    }
    read_stat(&arena, raw);
    read_map(&arena, raw);
    arena_fini(&arena);
    return 0;
}
