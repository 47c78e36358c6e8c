/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Declared indexes: looked at, built and repaired while everybody reads and writes.
 *
 *   plain table         CREATE INDEX CONCURRENTLY
 *   partitioned table   CREATE INDEX ON ONLY the table: a frame that is not valid yet
 *                       on each leaf CREATE INDEX CONCURRENTLY, then ATTACH
 *                       the frame turns valid with the last leaf; else go round again: a leaf
 *                       may have come meanwhile
 *
 * A build that failed leaves an index that is not valid, is maintained by every write and read by
 * nobody, and that IF NOT EXISTS takes for the real one: it is dropped and built anew. One that is
 * valid is never dropped, whatever it looks like.
 */
#include "optimizer/postgres_priv.h"

#include "store/postgres_indexes.h"

#include <stdio.h>

enum { ROUNDS_MAX = 5, IDENTIFIER_SIZE = 64 /* 63 bytes: PostgreSQL cuts longer ones silently */ };

#define IS_UNIQUE true
#define IS_PLAIN false
static const struct db_declared declared[] = {
#define X(index_name, kind, on, text)                                                              \
    {.name = index_name, .table = on, .definition = text, .is_unique = IS_##kind},
    POSTGRES_INDEX_TABLE(X)
#undef X
};

static const char lock_build[] =
    "SHARE UPDATE EXCLUSIVE on the table; waits for transactions that are older";
static const char lock_frame[] = "SHARE on the table, for a moment";
static const char lock_attach[] = "SHARE UPDATE EXCLUSIVE on the table";

/* "btree (token, event_id) WHERE …" of an index as the server prints it. */
#define DEFINITION_OF(oid) "substring(pg_get_indexdef(" oid ") FROM ' USING (.*)$')"

size_t db_declared_count(void) {
    return sizeof declared / sizeof declared[0];
}

const struct db_declared *db_declared_at(size_t n) {
    ASSERT(n < db_declared_count());
    return &declared[n];
}

/* The index on the table itself. */
struct frame {
    enum db_index_e state;
    bool is_partitioned;
    char has[300]; /* its definition when that is another one */
};

static enum err_e look_frame(struct db *db, const struct db_declared *index, struct frame *ret) {
    static const char sql[] =
        "SELECT t.relkind = 'p', i.indexrelid IS NULL, i.indisvalid AND i.indisready,"
        " i.indrelid = t.oid AND i.indisunique = $3::bool"
        "  AND " DEFINITION_OF("i.indexrelid") " = $4,"
        " left(pg_get_indexdef(i.indexrelid), 250)"
        " FROM pg_class t LEFT JOIN pg_index i ON i.indexrelid = to_regclass($1)"
        " WHERE t.oid = to_regclass($2)";
    const char *args[] = {index->name, index->table, index->is_unique ? "t" : "f",
                          index->definition, NULL};
    struct db_rows rows;
    *ret = (struct frame){.state = DB_INDEX_MISSING};
    enum err_e err = db_ask(db, sql, args, &rows);
    if (err == ERR_OK && !db_next(&rows)) {
        err = problem_set(&db->problem, ERR_BAD_STORE, "", "there is no table %s", index->table);
    } else if (err == ERR_OK) {
        ret->is_partitioned = db_cell_is_true(&rows, 0);
        snprintf(ret->has, sizeof ret->has, "%s", db_cell(&rows, 4));
        if (!db_cell_is_true(&rows, 1)) {
            ret->state = !db_cell_is_true(&rows, 3)   ? DB_INDEX_DIFFERENT
                         : !db_cell_is_true(&rows, 2) ? DB_INDEX_INVALID
                                                      : DB_INDEX_VALID;
        }
    }
    db_done(&rows);
    return err;
}

/* A valid frame may still have a leaf whose index broke later. */
static enum err_e count_broken_leaves(struct db *db, const struct db_declared *index,
                                      int64_t *ret_count) {
    static const char sql[] =
        "SELECT count(*) FROM pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhrelid"
        " WHERE h.inhparent = to_regclass($1) AND NOT i.indisvalid";
    const char *args[] = {index->name, NULL};
    struct db_rows rows;
    enum err_e err = db_ask(db, sql, args, &rows);
    *ret_count = err == ERR_OK && db_next(&rows) ? db_cell_int(&rows, 0) : 0;
    db_done(&rows);
    return err;
}

static enum err_e look(struct db *db, const struct db_declared *index, struct frame *ret) {
    int64_t broken = 0;
    TRY(look_frame(db, index, ret));
    if (ret->state == DB_INDEX_VALID && ret->is_partitioned) {
        TRY(count_broken_leaves(db, index, &broken));
        ret->state = broken > 0 ? DB_INDEX_INVALID : DB_INDEX_VALID;
    }
    return ERR_OK;
}

enum err_e db_index_look(struct db *db, const struct db_declared *index,
                         enum db_index_e *ret_state) {
    struct frame frame;
    enum err_e err = look(db, index, &frame);
    *ret_state = frame.state;
    return err;
}

/* ── steps ── */

struct step_text {
    struct db_item item;
    struct db_change change;
    char sql[1024];
    char clean[256];
};

/* Carries it out; true when it is done, or only planned. */
static enum err_e take_step(struct db *db, struct db_report *report, struct step_text *step,
                            bool *ret_done) {
    step->change.sql = step->sql;
    step->change.clean = step->clean[0] == '\0' ? NULL : step->clean;
    step->item.kind = "index";
    enum err_e err = db_step(db, report, &step->item, &step->change);
    *ret_done = err == ERR_OK && (step->item.state == DB_DONE || step->item.state == DB_PLANNED);
    return err;
}

static enum err_e drop_invalid(struct db *db, struct db_report *report, const char *name,
                               const char *table, bool *ret_done) {
    struct step_text step = {
        .item = {.what = "drop_invalid", .name = slice_of(name), .lock = lock_build,
                 .detail = SLICE_LIT("An earlier build of it failed: writes keep it, no query "
                                     "reads it.")},
        .change = {.relation = table},
    };
    snprintf(step.sql, sizeof step.sql, "DROP INDEX CONCURRENTLY IF EXISTS %s", name);
    return take_step(db, report, &step, ret_done);
}

struct build {
    const struct db_declared *index;
    const char *name;
    const char *table; /* or leaf */
};

static enum err_e build(struct db *db, struct db_report *report, const struct build *build,
                        bool *ret_done) {
    struct step_text step = {
        .item = {.what = "create", .name = slice_of(build->name), .lock = lock_build},
        .change = {.relation = build->table},
    };
    snprintf(step.sql, sizeof step.sql, "CREATE %sINDEX CONCURRENTLY %s ON %s USING %s",
             build->index->is_unique ? "UNIQUE " : "", build->name, build->table,
             build->index->definition);
    snprintf(step.clean, sizeof step.clean, "DROP INDEX CONCURRENTLY IF EXISTS %s", build->name);
    return take_step(db, report, &step, ret_done);
}

static enum err_e fix_plain(struct db *db, struct db_report *report,
                            const struct db_declared *index, enum db_index_e state) {
    bool done = true;
    if (state == DB_INDEX_INVALID) {
        TRY(drop_invalid(db, report, index->name, index->table, &done));
    }
    if (!done) {
        return ERR_OK;
    }
    return build(db, report, &(struct build){index, index->name, index->table}, &done);
}

/* ── partitions ── */

struct leaf {
    struct leaf *next;
    struct slice name; /* as SQL */
    struct slice bare;
    bool is_table; /* not partitioned again, not foreign */
};

static enum err_e read_leaves(struct db *db, struct arena *arena, const char *table,
                              struct leaf **ret_leaves) {
    static const char sql[] =
        "SELECT h.inhrelid::regclass::text, c.relname, c.relkind = 'r'"
        " FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid"
        " WHERE h.inhparent = to_regclass($1) AND NOT h.inhdetachpending ORDER BY 2";
    const char *args[] = {table, NULL};
    struct db_rows rows;
    *ret_leaves = NULL;
    enum err_e err = db_ask(db, sql, args, &rows);
    for (struct leaf **end = ret_leaves; err == ERR_OK && db_next(&rows);) {
        struct leaf *leaf = arena_zalloc(arena, sizeof *leaf);
        if (leaf == NULL) {
            err = problem_set(&db->problem, ERR_NO_MEMORY, "", "too many partitions");
            break;
        }
        leaf->name = arena_copy(arena, slice_of(db_cell(&rows, 0)));
        leaf->bare = arena_copy(arena, slice_of(db_cell(&rows, 1)));
        leaf->is_table = db_cell_is_true(&rows, 2);
        if (leaf->name.at == NULL || leaf->bare.at == NULL) {
            err = problem_set(&db->problem, ERR_NO_MEMORY, "", "too many partitions");
            break;
        }
        *end = leaf;
        end = &leaf->next;
    }
    db_done(&rows);
    return err;
}

/* idx_attendance_gate_timestamp_2026_q4; when that is too long, its hash instead of its end. */
static void leaf_index_name(const struct db_declared *index, const struct leaf *leaf,
                            char ret_name[IDENTIFIER_SIZE]) {
    size_t table_len = strlen(index->table);
    bool ours = slice_starts_with(leaf->bare, slice_of(index->table));
    struct slice tail = ours ? slice_skip(leaf->bare, table_len) : leaf->bare;
    bool plain = tail.len > 0;
    for (size_t i = 0; i < tail.len; i++) {
        plain = plain && strchr("abcdefghijklmnopqrstuvwxyz0123456789_", tail.at[i]) != NULL;
    }
    int len = snprintf(ret_name, IDENTIFIER_SIZE, "%s%s%.*s", index->name, ours ? "" : "_",
                       SLICE_ARG(tail));
    if (!plain || len >= IDENTIFIER_SIZE) {
        snprintf(ret_name, IDENTIFIER_SIZE, "%.46s_%016llx", index->name,
                 (unsigned long long)slice_hash(leaf->bare));
    }
}

/* What a leaf has of a declared index. */
struct leaf_state {
    char attached[DB_NAME_SIZE];
    bool attached_is_valid;
    char spare[DB_NAME_SIZE]; /* a valid one of the same definition that belongs to no frame */
    bool has_broken; /* an invalid one under the name that we would give */
};

static enum err_e look_leaf(struct db *db, const struct db_declared *index,
                            const struct leaf *leaf, const char *name, struct leaf_state *ret) {
    static const char sql[] =
        "SELECT coalesce(max(i.indexrelid::regclass::text) FILTER (WHERE h.inhparent ="
        "  to_regclass($2)), ''), bool_and(i.indisvalid) FILTER (WHERE h.inhparent ="
        "  to_regclass($2)),"
        " coalesce(min(i.indexrelid::regclass::text) FILTER (WHERE h.inhparent IS NULL"
        "  AND i.indisvalid AND i.indisunique = $4::bool"
        "  AND " DEFINITION_OF("i.indexrelid") " = $5), ''),"
        " coalesce(bool_or(h.inhparent IS NULL AND NOT i.indisvalid"
        "  AND i.indexrelid = to_regclass($3)), false)"
        " FROM pg_index i LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid"
        " WHERE i.indrelid = to_regclass($1)";
    const char *args[] = {leaf->name.at, index->name, name, index->is_unique ? "t" : "f",
                          index->definition, NULL};
    struct db_rows rows;
    *ret = (struct leaf_state){.attached_is_valid = false};
    enum err_e err = db_ask(db, sql, args, &rows);
    if (err == ERR_OK && db_next(&rows)) {
        snprintf(ret->attached, sizeof ret->attached, "%s", db_cell(&rows, 0));
        ret->attached_is_valid = db_cell_is_true(&rows, 1);
        snprintf(ret->spare, sizeof ret->spare, "%s", db_cell(&rows, 2));
        ret->has_broken = db_cell_is_true(&rows, 3);
    }
    db_done(&rows);
    return err;
}

static enum err_e attach(struct db *db, struct db_report *report, const struct build *build,
                         bool *ret_done) {
    struct step_text step = {
        .item = {.what = "attach", .name = slice_of(build->name), .lock = lock_attach},
        .change = {.relation = build->table},
    };
    snprintf(step.sql, sizeof step.sql, "ALTER INDEX %s ATTACH PARTITION %s", build->index->name,
             build->name);
    return take_step(db, report, &step, ret_done);
}

/* One that is part of a frame cannot be dropped alone: it is built anew in its place. */
static enum err_e reindex(struct db *db, struct db_report *report, const char *name,
                          const char *leaf, bool *ret_done) {
    struct step_text step = {
        .item = {.what = "rebuild", .name = slice_of(name), .lock = lock_build},
        .change = {.relation = leaf},
    };
    snprintf(step.sql, sizeof step.sql, "REINDEX INDEX CONCURRENTLY %s", name);
    return take_step(db, report, &step, ret_done);
}

static enum err_e fix_leaf(struct db *db, struct db_report *report,
                           const struct db_declared *index, const struct leaf *leaf,
                           bool *ret_done) {
    char name[IDENTIFIER_SIZE];
    struct leaf_state state;
    *ret_done = true;
    leaf_index_name(index, leaf, name);
    TRY(look_leaf(db, index, leaf, name, &state));
    if (state.attached[0] != '\0') {
        return state.attached_is_valid ? ERR_OK
                                       : reindex(db, report, state.attached, leaf->name.at,
                                                 ret_done);
    }
    if (state.spare[0] != '\0') {
        return attach(db, report, &(struct build){index, state.spare, leaf->name.at}, ret_done);
    }
    if (state.has_broken) {
        TRY(drop_invalid(db, report, name, leaf->name.at, ret_done));
    }
    struct build wanted = {index, name, leaf->name.at};
    if (*ret_done) {
        TRY(build(db, report, &wanted, ret_done));
    }
    return *ret_done ? attach(db, report, &wanted, ret_done) : ERR_OK;
}

static enum err_e make_frame(struct db *db, struct db_report *report,
                             const struct db_declared *index, bool *ret_done) {
    struct step_text step = {
        .item = {.what = "create_frame", .name = slice_of(index->name), .lock = lock_frame},
        .change = {.relation = index->table},
    };
    snprintf(step.sql, sizeof step.sql, "CREATE %sINDEX %s ON ONLY %s USING %s",
             index->is_unique ? "UNIQUE " : "", index->name, index->table, index->definition);
    return take_step(db, report, &step, ret_done);
}

static enum err_e fix_leaves(struct db *db, struct db_report *report,
                             const struct db_declared *index, bool *ret_done) {
    struct arena arena;
    struct leaf *leaf = NULL;
    arena_init(&arena, DB_ARENA_LIMIT);
    enum err_e err = read_leaves(db, &arena, index->table, &leaf);
    for (*ret_done = true; err == ERR_OK && *ret_done && leaf != NULL; leaf = leaf->next) {
        if (leaf->is_table) {
            err = fix_leaf(db, report, index, leaf, ret_done);
            continue;
        }
        *ret_done = false;
        err = db_add(report, &(struct db_item){
                                 .state = DB_FAILED, .kind = "index", .what = "leaf",
                                 .name = leaf->name,
                                 .detail = SLICE_LIT("This partition is partitioned again or "
                                                     "foreign: its indexes are made by hand.")});
    }
    arena_fini(&arena);
    return err;
}

static enum err_e fix_partitioned(struct db *db, struct db_report *report,
                                  const struct db_declared *index, struct frame frame) {
    bool done = true;
    if (frame.state == DB_INDEX_MISSING) {
        TRY(make_frame(db, report, index, &done));
    }
    for (int round = 0; done && round < ROUNDS_MAX; round++) {
        TRY(fix_leaves(db, report, index, &done));
        if (!done || db->options.mode == DB_DRY_RUN) {
            return ERR_OK;
        }
        TRY(look(db, index, &frame));
        if (frame.state == DB_INDEX_VALID) {
            return ERR_OK;
        }
    }
    if (!done) {
        return ERR_OK;
    }
    return db_add(report, &(struct db_item){
                              .state = DB_FAILED, .kind = "index", .what = "invalid",
                              .name = slice_of(index->name),
                              .detail = SLICE_LIT("Every partition has its part and it does not "
                                                  "turn valid: drop it, then run this again.")});
}

/* How it stands, as an item; what is done about it follows. */
static enum err_e add_state(struct db *db, struct db_report *report,
                            const struct db_declared *index, const struct frame *frame) {
    static const struct {
        enum db_state_e state;
        const char *what, *detail;
    } rows[] = {
        [DB_INDEX_VALID] = {DB_GOOD, "valid", ""},
        [DB_INDEX_MISSING] = {DB_WARNING, "missing", "It is declared and not there."},
        [DB_INDEX_INVALID] = {DB_WARNING, "invalid", "A build of it was cut short: no query reads "
                                                     "it, or a partition has no part of it."},
        [DB_INDEX_DIFFERENT] = {DB_WARNING, "different", ""},
    };
    char other[512];
    struct buf facts;
    struct db_item item = {.kind = "index", .name = slice_of(index->name),
                           .state = rows[frame->state].state, .what = rows[frame->state].what,
                           .detail = slice_of(rows[frame->state].detail)};
    if (frame->state == DB_INDEX_DIFFERENT) {
        snprintf(other, sizeof other,
                 "Declared is %son %s USING %s, but there is: %s. A valid index is never dropped: "
                 "rename it, then run this again.",
                 index->is_unique ? "unique " : "", index->table, index->definition, frame->has);
        item.detail = slice_of(other);
    }
    buf_init(&facts, DB_SQL_MAX);
    enum err_e err = db_index_facts(db, index, &facts);
    item.facts = buf_slice(&facts);
    err = err == ERR_OK ? db_add(report, &item) : err;
    buf_fini(&facts);
    return err;
}

enum err_e db_index_fix(struct db *db, struct db_report *report,
                        const struct db_declared *index) {
    struct frame frame;
    TRY(look(db, index, &frame));
    TRY(add_state(db, report, index, &frame));
    switch (frame.state) {
    case DB_INDEX_VALID:
    case DB_INDEX_DIFFERENT:
        return ERR_OK;
    case DB_INDEX_MISSING:
    case DB_INDEX_INVALID:
        return frame.is_partitioned ? fix_partitioned(db, report, index, frame)
                                    : fix_plain(db, report, index, frame.state);
    }
    UNREACHABLE();
}

enum err_e db_indexes(struct db *db, struct db_report *report) {
    enum err_e err = db_begin_run(db);
    if (err == ERR_BUSY) {
        return err;
    }
    for (size_t i = 0; err == ERR_OK && i < db_declared_count(); i++) {
        err = db_index_fix(db, report, &declared[i]);
    }
    if (err == ERR_OK) {
        err = db_watch_indexes(db, report);
    }
    db_end_run(db);
    return err;
}
