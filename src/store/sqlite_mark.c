/* SPDX-License-Identifier: Apache-2.0 */
/* The change mark, for whoever asks by operation; sqlite_read_mark tells of the file itself. */
#include "store/sqlite_priv.h"

MAY_BLOCK static enum err_e read_mark(struct sqlite_conn *conn, uint64_t *ret_mark) {
    bool is_there = false;
    struct sql_run run = sql_begin(conn, SQL_MARK);
    TRY(sql_step(&run, &is_there));
    *ret_mark = is_there ? (uint64_t)sql_get_int(&run) : 0;
    sql_end(&run);
    return ERR_OK;
}

MAY_BLOCK enum err_e writer_change_mark(struct sqlite_writer *w, struct store_op *op) {
    uint64_t mark;
    TRY(read_mark(&w->conn, &mark));
    struct sql_run run = sql_begin(&w->conn, SQL_MARK_PUT);
    sql_int(&run, (int64_t)(mark ^ op->mark.flip));
    return sql_finish(&run);
}

MAY_BLOCK enum err_e reader_read_mark(struct sqlite_reader *r, struct store_op *op) {
    return read_mark(&r->conn, &op->mark.value);
}
