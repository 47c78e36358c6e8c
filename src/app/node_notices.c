/* SPDX-License-Identifier: Apache-2.0 */
/* Between the notifier and the store. */
#include "app/node_notices.h"

#include "act/deliver.h"
#include "base/log.h"

#include <stdlib.h>

enum {
    LOG_DEADLINE_MS = 2000,
    RESUMED_MAX = 64,
    TOLD_MAX = 4096,         /* alerts in the latest notices that are looked at */
    BODY_MEMORY_MAX = 4 << 20, /* for one of them, read */
};

struct node_notices {
    struct node_notices_options options;
    struct notifier *notifier;
    bool is_resumed;
};

/* ---- the log ---- */

static void begin_op(const struct node_notices *notices, struct store_op *op,
                     enum store_op_e kind) {
    store_op_init(op, kind);
    op->deadline_us = clock_mono_us(notices->options.api_node->clock) + LOG_DEADLINE_MS * 1000;
}

static struct notice_record record_of(const struct node_notices *notices,
                                      const struct delivery *delivery) {
    return (struct notice_record){
        .id = delivery->id,
        .key = slice_of(delivery->key),
        .receiver = slice_of(notices->options.policy->receivers[delivery->receiver].name),
        .actor = slice_of(notices->options.node),
        .state = slice_of(delivery_text(delivery->state)),
        .attempts = delivery->attempts,
        .body = delivery->body,
        .detail = slice_of(delivery->detail),
    };
}

MAY_BLOCK static enum err_e run(const struct node_notices *notices,
                                const struct delivery *delivery, enum store_op_e kind,
                                int64_t *ret_id) {
    struct store_op op;
    begin_op(notices, &op, kind);
    op.notice.values = record_of(notices, delivery);
    enum err_e err = store_run(notices->options.api_node->store, &op);
    *ret_id = op.notice.values.id;
    store_op_fini(&op);
    return err;
}

MAY_BLOCK static enum err_e log_add(void *data, const struct delivery *delivery, int64_t *ret_id) {
    return run(data, delivery, STORE_ADD_NOTICE, ret_id);
}

MAY_BLOCK static enum err_e log_end(void *data, const struct delivery *delivery) {
    int64_t same;
    return run(data, delivery, STORE_END_NOTICE, &same);
}

MAY_BLOCK static enum delivery_e deliver(void *data, const struct receiver *receiver,
                                         struct slice body, const atomic_bool *cancel,
                                         char ret_detail[NOTIFIER_DETAIL_SIZE]) {
    const struct node_notices *notices = data;
    return deliver_notice(receiver, body, notices->options.api_node->clock, cancel, ret_detail);
}

/* ---- what an earlier run left ---- */

static int place_of(const struct policy *policy, struct slice name) {
    for (size_t i = 0; i < policy->receivers_len; i++) {
        if (slice_eq_text(name, policy->receivers[i].name) && !policy->receivers[i].disabled) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_late(const struct node_notices *notices, const struct notice_record *record,
                    int place) {
    return clock_wall_ms(notices->options.api_node->clock) - record->at_ms >=
           notices->options.policy->receivers[place].give_up_ms;
}

/* NULL: it is on its way again; else why it cannot be. */
static const char *try_again(struct node_notices *notices, const struct notice_record *record) {
    char key[NOTICE_KEY_SIZE];
    int place = place_of(notices->options.policy, record->receiver);
    if (place >= 0 && is_late(notices, record, place)) {
        return "this node ended, and give_up has passed since";
    }
    return place >= 0 && slice_to_cstr(record->key, key, sizeof key) &&
                   notifier_send(notices->notifier, (size_t)place, key, record->body, record->id)
               ? NULL
               : "this node ended, and there is no way to it any more";
}

MAY_BLOCK static void resume_one(struct node_notices *notices, const struct notice_record *record) {
    if (!notices->options.is_lone && !slice_eq_text(record->actor, notices->options.node)) {
        return; /* another node's */
    }
    const char *why_not = try_again(notices, record);
    if (why_not == NULL) {
        return;
    }
    struct store_op op;
    begin_op(notices, &op, STORE_END_NOTICE);
    op.notice.values = *record;
    op.notice.values.state = slice_of(delivery_text(DELIVERY_GIVEN_UP));
    op.notice.values.detail = slice_of(why_not);
    enum err_e ignored = store_run(notices->options.api_node->store, &op);
    (void)ignored; /* it stays "waiting": the next start looks again */
    store_op_fini(&op);
}

MAY_BLOCK void node_notices_resume(struct node_notices *notices) {
    struct store_op op;
    if (notices == NULL || notices->is_resumed) {
        return;
    }
    notices->is_resumed = true;
    begin_op(notices, &op, STORE_LIST_NOTICES);
    op.notices.limit = RESUMED_MAX;
    op.notices.state = slice_of(delivery_text(DELIVERY_WAITING));
    enum err_e err = store_run(notices->options.api_node->store, &op);
    if (err != ERR_OK) {
        log_event(LOG_WARN, "notices_not_resumed", "err=%s", err_code(err));
    }
    for (size_t i = err == ERR_OK ? op.notices.len : 0; i > 0; i--) { /* the oldest first */
        resume_one(notices, &op.notices.items[i - 1]);
    }
    store_op_fini(&op);
}

/* It went out, or this process sends it still. */
static bool was_told(const struct node_notices *notices, const struct notice_record *record,
                     int place) {
    bool is_ours = notices->options.is_lone ||
                   slice_eq_text(record->actor, notices->options.node);
    bool waits = slice_eq_text(record->state, delivery_text(DELIVERY_WAITING));
    return waits ? is_ours && !is_late(notices, record, place)
                 : !slice_eq_text(record->state, delivery_text(DELIVERY_GIVEN_UP));
}

/* ERR_TOO_LARGE: there is no room for it. */
static enum err_e read_told(const struct node_notices *notices, const struct notice_record *record,
                            struct arena *arena, struct told_before **told, size_t room) {
    struct told_before read[NOTICE_ITEMS_MAX];
    struct json_t *document;
    struct arena scratch;
    int place = place_of(notices->options.policy, record->receiver);
    size_t len = 0;
    enum err_e err = ERR_OK;
    arena_init(&scratch, BODY_MEMORY_MAX);
    if (place >= 0 && was_told(notices, record, place) &&
        json_parse(&scratch, record->body, &document, NULL) == ERR_OK) {
        len = notice_read(document, notices->options.policy, (size_t)place, read);
        err = len > room ? ERR_TOO_LARGE : ERR_OK;
    }
    for (size_t i = 0; i < len && err == ERR_OK; i++) {
        read[i].node = arena_copy(arena, read[i].node);
        err = read[i].node.at == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    if (err == ERR_OK) {
        *told -= len;
        memcpy(*told, read, len * sizeof *read);
    }
    arena_fini(&scratch);
    return err;
}

MAY_BLOCK enum err_e node_notices_told(const struct node_notices *notices, struct arena *arena,
                                       struct told_before **ret_told, size_t *ret_len) {
    struct store_op op;
    struct told_before *all = arena_alloc(arena, TOLD_MAX * sizeof *all);
    if (all == NULL) {
        return ERR_NO_MEMORY;
    }
    struct told_before *told = all + TOLD_MAX;
    begin_op(notices, &op, STORE_LIST_NOTICES);
    op.notices.limit = STORE_PAGE_MAX;
    enum err_e err = store_run(notices->options.api_node->store, &op);
    for (size_t i = 0; err == ERR_OK && i < op.notices.len; i++) { /* the newest first */
        err = read_told(notices, &op.notices.items[i], arena, &told, (size_t)(told - all));
    }
    store_op_fini(&op);
    *ret_told = told;
    *ret_len = (size_t)(all + TOLD_MAX - told);
    return err == ERR_TOO_LARGE ? ERR_OK : err; /* the latest are enough */
}

/* ---- life ---- */

MAY_BLOCK struct node_notices *node_notices_open(const struct node_notices_options *options) {
    struct node_notices *notices = calloc(1, sizeof *notices);
    if (notices == NULL) {
        return NULL;
    }
    notices->options = *options;
    notices->notifier = notifier_create(&(struct notifier_options){
        .clock = options->api_node->clock,
        .rng = options->api_node->rng,
        .policy = options->policy,
        .seams = {
            .deliver = deliver, .log_add = log_add, .log_end = log_end, .data = notices}});
    if (notices->notifier == NULL || notifier_start(notices->notifier) != ERR_OK) {
        node_notices_close(notices);
        return NULL;
    }
    return notices;
}

struct notifier *node_notices_notifier(struct node_notices *notices) {
    return notices->notifier;
}

MAY_BLOCK void node_notices_stop(struct node_notices *notices) {
    if (notices != NULL) {
        notifier_stop(notices->notifier);
    }
}

MAY_BLOCK void node_notices_close(struct node_notices *notices) {
    if (notices == NULL) {
        return;
    }
    notifier_stop(notices->notifier);
    notifier_destroy(notices->notifier);
    free(notices);
}
