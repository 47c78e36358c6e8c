/* SPDX-License-Identifier: Apache-2.0 */
/* Is the process alive, can it serve, and what does it speak: the routes that need no key. */
#include "act/inquiry.h"
#include "api/call_priv.h"

void handle_livez(struct call *call) {
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    json_put_cstr(w, "status", "alive");
    json_put_cstr(w, "version", call->api->node->version);
    json_end_object(w);
    call_reply_json(call, 200);
}

static void add_reason(struct json_writer *w, enum err_e err, const char *detail) {
    json_begin_object(w);
    json_put_cstr(w, "code", err_code(err));
    json_put_cstr(w, "detail", detail[0] == '\0' ? err_remedy(err) : detail);
    json_end_object(w);
}

/* Ready means all of it: who cannot write cannot check anybody in. */
void handle_readyz(struct call *call) {
    struct api_node *node = call->api->node;
    struct store_health health;
    store_health(node->store, &health);
    bool is_draining = atomic_load_explicit(&node->draining, memory_order_relaxed);
    bool is_ready = health.reads && health.writes && !is_draining;
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    json_put_cstr(w, "status", is_ready ? "ready" : "not_ready");
    json_key(w, "reasons");
    json_begin_array(w);
    if (is_draining) {
        add_reason(w, ERR_DRAINING, "this node is stopping");
    }
    if (!health.reads || !health.writes) {
        add_reason(w, ERR_UNAVAILABLE, health.reason);
    }
    json_end_array(w);
    json_end_object(w);
    if (!is_ready) {
        http_add_field(call->request, "retry-after", SLICE_LIT("1"));
    }
    call_reply_json(call, is_ready ? 200 : 503);
}

/* For controllers, which sign what they ask; its own kind of key (act/inquiry.h). */
void handle_read_status(struct call *call) {
    const struct api_node *node = call->api->node;
    struct store_health health;
    char seal[SEAL_SIZE];
    store_health(node->store, &health);
    const struct desk_state state = {
        .is_ready = health.reads && health.writes,
        .drains = atomic_load_explicit(&node->draining, memory_order_relaxed),
        .reason = health.reason,
    };
    struct json_writer *w = call_begin_json(call);
    enum err_e err = node->desk == NULL
                         ? ERR_UNAUTHORIZED
                         : desk_answer(node->desk, http_field(call->request, INQUIRY_ASK_FIELD),
                                       &state, w->to, seal);
    if (err != ERR_OK) {
        struct problem problem;
        call_fail(call, problem_set(&problem, err, INQUIRY_ASK_FIELD,
                                    "is not signed by this cluster, too old, or known already"),
                  &problem);
        return;
    }
    http_add_field(call->request, INQUIRY_SEAL_FIELD, slice_of(seal));
    call_reply_json(call, 200);
}

void handle_openapi(struct call *call) {
    http_add_field(call->request, "cache-control", SLICE_LIT("public, max-age=300"));
    http_reply(call->request, 200, "application/json", api_openapi());
}
