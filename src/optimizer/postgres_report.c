/* SPDX-License-Identifier: Apache-2.0 */
/* What happened, kept in order, for people and for programs. */
#include "optimizer/postgres_priv.h"

static const char *const state_words[DB_STATE_COUNT] = {
#define X(name, word) [DB_##name] = word,
    DB_STATE_TABLE(X)
#undef X
};

const char *db_state_word(enum db_state_e state) {
    ASSERT((unsigned)state < DB_STATE_COUNT);
    return state_words[state];
}

void db_report_init(struct db_report *report) {
    *report = (struct db_report){0};
    arena_init(&report->arena, DB_ARENA_LIMIT);
}

void db_report_fini(struct db_report *report) {
    arena_fini(&report->arena);
}

static bool keep(struct arena *arena, struct slice *text) {
    if (text->len == 0) {
        *text = SLICE_NONE;
        return true;
    }
    *text = arena_copy(arena, *text);
    return text->at != NULL;
}

enum err_e db_add(struct db_report *report, const struct db_item *item) {
    struct db_item *copy = arena_alloc(&report->arena, sizeof *copy);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    *copy = *item;
    copy->next = NULL;
    if (!keep(&report->arena, &copy->name) || !keep(&report->arena, &copy->detail) ||
        !keep(&report->arena, &copy->sql) || !keep(&report->arena, &copy->facts)) {
        return ERR_NO_MEMORY;
    }
    if (report->last == NULL) {
        report->first = copy;
    } else {
        report->last->next = copy;
    }
    report->last = copy;
    report->counts[item->state]++;
    return ERR_OK;
}

enum err_e db_step(struct db *db, struct db_report *report, struct db_item *item,
                   const struct db_change *change) {
    item->sql = slice_of(change->sql);
    if (db->options.mode == DB_DRY_RUN) {
        item->state = DB_PLANNED;
        return db_add(report, item);
    }
    if (db_left_ms(db) == 0) {
        item->state = DB_SKIPPED;
        item->detail = SLICE_LIT("The time for this run is over.");
        return db_add(report, item);
    }
    enum err_e err = db_change(db, change);
    item->state = err == ERR_OK ? DB_DONE : DB_FAILED;
    if (err != ERR_OK) {
        item->detail = slice_of(db->problem.detail);
    }
    TRY(db_add(report, item));
    return db_is_lost(db) ? err : ERR_OK;
}

static void write_optional(struct json_writer *w, const char *key, struct slice text) {
    if (text.len == 0) {
        json_put_null(w, key);
    } else {
        json_put_text(w, key, text);
    }
}

static void write_item(struct json_writer *w, const struct db_item *item) {
    json_begin_object(w);
    json_put_cstr(w, "state", db_state_word(item->state));
    json_put_cstr(w, "kind", item->kind);
    json_put_cstr(w, "what", item->what);
    json_put_text(w, "name", item->name);
    write_optional(w, "detail", item->detail);
    write_optional(w, "sql", item->sql);
    json_put_cstr(w, "lock", item->lock);
    json_key(w, "facts");
    if (item->facts.len == 0) {
        json_add_null(w);
    } else {
        json_add_raw(w, item->facts);
    }
    json_end_object(w);
}

void db_report_write_members(struct json_writer *w, const struct db_report *report) {
    json_key(w, "items");
    json_begin_array(w);
    for (const struct db_item *item = report->first; item != NULL; item = item->next) {
        write_item(w, item);
    }
    json_end_array(w);
    json_key(w, "counts");
    json_begin_object(w);
    for (int i = 0; i < DB_STATE_COUNT; i++) {
        json_put_int(w, db_state_word((enum db_state_e)i), (int64_t)report->counts[i]);
    }
    json_end_object(w);
}

void db_report_write(struct json_writer *w, const struct db_report *report) {
    json_begin_object(w);
    db_report_write_members(w, report);
    json_end_object(w);
}

void db_report_print(struct buf *to, const struct db_report *report) {
    for (const struct db_item *item = report->first; item != NULL; item = item->next) {
        buf_printf(to, "%-8s %-10s %-14s %.*s\n", db_state_word(item->state), item->kind,
                   item->what, SLICE_ARG(item->name));
        if (item->detail.len > 0) {
            buf_printf(to, "         %.*s\n", SLICE_ARG(item->detail));
        }
        if (item->sql.len > 0) {
            buf_printf(to, "         %.*s\n", SLICE_ARG(item->sql));
        }
        if (item->lock != NULL && item->state == DB_PLANNED) {
            buf_printf(to, "         locks: %s\n", item->lock);
        }
    }
}
