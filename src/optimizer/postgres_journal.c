/* SPDX-License-Identifier: Apache-2.0 */
/* What the optimizer did, as rows of action_journal and lines of the log. */
#include "optimizer/postgres_priv.h"

#include "base/log.h"

#include <stdio.h>

enum { KEPT_DAYS = 7 /* what was undone is not tried again for so long */ };

/* A slice as a parameter; an empty one is `otherwise`. */
static const char *put_text(struct arena *arena, struct slice text, const char *otherwise) {
    if (text.len == 0) {
        return otherwise;
    }
    struct slice copy = arena_copy(arena, text); /* with a NUL behind it */
    return copy.at;
}

enum err_e db_journal(struct db *db, const struct db_action *action) {
    static const char sql[] =
        "INSERT INTO action_journal (system, actor, action, target, outcome, evidence,"
        " figures_before, figures_after, detail)"
        " VALUES ('database', $1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8)";
    struct arena arena;
    struct db_rows rows = {.row = -1};
    const char *actor = db->options.actor == NULL ? "command line" : db->options.actor;
    arena_init(&arena, DB_SQL_MAX * 4);
    const char *args[] = {actor,
                          action->action,
                          action->target,
                          action->outcome,
                          put_text(&arena, action->evidence, "{}"),
                          put_text(&arena, action->before, "{}"),
                          put_text(&arena, action->after, "{}"),
                          put_text(&arena, action->detail, ""),
                          NULL};
    enum err_e err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i + 1 < sizeof args / sizeof args[0]; i++) {
        err = args[i] == NULL ? problem_set(&db->problem, ERR_NO_MEMORY, "", "no memory for the "
                                                                              "journal")
                              : ERR_OK;
    }
    err = err == ERR_OK ? db_ask(db, sql, args, &rows) : err;
    db_done(&rows);
    arena_fini(&arena);
    log_event(LOG_INFO, "action", "system=database action=\"%s\" target=\"%s\" outcome=\"%s\"",
              action->action, action->target, action->outcome);
    return err;
}

enum err_e db_journal_undone(struct db *db, const char *target, bool *ret_undone) {
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM action_journal WHERE target = $1 AND outcome = 'undone'"
        " AND system = 'database' AND at > now() - make_interval(days => $2::int))";
    char days[16];
    snprintf(days, sizeof days, "%d", KEPT_DAYS);
    const char *args[] = {target, days, NULL};
    struct db_rows rows;
    enum err_e err = db_ask(db, sql, args, &rows);
    *ret_undone = err == ERR_OK && db_next(&rows) && db_cell_is_true(&rows, 0);
    db_done(&rows);
    return err;
}
