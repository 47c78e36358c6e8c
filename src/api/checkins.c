/* SPDX-License-Identifier: Apache-2.0 */
/* One scan, and the annulment of one record. The scan is the hot path: nothing here allocates
 * outside the request's arena. */
#include "api/call_priv.h"

static void reply_verdict(const struct scan_result *result, void *owner) {
    struct call *call = owner;
    call_end_waiting(call);
    if (result->err != ERR_OK) {
        call_fail(call, result->err, &result->problem);
        return;
    }
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    verdict_write_members(w, result);
    json_end_object(w);
    call_reply_json(call, 200);
}

void handle_scan_once(struct call *call) {
    struct problem problem;
    struct body body;
    if (!call_read_body(call, FIELDS_CREATE, &problem, &body)) {
        return;
    }
    enum err_e err = scan_read(body.document, loop_wall_ms(call->api->loop), &call->scan, &problem);
    if (err == ERR_OK) {
        call_begin_waiting(call);
        err = checkin_scan(call->api->checkin, call->params[0], &call->scan, reply_verdict, call);
        if (err == ERR_OK) {
            return;
        }
        call_end_waiting(call);
    }
    call_fail(call, err, &problem);
}

static void reply_annulled(struct call *call) {
    record_write(call_begin_json(call), &call_op(call)->annul.record);
    call_reply_json(call, 200);
}

void handle_annul_record(struct call *call) {
    int64_t id;
    if (!call_read_id(call, ERR_UNKNOWN_RECORD, &id)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_ANNUL);
    if (op != NULL) {
        op->annul.record_id = id;
        call_submit(call, reply_annulled);
    }
}
