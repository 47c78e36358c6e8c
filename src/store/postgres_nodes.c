/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes that serve, as they register themselves, and the secret that they share. Times are the
 * server's: the nodes' clocks may differ. */
#include "store/postgres_priv.h"

static struct slice text_or_empty(struct slice text) {
    return text.len == 0 ? SLICE_LIT("") : text;
}

MAY_BLOCK enum err_e pg_register_node(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    const struct node_record *record = &op->node.values;
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, record->id);
    pg_arg_text(&args, text_or_empty(record->url));
    pg_arg_text(&args, text_or_empty(record->version));
    pg_arg_text(&args, text_or_empty(record->incarnation));
    pg_arg_time(&args, record->started_at_ms);
    pg_arg_text(&args, record->capabilities.len == 0 ? SLICE_LIT("{}") : record->capabilities);
    pg_arg_int(&args, op->node.life_ms);
    pg_arg_int(&args, op->node.takes);
    pg_arg_int(&args, record->drains);
    size_t place = pg_put(&w->conn, PG_SQL_NODE_PUT, &args);
    pg_put(&w->conn, PG_SQL_NODES_TRIM, NULL);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    return pg_next(&rows) ? ERR_OK
                          : problem_set(&op->problem, ERR_CONFLICT, "id",
                                        "another process has this id and lives");
}

MAY_BLOCK enum err_e pg_leave_node(struct pg_writer *w, void *data) {
    const struct store_op *op = data;
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->node.values.id);
    pg_arg_text(&args, text_or_empty(op->node.values.incarnation));
    pg_put(&w->conn, PG_SQL_NODE_DROP, &args);
    return ERR_OK;
}

static bool row_node(struct pg_rows *rows, struct arena *arena, struct node_record *ret) {
    bool copied = pg_get_copy(rows, arena, &ret->id) && pg_get_copy(rows, arena, &ret->url) &&
                  pg_get_copy(rows, arena, &ret->version) &&
                  pg_get_copy(rows, arena, &ret->incarnation) &&
                  pg_get_copy(rows, arena, &ret->capabilities);
    ret->started_at_ms = pg_get_time(rows);
    ret->drains = pg_get_bool(rows);
    ret->left_ms = pg_get_int(rows);
    return copied;
}

enum err_e pg_list_nodes(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, STORE_NODES_MAX);
    size_t place = pg_put(&r->conn, PG_SQL_NODES_ALL, &args);
    TRY(pg_read(r));
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    op->nodes.items = arena_alloc(&op->arena, STORE_NODES_MAX * sizeof *op->nodes.items);
    if (op->nodes.items == NULL) {
        return ERR_NO_MEMORY;
    }
    for (op->nodes.len = 0; pg_next(&rows); op->nodes.len++) {
        if (!row_node(&rows, &op->arena, &op->nodes.items[op->nodes.len])) {
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_cluster_secret(struct pg_writer *w, void *data) {
    static const char key[] = "cluster_secret";
    struct store_op *op = data;
    unsigned char fresh[CLUSTER_SECRET_SIZE];
    struct pg_args put, get;
    rng_fill(w->rng, fresh, sizeof fresh);
    pg_args_init(&put);
    pg_arg_word(&put, key);
    pg_arg_bytes(&put, slice_from((const char *)fresh, sizeof fresh));
    pg_args_init(&get);
    pg_arg_word(&get, key);
    pg_put(&w->conn, PG_SQL_META_PUT, &put);
    size_t place = pg_put(&w->conn, PG_SQL_META_GET, &get);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    struct slice secret = pg_next(&rows) ? pg_get_text(&rows) : SLICE_NONE;
    if (secret.len != sizeof op->secret) {
        return ERR_BAD_STORE;
    }
    memcpy(op->secret, secret.at, sizeof op->secret);
    return ERR_OK;
}
