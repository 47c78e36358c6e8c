/* SPDX-License-Identifier: Apache-2.0 */
/* What was told to whom, and how each receiver does. */
#include "act/controller.h"
#include "act/notifier.h"
#include "api/call_priv.h"

enum { PAGE_MAX = 100 }; /* of 77 KiB each at most; fewer than were asked for have a next page */

static void write_receiver(struct json_writer *w, struct notifier *notifier,
                           const struct receiver *receiver, size_t place) {
    struct notifier_figures figures;
    notifier_read(notifier, place, &figures);
    json_begin_object(w);
    json_put_cstr(w, "receiver", receiver->name);
    json_put_cstr(w, "type", receiver_type_text((enum receiver_type_e)receiver->type));
    json_put_bool(w, "disabled", receiver->disabled);
    json_put_int(w, "queued", (int64_t)figures.queued);
    json_put_int(w, "delivered", (int64_t)figures.delivered);
    json_put_int(w, "refused", (int64_t)figures.refused);
    json_put_int(w, "given_up", (int64_t)figures.given_up);
    json_put_int(w, "tries_failed", (int64_t)figures.tries_failed);
    json_put_int(w, "put_off", (int64_t)figures.put_off);
    json_put_time(w, "delivered_at", figures.delivered_at_ms);
    json_put_cstr(w, "trouble", figures.detail[0] == '\0' ? NULL : figures.detail);
    json_end_object(w);
}

static void write_receivers(struct json_writer *w, const struct api_node *node) {
    json_key(w, "receivers");
    json_begin_array(w);
    const struct policy *policy =
        node->notifier == NULL ? NULL : controller_policy(node->controller);
    for (size_t i = 0; policy != NULL && i < policy->receivers_len; i++) {
        write_receiver(w, node->notifier, &policy->receivers[i], i);
    }
    json_end_array(w);
}

static void write_notice(struct json_writer *w, const struct notice_record *record) {
    json_begin_object(w);
    json_key(w, "id");
    json_add_int_text(w, record->id);
    json_put_text(w, "key", record->key);
    json_put_time(w, "at", record->at_ms);
    json_put_time(w, "changed_at", record->changed_ms);
    json_put_text(w, "receiver", record->receiver);
    json_put_text(w, "actor", record->actor);
    json_put_text(w, "state", record->state);
    json_put_int(w, "attempts", record->attempts);
    json_put_text(w, "detail", record->detail);
    json_key(w, "notice");
    json_add_raw(w, record->body);
    json_end_object(w);
}

static void reply_notices(struct call *call) {
    const struct store_op *op = call_op(call);
    struct json_writer *w = call_begin_json(call);
    bool more = op->notices.more && op->notices.len > 0;
    struct cursor next = {.list = CURSOR_NOTICES};
    json_begin_object(w);
    write_receivers(w, call->api->node);
    json_key(w, "items");
    json_begin_array(w);
    for (size_t i = 0; i < op->notices.len; i++) {
        write_notice(w, &op->notices.items[i]);
    }
    if (more) {
        next.keys[0] = op->notices.items[op->notices.len - 1].id;
    }
    call_reply_items(call, more ? &next : NULL);
}

void handle_list_notifications(struct call *call) {
    struct page page = {.cursor = {.list = CURSOR_NOTICES}};
    if (!call_read_page(call, &page)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_LIST_NOTICES);
    if (op != NULL) {
        op->notices.after = page.has_cursor ? page.cursor.keys[0] : 0;
        op->notices.limit = page.limit < PAGE_MAX ? page.limit : PAGE_MAX;
        call_submit(call, reply_notices);
    }
}
