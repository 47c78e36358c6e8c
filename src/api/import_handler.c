/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST …/participants:import: a group of rows goes to the store, its answer brings the next one, so
 * memory stays flat and other requests pass between two groups.
 *
 * Each group is durable on its own. When the store fails midway the answer is that error and says
 * how far it came: importing the same file again is safe, since rows are matched by token.
 */
#include "api/call_priv.h"
#include "api/import.h"

#include <inttypes.h>
#include <stdlib.h>

struct import {
    struct import_reader *reader;
    struct import_tally *tally;
    bool asked_store; /* so that the event is known to be there */
};

static void free_import(struct import *import) {
    import_close(import->reader);
    if (import->tally != NULL) {
        import_tally_fini(import->tally);
        free(import->tally);
    }
}

static void fail_import(struct call *call, enum err_e err, const struct problem *problem) {
    struct problem copy = {.field = ""};
    if (problem != NULL) {
        copy = *problem;
    }
    free_import(call->state);
    call_fail(call, err, &copy);
}

static void fail_midway(struct call *call) {
    const struct import *import = call->state;
    const struct store_op *op = call_op(call);
    struct problem problem = op->problem;
    uint64_t stored = import->tally->created + import->tally->updated;
    if (stored > 0) {
        (void)problem_set(&problem, op->err, "",
                          "%" PRIu64 " rows were stored before this; import the file again, rows "
                          "are matched by token",
                          stored);
    }
    fail_import(call, op->err, &problem);
}

static void reply_tally(struct call *call) {
    struct import *import = call->state;
    import_tally_write(call_begin_json(call), import->tally, import->reader);
    free_import(import);
    call_reply_json(call, 200);
}

static void end_without_rows(struct call *call) {
    if (call_op(call)->err != ERR_OK) {
        fail_midway(call);
    } else {
        reply_tally(call);
    }
}

/* A call_begin_op that frees the import when the call has been answered by it. */
static struct store_op *begin_import_op(struct call *call, enum store_op_e kind) {
    struct import own = *(struct import *)call->state;
    struct store_op *op = call_begin_op(call, kind);
    if (op == NULL) {
        free_import(&own);
    }
    return op;
}

/* A file without a single good row still names an event, which must be there. */
static void end_import(struct call *call) {
    const struct import *import = call->state;
    if (import->asked_store) {
        reply_tally(call);
    } else if (begin_import_op(call, STORE_LOAD_EVENT) != NULL) {
        call_submit_raw(call, end_without_rows);
    }
}

static void import_next(struct call *call);

static void on_stored(struct call *call) {
    struct import *import = call->state;
    if (call_op(call)->err != ERR_OK) {
        fail_midway(call);
        return;
    }
    import_tally_add(import->tally, import_group(import->reader));
    import_next(call);
}

static void store_group(struct call *call) {
    struct import *import = call->state;
    struct import_group *group = import_group(import->reader);
    if (group->rows_len == 0) {
        import_tally_add(import->tally, group);
        call_next_turn(call, import_next);
        return;
    }
    struct store_op *op = begin_import_op(call, STORE_IMPORT_PARTICIPANTS);
    if (op != NULL) {
        import->asked_store = true;
        op->import.rows = group->rows;
        op->import.len = group->rows_len;
        call_submit_raw(call, on_stored);
    }
}

static void import_next(struct call *call) {
    struct import *import = call->state;
    struct problem problem = {.field = ""};
    enum err_e err = ERR_OK;
    switch (import_read(import->reader, &err, &problem)) {
    case IMPORT_GROUP:
        store_group(call);
        return;
    case IMPORT_END:
    case IMPORT_WANTS_MORE: /* never: the whole body was fed at once */
        end_import(call);
        return;
    case IMPORT_FAILED:
        fail_import(call, err, &problem);
        return;
    }
}

void handle_import_participants(struct call *call) {
    struct import *import = arena_zalloc(call->arena, sizeof *import);
    if (import == NULL) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    call->state = import;
    bool is_csv = media_of(http_field(call->request, "content-type")) == MEDIA_CSV;
    import->reader = import_open(is_csv ? IMPORT_CSV : IMPORT_NDJSON);
    import->tally = malloc(sizeof *import->tally);
    if (import->tally != NULL) {
        import_tally_init(import->tally);
    }
    if (import->reader == NULL || import->tally == NULL) {
        fail_import(call, ERR_NO_MEMORY, NULL);
        return;
    }
    import_feed(import->reader, http_body(call->request), CSV_LAST_PIECE);
    import_next(call);
}
