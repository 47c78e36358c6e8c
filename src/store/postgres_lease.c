/* SPDX-License-Identifier: Apache-2.0 */
/* The lease's own session. */
#include "store/lease.h"

#include "store/postgres_priv.h"

struct lease {
    struct lease_options options;
    struct pg_conn conn;
};

struct lease *lease_create(const struct lease_options *options) {
    struct lease *lease = calloc(1, sizeof *lease);
    if (lease != NULL) {
        lease->options = *options;
    }
    return lease;
}

MAY_BLOCK void lease_destroy(struct lease *lease) {
    if (lease != NULL) {
        pg_close(&lease->conn);
        free(lease);
    }
}

MAY_BLOCK static enum err_e see_to_connection(struct lease *lease, struct problem *problem) {
    if (pg_is_alive(&lease->conn)) {
        return ERR_OK;
    }
    pg_close(&lease->conn);
    TRY(pg_open(&lease->conn, lease->options.store_url, PG_LEASE, problem));
    lease->conn.timeout_ms = lease->options.timeout_ms;
    return ERR_OK;
}

/* A session that failed is not asked again: what it still does, it does for nobody. */
MAY_BLOCK static enum err_e run(struct lease *lease, struct problem *problem) {
    enum err_e err = pg_run(&lease->conn);
    if (err != ERR_OK) {
        problem_set(problem, err, "", "%s", lease->conn.detail);
        pg_close(&lease->conn);
    }
    return err;
}

static void keep_text(struct slice text, char *to, size_t size) {
    snprintf(to, size, "%.*s", SLICE_ARG(text));
}

MAY_BLOCK enum err_e lease_try(struct lease *lease, struct lease_state *ret_state,
                               struct problem *ret_problem) {
    const struct lease_options *options = &lease->options;
    struct pg_args args;
    *ret_state = (struct lease_state){.is_ours = false};
    TRY(see_to_connection(lease, ret_problem));
    pg_args_init(&args);
    pg_arg_word(&args, options->name);
    if (!options->only_looks) {
        pg_arg_word(&args, options->holder);
        pg_arg_word(&args, options->url);
        pg_arg_int(&args, options->ttl_ms);
    }
    size_t place = pg_put(&lease->conn,
                          options->only_looks ? PG_SQL_LEASE_LOOK : PG_SQL_LEASE_TRY, &args);
    TRY(run(lease, ret_problem));
    struct pg_rows rows = pg_rows_of(&lease->conn, place);
    if (!pg_next(&rows)) { /* nobody has it, or somebody took it while the statement ran */
        return ERR_OK;
    }
    struct slice holder = pg_get_text(&rows);
    keep_text(holder, ret_state->holder, sizeof ret_state->holder);
    keep_text(pg_get_text(&rows), ret_state->url, sizeof ret_state->url);
    ret_state->term = pg_get_int(&rows);
    ret_state->is_ours = slice_eq_text(holder, options->holder);
    return ERR_OK;
}

MAY_BLOCK enum err_e lease_give_back(struct lease *lease, struct problem *ret_problem) {
    struct pg_args args;
    TRY(see_to_connection(lease, ret_problem));
    pg_args_init(&args);
    pg_arg_word(&args, lease->options.name);
    pg_arg_word(&args, lease->options.holder);
    pg_put(&lease->conn, PG_SQL_LEASE_GIVE_BACK, &args);
    return run(lease, ret_problem);
}
