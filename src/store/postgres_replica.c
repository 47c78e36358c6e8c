/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader's second connection, to a standby, for reads that may lag (store_op.may_lag). A read
 * goes there only while the standby is known to be fresh (postgres_lag.h); what is unknown there,
 * or fails, is asked at the primary as if there were no standby.
 *
 * Knowing costs one small question to each server twice in store.replica_lag, and none while nobody
 * reads. A standby that does not answer holds one reader up for REPLICA_TIMEOUT_MS once; then it
 * is left alone for a while.
 */
#include "store/postgres_priv.h"

#include "base/log.h"

enum { REPLICA_TIMEOUT_MS = 1000 };

bool pg_has_several_hosts(const char *url) {
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    bool several = false;
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        bool names_hosts = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0;
        several = several || (names_hosts && o->val != NULL && strchr(o->val, ',') != NULL);
    }
    PQconninfoFree(options);
    return several;
}

void pg_replica_init(struct pg_replica *replica, const struct postgres_options *options,
                     struct pg_team *team) {
    *replica = (struct pg_replica){
        .reader = {.clock = options->clock, .url = options->url},
        .is_wanted = options->replica_lag_ms > 0 && pg_has_several_hosts(options->url),
        .team = team,
    };
    pg_lag_init(&replica->lag, options->replica_lag_ms * 1000);
}

void pg_replica_fini(struct pg_replica *replica) {
    pg_close(&replica->reader.conn);
}

/* Only one thread looks for a standby at a time, and the others go to the primary meanwhile. */
MAY_BLOCK static bool connect_replica(struct pg_replica *replica) {
    struct problem problem = {.detail = ""};
    if (!pg_door_try(&replica->team->replica_door)) {
        return false;
    }
    pg_close(&replica->reader.conn);
    pg_lag_forget(&replica->lag);
    enum err_e err = pg_open(&replica->reader.conn, replica->reader.url, PG_REPLICA, &problem);
    pg_door_leave(&replica->team->replica_door, err);
    if (err == ERR_OK) {
        replica->reader.conn.timeout_ms = REPLICA_TIMEOUT_MS;
        log_event(LOG_INFO, "replica_reads", "state=on");
    } else if (!replica->is_missed) {
        log_event(LOG_WARN, "replica_reads", "state=off postgres=\"%s\"", problem.detail);
    }
    replica->is_missed = err != ERR_OK;
    return err == ERR_OK;
}

static int64_t real_us(void) {
    return clock_mono_us(clock_system());
}

/* A question of one row, in a transaction of its own. False: no answer. */
MAY_BLOCK static bool ask(struct pg_conn *conn, enum pg_sql_e sql, struct pg_rows *ret_rows) {
    size_t place = pg_put(conn, sql, NULL);
    if (pg_run(conn) != ERR_OK) {
        if (conn->failure == PG_LOST) {
            pg_close(conn);
        }
        return false;
    }
    *ret_rows = pg_rows_of(conn, place);
    return pg_next(ret_rows);
}

MAY_BLOCK static bool take_mark(struct pg_replica *replica, struct pg_conn *primary) {
    struct pg_rows rows;
    int64_t moment_us = real_us();
    if (primary->opened_us != replica->marked_by_us) { /* perhaps another server */
        pg_lag_forget(&replica->lag);
        replica->marked_by_us = primary->opened_us;
    }
    if (!ask(primary, PG_SQL_PRIMARY_POSITION, &rows)) {
        return false;
    }
    pg_lag_mark(&replica->lag, moment_us, pg_get_int(&rows));
    return true;
}

/* What it takes for a standby to be called late: to be behind by more than what is allowed, or not
 * to follow at all. One that is a moment behind is asked again at the next read. */
static void note_lag(struct pg_replica *replica, bool receives) {
    int64_t behind_us = pg_lag_behind_us(&replica->lag, real_us());
    atomic_store(&replica->team->replica.behind_us, receives ? behind_us : -1);
    if (!receives || behind_us >= replica->lag.limit_us) {
        atomic_fetch_add(&replica->team->replica.late, 1);
    }
}

/* False also when the standby has become a primary: then it is looked for another. */
MAY_BLOCK static bool see_replay(struct pg_replica *replica) {
    struct pg_rows rows;
    if (!ask(&replica->reader.conn, PG_SQL_REPLICA_POSITION, &rows)) {
        pg_lag_forget(&replica->lag);
        return false;
    }
    bool is_standby = pg_get_bool(&rows);
    int64_t position = pg_get_int(&rows);
    bool receives = pg_get_bool(&rows);
    pg_lag_see(&replica->lag, position, is_standby && receives);
    if (!is_standby) {
        pg_close(&replica->reader.conn);
    } else {
        note_lag(replica, receives);
    }
    return is_standby;
}

MAY_BLOCK bool pg_replica_is_ready(struct pg_replica *replica, struct pg_conn *primary) {
    if (!replica->is_wanted || primary->pg == NULL || primary->on_standby) {
        return false;
    }
    if (!pg_is_alive(&replica->reader.conn) && !connect_replica(replica)) {
        return false;
    }
    if (pg_lag_is_fresh(&replica->lag, real_us())) {
        return true;
    }
    if (pg_lag_wants_mark(&replica->lag, real_us()) && !take_mark(replica, primary)) {
        return false;
    }
    return see_replay(replica) && pg_lag_is_fresh(&replica->lag, real_us());
}
