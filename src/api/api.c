/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of every request:
 *
 *   route ─► draining? ─► key ─► its scope and event ─► body's type and size ─► query ─► handler
 *
 * Each step answers itself when it says no, so a handler only sees what is allowed and well-formed.
 */
#include "api/api.h"

#include "act/order_book.h"
#include "api/access.h"
#include "api/call_priv.h"
#include "base/assert.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_EVERY_MS = 1000,
    SHED_RETRY_MAX_S = 30, /* it may end sooner than it has to */
};

static void op_fini(void *object) {
    struct api_op *op = object;
    if (op->is_ready) {
        store_op_fini(&op->op);
    }
}

static void look_for_slow(void *data);

static void stop_looking(struct api *api) {
    if (api->look != NULL) {
        loop_timer_stop(api->look);
    }
}

struct api *api_create(struct loop *loop, struct api_node *node, struct store *store,
                       struct checkin *checkin) {
    struct api *api = calloc(1, sizeof *api);
    if (api == NULL) {
        return NULL;
    }
    api->loop = loop;
    api->node = node;
    api->store = store;
    api->checkin = checkin;
    buf_init(&api->out, OUT_MAX);
    streams_init(&api->streams, api);
    if (MEASURING && node->monitor != NULL) { /* 0: for bench/run to compare with */
        api->cells = monitor_cells(node->monitor, (size_t)loop_index(loop));
        api->look = loop_timer_start(loop, LOOK_EVERY_MS, LOOK_EVERY_MS, look_for_slow, api);
        api->meter = (struct store_meter){api_store_seen, api->cells};
    }
    api->auth = auth_create(&(struct auth_options){
        .loop = loop,
        .store = store,
        .clock = node->clock,
        .rng = node->rng,
        .deadline_ms = &node->store_deadline_ms,
        .session_ms = &node->session_ms,
        .meter = api->meter,
    });
    bool can_look = api->cells == NULL || api->look != NULL;
    if (!can_look || api->auth == NULL ||
        !pool_init(&api->ops, sizeof(struct api_op), node->ops_max, op_fini)) {
        stop_looking(api);
        auth_destroy(api->auth);
        free(api);
        return NULL;
    }
    return api;
}

void api_destroy(struct api *api) {
    if (api == NULL) {
        return;
    }
    ASSERT(api_is_idle(api));
    stop_looking(api);
    pool_fini(&api->ops);
    auth_destroy(api->auth);
    streams_fini(&api->streams);
    buf_fini(&api->out);
    free(api);
}

bool api_is_idle(const struct api *api) {
    return api->waiting == 0 && api->ops.out == 0 && auth_is_idle(api->auth);
}

void api_yield(struct api *api) {
    streams_end_all(&api->streams);
}

void api_drain(struct api *api) {
    streams_drain(&api->streams);
}

void api_on_second(struct document *document, void *data) {
    streams_offer(document, &((struct api *)data)->streams);
}

/* ---- measuring ---- */

static double to_ms(int64_t us) {
    return (double)us / 1000;
}

static const char *route_name_of(const struct call *call) {
    return api_route_name(call->measured.route);
}

void api_store_seen(const struct store_op *op, void *owner, void *data) {
    struct call *call = owner;
    struct cells_request *measured = call == NULL ? NULL : &call->measured;
    cells_cache(measured, op);
    if (op->is_cached) {
        return; /* no store worked for it */
    }
    int64_t took_us = cells_query(data, measured, op);
    if (took_us <= SLOW_QUERY_US) {
        return;
    }
    struct slice id = call == NULL ? SLICE_LIT("none") : http_id(call->request);
    log_event(LOG_WARN, "slow_query",
              "req=%.*s route=\"%s\" operation=%s took_ms=%.1f queue_ms=%.1f store_ms=%.1f "
              "commit_ms=%.1f err=%s",
              SLICE_ARG(id), call == NULL ? "none" : route_name_of(call), store_op_text(op->kind),
              to_ms(took_us), to_ms(op->begun_us - op->submitted_us),
              to_ms(op->ended_us - op->begun_us - cells_commit_us(op)), to_ms(cells_commit_us(op)),
              err_code(op->err));
}

/* The trace id of a traceparent; "-" without one. */
static struct slice trace_of(const struct call *call) {
    enum { ID_AT = 3, ID_LEN = 32 };
    struct slice trace = http_trace(call->request);
    return trace.len == 0 ? SLICE_LIT("-") : slice_from(trace.at + ID_AT, ID_LEN);
}

/* Where the time of a slow request went; what the phases do not explain is the loop's own work. */
static void log_slow(const struct call *call, int status, int64_t took_us) {
    const struct cells_request *measured = &call->measured;
    int64_t receive_us = measured->handled_us - measured->begun_us;
    int64_t write_us = took_us - (http_answered_us(call->request) - measured->begun_us);
    int64_t rest_us = took_us - receive_us - measured->queue_us - measured->cache_us -
                      measured->store_us - measured->commit_us - write_us;
    log_event(LOG_WARN, "slow_request",
              "req=%.*s route=\"%s\" status=%d took_ms=%.1f receive_ms=%.1f queue_ms=%.1f "
              "cache_ms=%.1f store_ms=%.1f commit_ms=%.1f write_ms=%.1f rest_ms=%.1f peer=%.*s "
              "trace=%.*s",
              SLICE_ARG(http_id(call->request)), route_name_of(call), status, to_ms(took_us),
              to_ms(receive_us), to_ms(measured->queue_us), to_ms(measured->cache_us),
              to_ms(measured->store_us), to_ms(measured->commit_us), to_ms(write_us),
              to_ms(rest_us < 0 ? 0 : rest_us), SLICE_ARG(http_client(call->request)),
              SLICE_ARG(trace_of(call)));
}

static void log_hanging(struct cells_request *measured, int64_t age_us, void *data) {
    (void)data;
    const struct call *call =
        (const struct call *)(const void *)((char *)measured - offsetof(struct call, measured));
    log_event(LOG_WARN, "request_hangs",
              "req=%.*s route=\"%s\" age_ms=%.0f queue_ms=%.1f store_ms=%.1f answered=%s",
              SLICE_ARG(http_id(call->request)), route_name_of(call), to_ms(age_us),
              to_ms(measured->queue_us), to_ms(measured->store_us),
              http_answered_us(call->request) == 0 ? "no" : "yes");
}

static void look_for_slow(void *data) {
    const struct api *api = data;
    cells_look(api->cells, loop_now_us(api->loop), log_hanging, NULL);
}

static const char *method_word(struct slice method) {
    static const char *const known[] = {"GET",    "HEAD",    "POST", "PUT",
                                        "PATCH",  "DELETE",  "OPTIONS"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_eq_text(method, known[i])) {
            return known[i];
        }
    }
    return "other";
}

/* Nothing in it is a client's text but the request's id and the trace, whose characters are
 * checked: paths and queries may hold tokens, so the route stands for them. */
static void log_access(struct call *call, const struct cells_answer *answer) {
    char line[ACCESS_LINE_MAX], when[TIME_TEXT_SIZE];
    struct http_request *request = call->request;
    time_format(clock_wall_ms(call->api->node->clock), when);
    int len = snprintf(line, sizeof line,
                       "t=%s req=%.*s method=%s route=\"%s\" status=%d bytes=%zu took_ms=%.3f "
                       "scope=%s peer=%.*s trace=%.*s\n",
                       when, SLICE_ARG(http_id(request)), method_word(http_method(request)),
                       route_name_of(call), answer->status, answer->bytes,
                       to_ms(answer->now_us - call->measured.begun_us),
                       call->is_known ? key_scope_text(call->scope) : "-",
                       SLICE_ARG(http_client(request)), SLICE_ARG(trace_of(call)));
    ASSERT(len > 0 && (size_t)len < sizeof line);
    if (!access_write(call->api->node->access, slice_from(line, (size_t)len))) {
        counter_add(&call->api->cells->access_dropped, 1);
    }
}

static void end_measuring(struct http_request *request, int status, size_t bytes, void *data) {
    (void)request;
    struct call *call = data;
    struct cells_answer answer = {status, bytes, clock_mono_us(call->api->node->clock)};
    int64_t took_us = cells_end(call->api->cells, &call->measured, &answer);
    if (took_us > SLOW_REQUEST_US) {
        log_slow(call, status, took_us);
    }
    if (call->api->node->access != NULL) {
        log_access(call, &answer);
    }
}

static void begin_measuring(struct call *call, const struct route *route) {
    if (call->api->cells != NULL) {
        cells_begin(call->api->cells, &call->measured, route_index(route),
                    http_begun_us(call->request), loop_now_us(call->api->loop));
        http_on_end(call->request, end_measuring, call);
    }
}

/* ---- the steps ---- */

static struct slice find_media_field(struct call *call) {
    return http_field(call->request, "content-type");
}

static bool takes_media(enum route_body_e body, enum media_e media) {
    switch (body) {
    case BODY_NONE:
        return true;
    case BODY_JSON:
        return media == MEDIA_JSON || media == MEDIA_NONE;
    case BODY_NDJSON:
        return media == MEDIA_NDJSON || media == MEDIA_NONE;
    case BODY_IMPORT:
        return media == MEDIA_NDJSON || media == MEDIA_CSV;
    }
    UNREACHABLE();
}

static const char *media_wanted(enum route_body_e body) {
    switch (body) {
    case BODY_NONE:
        return "";
    case BODY_JSON:
        return "application/json";
    case BODY_NDJSON:
        return "application/x-ndjson";
    case BODY_IMPORT:
        return "text/csv or application/x-ndjson, in UTF-8";
    }
    UNREACHABLE();
}

static enum err_e check_body(struct call *call, struct problem *problem) {
    enum route_body_e body = call->route->body;
    if (!takes_media(body, media_of(find_media_field(call)))) {
        return problem_set(problem, ERR_UNSUPPORTED_TYPE, "content-type", "must be %s",
                           media_wanted(body));
    }
    size_t most = body == BODY_JSON || body == BODY_NONE ? JSON_BODY_MAX : BULK_BODY_MAX;
    if (http_body(call->request).len > most) {
        return problem_set(problem, ERR_TOO_LARGE, "body", "is longer than %zu bytes", most);
    }
    return ERR_OK;
}

static unsigned bit_of(enum key_scope_e scope) {
    switch (scope) {
    case SCOPE_SCANNER:
        return MAY_SCANNER;
    case SCOPE_ANALYST:
        return MAY_ANALYST;
    case SCOPE_METRICS:
        return MAY_METRICS;
    case SCOPE_ADMIN:
    case SCOPE_COUNT:
        break;
    }
    return 0;
}

static bool is_of_event(const struct route *route) {
    return strstr(route->path, "{event}") != NULL;
}

/* An event-bound key reaches its own event's routes and, where a route lists events, its own one;
 * and it may ask what it is. */
static enum err_e check_scope(const struct call *call, struct problem *problem) {
    bool is_bound = call->bound_event.len > 0;
    if (is_bound && is_of_event(call->route) && !slice_eq(call->bound_event, call->params[0])) {
        return problem_set(problem, ERR_UNKNOWN_EVENT, "event", "this key is for another event");
    }
    if (call->scope != SCOPE_ADMIN && (call->route->may & bit_of(call->scope)) == 0) {
        return problem_set(problem, ERR_WRONG_SCOPE, "", "a key of scope %s may not do this",
                           key_scope_text(call->scope));
    }
    if (is_bound && !is_of_event(call->route) && call->route->handle != handle_list_events &&
        call->route->handle != handle_read_session) {
        return problem_set(problem, ERR_WRONG_SCOPE, "", "a key of one event may not do this");
    }
    return ERR_OK;
}

static enum err_e check_input(struct call *call, struct problem *problem) {
    TRY(check_body(call, problem));
    TRY(query_parse(call->arena, http_query(call->request), &call->query, problem));
    if (is_of_event(call->route) && !code_is_valid(call->params[0])) {
        return ERR_UNKNOWN_EVENT;
    }
    return ERR_OK;
}

/* Everybody's list of people is analytics; somebody who is looked for stands at a door. */
static bool is_analytics(const struct call *call) {
    struct slice ignored;
    return (call->route->may & SHED) != 0 || (call->route->handle == handle_list_participants &&
                                              !query_get(&call->query, "token", &ignored) &&
                                              !query_get(&call->query, "q", &ignored));
}

static enum err_e check_shed(struct call *call) {
    const struct api_node *node = call->api->node;
    int64_t until_ms = node->orders == NULL ? 0 : order_book_shed_until(node->orders);
    if (until_ms == 0 || !is_analytics(call)) {
        return ERR_OK;
    }
    int64_t left_ms = until_ms - clock_wall_ms(node->clock);
    if (left_ms <= 0) {
        return ERR_OK;
    }
    int64_t left_s = (left_ms + 999) / 1000;
    call->retry_after_s = left_s < SHED_RETRY_MAX_S ? left_s : SHED_RETRY_MAX_S;
    call->measured.is_shed = true;
    return ERR_LOAD_SHED;
}

static void run(struct call *call) {
    struct problem problem = {.field = ""};
    enum err_e err = check_input(call, &problem);
    err = err == ERR_OK ? check_shed(call) : err;
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    call->route->handle(call);
}

static void run_as(struct call *call, enum key_scope_e scope, struct slice bound_event) {
    struct problem problem = {.field = ""};
    call->is_known = true;
    call->scope = scope;
    call->bound_event = bound_event;
    enum err_e err = check_scope(call, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    run(call);
}

static void on_auth(struct auth_request *auth) {
    struct call *call = auth->owner;
    call_end_waiting(call);
    if (auth->err != ERR_OK) {
        call_fail(call, auth->err, NULL);
        return;
    }
    run_as(call, auth->scope, auth->event);
}

static void authenticate(struct call *call) {
    if (call->api->node->auth == API_AUTH_OFF) {
        run_as(call, SCOPE_ADMIN, SLICE_NONE);
        return;
    }
    call->auth.header = http_field(call->request, "authorization");
    if (strcmp(call->route->method, "GET") == 0) { /* a session reads; see api/session.h */
        call->auth.session = session_of_cookies(http_field(call->request, "cookie"));
    }
    call->auth.peer = http_client(call->request);
    call->auth.done = on_auth;
    call->auth.owner = call;
    call_begin_waiting(call);
    auth_check(call->api->auth, &call->auth);
}

static void refuse_route(struct call *call, enum err_e err, const struct route_match *match) {
    bool asks_only = slice_eq_text(http_method(call->request), "OPTIONS");
    if (err == ERR_METHOD_NOT_ALLOWED) {
        http_add_field(call->request, "allow", slice_of(match->allow));
    }
    if (err == ERR_METHOD_NOT_ALLOWED && asks_only) {
        call_reply_empty(call, 204);
    } else {
        call_fail(call, err, NULL);
    }
}

static void dispatch(struct call *call) {
    struct route_match match;
    enum err_e err = route_find(call->arena, http_method(call->request),
                                http_path(call->request), &match);
    begin_measuring(call, match.route);
    if (err == ERR_OK && !call->api->node->has_events && route_is_of_events(match.route)) {
        err = ERR_NOT_FOUND;
    }
    if (err != ERR_OK) {
        refuse_route(call, err, &match);
        return;
    }
    call->route = match.route;
    memcpy(call->params, match.params, sizeof call->params);
    if ((match.route->may & MAY_OPEN) != 0) {
        run(call);
    } else if (atomic_load_explicit(&call->api->node->draining, memory_order_relaxed)) {
        call_fail(call, ERR_DRAINING, NULL);
    } else {
        authenticate(call);
    }
}

void api_handle(struct http_request *request, void *data) {
    struct api *api = data;
    struct arena *arena = http_arena(request);
    struct call *call = arena_zalloc(arena, sizeof *call);
    if (call == NULL) {
        http_add_field(request, "retry-after", SLICE_LIT("1"));
        http_reply(request, 503, "text/plain", SLICE_LIT("no memory\n"));
        return;
    }
    call->api = api;
    call->request = request;
    call->arena = arena;
#ifdef PLANT_LEAK
    static void *volatile kept;
    kept = memset(malloc(4096), 1, 4096);
#endif
    dispatch(call);
}
