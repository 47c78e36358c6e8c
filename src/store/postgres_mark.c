/* SPDX-License-Identifier: Apache-2.0 */
/* The change mark: what tells nodes of changes that nobody could tell them. */
#include "store/postgres_priv.h"

void pg_put_mark(struct pg_writer *w, uint64_t flip) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, (int64_t)flip);
    pg_put(&w->conn, PG_SQL_MARK_CHANGE, &args);
}

MAY_BLOCK enum err_e pg_change_mark(struct pg_writer *w, void *data) {
    const struct store_op *op = data;
    pg_put_mark(w, op->mark.flip);
    return ERR_OK;
}

enum err_e pg_read_mark(struct pg_reader *r, struct store_op *op) {
    size_t place = pg_put(&r->conn, PG_SQL_MARK, NULL);
    TRY(pg_read(r));
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    if (!pg_next(&rows)) {
        return ERR_INTERNAL;
    }
    op->mark.value = (uint64_t)pg_get_int(&rows);
    return ERR_OK;
}
