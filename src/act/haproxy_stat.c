/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of HAProxy 2.6: 96 and more columns of which a dozen matter. */
#include "act/haproxy_stat.h"

/* --- show stat --- */

/* X(name in HAProxy): the columns that are read. */
#define COLUMN_TABLE(X)                                                                            \
    X(pxname)                                                                                      \
    X(svname)                                                                                      \
    X(qcur)                                                                                        \
    X(scur)                                                                                        \
    X(stot)                                                                                        \
    X(econ)                                                                                        \
    X(eresp)                                                                                       \
    X(status)                                                                                      \
    X(weight)                                                                                      \
    X(throttle)                                                                                    \
    X(sid)                                                                                         \
    X(type)                                                                                        \
    X(check_status)                                                                                \
    X(agent_status)                                                                                \
    X(addr)                                                                                        \
    X(used_conn_cur)

enum column_e {
#define X(name) COLUMN_##name,
    COLUMN_TABLE(X)
#undef X
    COLUMN_COUNT
};
static const char *const column_names[] = {
#define X(name) [COLUMN_##name] = #name,
    COLUMN_TABLE(X)
#undef X
};

enum { COLUMNS_MAX = 256, TYPE_SERVER = 2 };

/* Which column each position of the table holds; COLUMN_COUNT: one that is not read. */
struct layout {
    unsigned char column_at[COLUMNS_MAX];
    size_t len;
};

static bool read_layout(struct slice header, struct layout *ret_layout) {
    if (!slice_starts_with(header, SLICE_LIT("# "))) {
        return false;
    }
    struct slice rest = slice_skip(header, 2);
    struct slice name;
    size_t found = 0;
    for (ret_layout->len = 0; slice_next(&rest, ',', &name); ret_layout->len++) {
        if (ret_layout->len == COLUMNS_MAX) {
            return false;
        }
        unsigned column = 0;
        while (column < COLUMN_COUNT && !slice_eq_text(name, column_names[column])) {
            column++;
        }
        ret_layout->column_at[ret_layout->len] = (unsigned char)column;
        found += column < COLUMN_COUNT;
    }
    return found == COLUMN_COUNT;
}

static void split(struct slice line, const struct layout *layout, struct slice cells[]) {
    struct slice cell;
    for (size_t i = 0; i < layout->len && slice_next(&line, ',', &cell); i++) {
        if (layout->column_at[i] < COLUMN_COUNT) {
            cells[layout->column_at[i]] = cell;
        }
    }
}

static int64_t number(struct slice cell) {
    int64_t value = 0;
    return slice_to_int(cell, 0, INT64_MAX, &value) ? value : 0;
}

/* The last check that ended: "* " says that another one is under way. */
static struct slice last_check(struct slice check) {
    return slice_starts_with(check, SLICE_LIT("* ")) ? slice_skip(check, 2) : check;
}

static bool has_timed_out(struct slice check) {
    return slice_eq_text(check, "L4TOUT") || slice_eq_text(check, "L6TOUT") ||
           slice_eq_text(check, "L7TOUT");
}

static bool has_heard_nothing(struct slice check) {
    return has_timed_out(check) || slice_eq_text(check, "L4CON");
}

static bool has_passed(struct slice check) {
    return slice_starts_with(check, SLICE_LIT("L4OK")) ||
           slice_starts_with(check, SLICE_LIT("L6OK")) ||
           slice_starts_with(check, SLICE_LIT("L7OK"));
}

/* "UP", "UP 1/3", "no check", "DOWN", "DOWN (agent)", "DRAIN 1/2", "MAINT (via …)" and others. */
static enum haproxy_status_e read_status(struct slice text) {
    if (slice_starts_with(text, SLICE_LIT("UP")) || slice_eq_text(text, "no check")) {
        return HAPROXY_UP;
    }
    if (slice_starts_with(text, SLICE_LIT("DRAIN"))) {
        return HAPROXY_DRAIN;
    }
    return slice_starts_with(text, SLICE_LIT("MAINT")) ? HAPROXY_MAINT : HAPROXY_DOWN;
}

/* Per cents of the weight during a slow start; empty without one. */
static bool is_warming(struct slice throttle) {
    return throttle.len > 0 && number(throttle) < 100;
}

static struct haproxy_row row_of(const struct slice cells[]) {
    return (struct haproxy_row){
        .backend = cells[COLUMN_pxname],
        .server = cells[COLUMN_svname],
        .address = cells[COLUMN_addr],
        .status = read_status(cells[COLUMN_status]),
        .in_transition = memchr(cells[COLUMN_status].at, '/', cells[COLUMN_status].len) != NULL,
        .is_warming = is_warming(cells[COLUMN_throttle]),
        .check_passed = has_passed(last_check(cells[COLUMN_check_status])),
        .has_mute_agent = slice_eq_text(cells[COLUMN_status], "DOWN (agent)") &&
                          has_heard_nothing(last_check(cells[COLUMN_agent_status])),
        .is_silent = has_heard_nothing(last_check(cells[COLUMN_check_status])),
        .is_stuck = has_timed_out(last_check(cells[COLUMN_check_status])),
        .id = number(cells[COLUMN_sid]),
        .weight = number(cells[COLUMN_weight]),
        .sessions = number(cells[COLUMN_scur]),
        .used = number(cells[COLUMN_used_conn_cur]),
        .queued = number(cells[COLUMN_qcur]),
        .requests = number(cells[COLUMN_stot]),
        .failures = number(cells[COLUMN_econ]) + number(cells[COLUMN_eresp]),
    };
}

static size_t count_lines(struct slice text) {
    size_t lines = 0;
    struct slice line;
    while (slice_next(&text, '\n', &line)) {
        lines++;
    }
    return lines;
}

enum err_e haproxy_stat_read(struct arena *arena, struct slice text, struct haproxy_row **ret_rows,
                             size_t *ret_len) {
    struct layout layout;
    struct slice line;
    *ret_len = 0;
    struct haproxy_row *rows = arena_alloc(arena, (count_lines(text) + 1) * sizeof *rows);
    if (rows == NULL) {
        return ERR_NO_MEMORY;
    }
    *ret_rows = rows;
    if (!slice_next(&text, '\n', &line) || !read_layout(line, &layout)) {
        return ERR_IO;
    }
    while (slice_next(&text, '\n', &line)) {
        struct slice cells[COLUMN_COUNT] = {{"", 0}};
        for (int i = 0; i < COLUMN_COUNT; i++) {
            cells[i] = SLICE_LIT("");
        }
        split(line, &layout, cells);
        if (number(cells[COLUMN_type]) == TYPE_SERVER) {
            rows[(*ret_len)++] = row_of(cells);
        }
    }
    return ERR_OK;
}

/* --- show info --- */

enum err_e haproxy_info_read(struct slice text, struct haproxy_info *ret_info) {
    struct slice line;
    *ret_info = (struct haproxy_info){.version = SLICE_LIT("")};
    while (slice_next(&text, '\n', &line)) {
        struct slice name;
        if (!slice_next(&line, ':', &name)) {
            continue;
        }
        struct slice value = slice_trim(line);
        if (slice_eq_text(name, "Pid")) {
            ret_info->pid = number(value);
        } else if (slice_eq_text(name, "Uptime_sec")) {
            ret_info->uptime_s = number(value);
        } else if (slice_eq_text(name, "CurrConns")) {
            ret_info->connections = number(value);
        } else if (slice_eq_text(name, "Version")) {
            ret_info->version = value;
        }
    }
    return ret_info->pid > 0 ? ERR_OK : ERR_IO;
}

/* --- show map --- */

enum err_e haproxy_map_read(struct arena *arena, struct slice text,
                            struct haproxy_entry **ret_entries, size_t *ret_len) {
    struct haproxy_entry *entries = arena_alloc(arena, (count_lines(text) + 1) * sizeof *entries);
    struct slice line, reference;
    *ret_len = 0;
    if (entries == NULL) {
        return ERR_NO_MEMORY;
    }
    *ret_entries = entries;
    while (slice_next(&text, '\n', &line)) {
        struct haproxy_entry *entry = &entries[*ret_len];
        if (line.len == 0) {
            continue;
        }
        if (!slice_next(&line, ' ', &reference) || !slice_next(&line, ' ', &entry->key) ||
            line.len == 0) {
            return ERR_IO;
        }
        entry->value = line;
        (*ret_len)++;
    }
    return ERR_OK;
}
