/* SPDX-License-Identifier: Apache-2.0 */
/* The doubles, in the order of the units they stand for. */
#include "doubles.h"

#include "base/assert.h"
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

/* --- io/loop --- */

struct loop {
    struct virtual_clock *clock;
    struct loop_message *first, **last;
};

void loop_post(struct loop *loop, struct loop_message *message) {
    message->link.next = NULL;
    *loop->last = message;
    loop->last = (struct loop_message **)(void *)&message->link.next;
}

bool loop_is_current(const struct loop *loop) {
    (void)loop;
    return true; /* there is one thread */
}

int64_t loop_now_us(struct loop *loop) {
    return loop->clock->now_mono_us;
}

int loop_index(const struct loop *loop) {
    (void)loop;
    return 0;
}

/* Nothing beats here: time moves only when a test moves it. */
struct loop_timer {
    loop_fn fn;
};

struct loop_timer *loop_timer_start(struct loop *loop, int64_t first_ms, int64_t every_ms,
                                    loop_fn fn, void *data) {
    (void)loop;
    (void)first_ms;
    (void)every_ms;
    (void)data;
    struct loop_timer *timer = calloc(1, sizeof *timer);
    ASSERT(timer != NULL);
    timer->fn = fn;
    return timer;
}

void loop_timer_stop(struct loop_timer *timer) {
    free(timer);
}

int64_t loop_wall_ms(struct loop *loop) {
    return loop->clock->now_wall_ms;
}

static struct message *asks_for_the_monitor(void);
static void answer_asks(struct message *asks);

static void turn_once(struct loop *loop) {
    while (loop->first != NULL) {
        struct loop_message *message = loop->first;
        loop->first = (struct loop_message *)message->link.next;
        if (loop->first == NULL) {
            loop->last = &loop->first;
        }
        message->fn(message);
    }
}

/* The monitor has no thread here: it answers between two turns. */
static void turn(struct loop *loop) {
    turn_once(loop);
    for (struct message *asks; (asks = asks_for_the_monitor()) != NULL;) {
        answer_asks(asks);
        turn_once(loop);
    }
}

/* --- store --- */

static void fake_submit(struct store *base, struct store_op *op) {
    struct fake_store *store = (struct fake_store *)base;
    store->count++;
    store->last = op->kind;
    if (store->script != NULL) {
        store->script(op);
    }
    op->done(op);
}

static void fake_health(struct store *base, struct store_health *ret_health) {
    *ret_health = ((struct fake_store *)base)->health;
}

static const struct store_vtable fake_vtable = {"fake", fake_submit, fake_health, NULL};

/* --- checkin --- */

static struct bench *present; /* whose check-in and monitor answer */

/* --- optimizer/service --- */

enum err_e db_service_submit(struct db_service *service, struct db_job *job) {
    static const char document[] = "{\"items\":[]}";
    struct fake_optimizer *fake = (struct fake_optimizer *)(void *)service;
    fake->count++;
    fake->kind = job->kind;
    fake->mode = job->mode;
    if (fake->refusal != ERR_OK) {
        return fake->refusal;
    }
    job->err = fake->err;
    job->len = sizeof document - 1;
    job->text = malloc(job->len);
    ASSERT(job->text != NULL);
    memcpy(job->text, document, job->len);
    loop_post(job->loop, &job->message);
    return ERR_OK;
}

void db_job_fini(struct db_job *job) {
    free(job->text);
}

static struct message *asks_for_the_monitor(void) {
    return monitor_take_asks(present->node.monitor);
}

static void answer_asks(struct message *asks) {
    monitor_turn(present->node.monitor, asks);
}

struct pending_scan {
    struct loop_message message;
    checkin_scan_fn done;
    void *owner;
};

static void answer_scan(struct loop_message *message) {
    struct pending_scan pending = *(struct pending_scan *)message;
    free(message);
    pending.done(&present->scan_result, pending.owner);
}

enum err_e checkin_scan(struct checkin *checkin, struct slice event, const struct scan *scan,
                        checkin_scan_fn done, void *owner) {
    (void)checkin;
    (void)event;
    struct pending_scan *pending = calloc(1, sizeof *pending);
    ASSERT(pending != NULL);
    *pending = (struct pending_scan){{.fn = answer_scan}, done, owner};
    present->scans++;
    present->last_scan = *scan;
    loop_post(present->loop, &pending->message);
    return ERR_OK;
}

struct checkin_batch {
    struct loop_message message;
    struct scan_result *results;
    checkin_batch_fn done;
    void *owner;
};

static void answer_batch(struct loop_message *message) {
    struct checkin_batch *batch = (struct checkin_batch *)message;
    batch->done(batch, batch->results, batch->owner);
}

size_t checkin_batches_max(const struct checkin *checkin) {
    (void)checkin;
    return 8;
}

enum err_e checkin_batch(struct checkin *checkin, struct slice event, const struct scan *scans,
                         const unsigned char *skip, size_t len, checkin_batch_fn done,
                         void *owner) {
    (void)checkin;
    (void)event;
    struct checkin_batch *batch = calloc(1, sizeof *batch);
    ASSERT(batch != NULL && (batch->results = calloc(len, sizeof *batch->results)) != NULL);
    batch->message.fn = answer_batch;
    batch->done = done;
    batch->owner = owner;
    for (size_t i = 0; i < len; i++) {
        if (skip[i] == 0) {
            batch->results[i] = present->scan_result;
            present->last_scan = scans[i];
            present->scans++;
        }
    }
    loop_post(present->loop, &batch->message);
    return ERR_OK;
}

void checkin_batch_free(struct checkin_batch *batch) {
    free(batch->results);
    free(batch);
}

/* --- http --- */

struct http_request {
    const struct sent *sent;
    struct arena arena;
    struct loop *loop;
    http_more_fn more;
    void *more_data;
    http_end_fn on_end;
    void *end_data;
    bool wants_more; /* `more` is owed a call */
    bool ended;
};

static struct answer answer;
static struct buf answer_body;

static struct slice text_or_none(const char *text) {
    return text == NULL ? SLICE_NONE : slice_of(text);
}

struct slice http_method(const struct http_request *request) {
    return slice_of(request->sent->method);
}

struct slice http_path(const struct http_request *request) {
    return slice_of(request->sent->path);
}

struct slice http_query(const struct http_request *request) {
    return text_or_none(request->sent->query);
}

struct slice http_field(const struct http_request *request, const char *lower_case_name) {
    const struct {
        const char *name, *value;
    } fields[] = {{"content-type", request->sent->type},
                  {"authorization", request->sent->authorization},
                  {"accept", request->sent->accept},
                  {"cookie", request->sent->cookie},
                  {"origin", request->sent->origin},
                  {"sec-fetch-site", request->sent->fetch_site},
                  {"host", request->sent->host}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(fields[i].name, lower_case_name) == 0) {
            return text_or_none(fields[i].value);
        }
    }
    return SLICE_NONE;
}

struct slice http_body(const struct http_request *request) {
    return text_or_none(request->sent->body);
}

struct slice http_id(const struct http_request *request) {
    (void)request;
    return SLICE_LIT("req-1");
}

struct slice http_trace(const struct http_request *request) {
    (void)request;
    return SLICE_NONE;
}

bool http_is_tls(const struct http_request *request) {
    return request->sent->is_tls;
}

struct slice http_client(const struct http_request *request) {
    return request->sent->peer == NULL ? SLICE_LIT("192.0.2.1") : slice_of(request->sent->peer);
}

struct arena *http_arena(struct http_request *request) {
    return &request->arena;
}

int64_t http_begun_us(const struct http_request *request) {
    return request->loop->clock->now_mono_us;
}

int64_t http_answered_us(const struct http_request *request) {
    return request->loop->clock->now_mono_us;
}

bool http_is_gone(const struct http_request *request) {
    (void)request;
    return false;
}

void http_on_end(struct http_request *request, http_end_fn fn, void *data) {
    request->on_end = fn;
    request->end_data = data;
}

void http_add_field(struct http_request *request, const char *lower_case_name,
                    struct slice value) {
    (void)request;
    size_t len = strlen(answer.fields);
    snprintf(answer.fields + len, sizeof answer.fields - len, "%s: %.*s\n", lower_case_name,
             SLICE_ARG(value));
}

static void begin_answer(int status, const char *content_type) {
    ASSERT(answer.status == 0); /* one answer a request */
    answer.status = status;
    snprintf(answer.type, sizeof answer.type, "%s", content_type == NULL ? "" : content_type);
}

static void end_answer(struct http_request *request) {
    ASSERT(!request->ended);
    request->ended = true;
    if (request->on_end != NULL) {
        request->on_end(request, answer.status, answer_body.len, request->end_data);
    }
}

void http_reply(struct http_request *request, int status, const char *content_type,
                struct slice body) {
    begin_answer(status, content_type);
    buf_add(&answer_body, body);
    end_answer(request);
}

void http_begin(struct http_request *request, int status, const char *content_type,
                http_more_fn more, void *data) {
    begin_answer(status, content_type);
    request->more = more;
    request->more_data = data;
    request->wants_more = true;
}

void http_write(struct http_request *request, struct slice piece, enum http_piece_e what) {
    buf_add(&answer_body, piece);
    answer.pieces++;
    request->wants_more = what == HTTP_MORE;
    if (what != HTTP_MORE) {
        answer.broken = what == HTTP_BROKEN;
        end_answer(request);
    }
}

/* --- the bench --- */

enum { REQUEST_MEMORY = 64 << 20, ANSWER_MAX = 64 << 20 };

void bench_open(struct bench *bench, enum api_auth_e auth) {
    *bench = (struct bench){
        .store = {.base = {&fake_vtable}, .health = {true, true, ""}},
        .node = {.auth = auth, .store_deadline_ms = 1000, .session_ms = 3600000, .ops_max = 64,
                 .version = "test", .has_events = true},
    };
    virtual_clock_init(&bench->clock, 1764000000000);
    seeded_rng_init(&bench->rng, 1);
    bench->node.store = &bench->store.base;
    bench->node.clock = &bench->clock.base;
    bench->node.rng = &bench->rng.base;
    bench->node.optimizer = (struct db_service *)(void *)&bench->optimizer;
    bench->loop = calloc(1, sizeof *bench->loop);
    ASSERT(bench->loop != NULL);
    bench->loop->clock = &bench->clock;
    bench->loop->last = &bench->loop->first;
    bench->node.monitor = monitor_create(&(struct monitor_options){
        .clock = &bench->clock.base,
        .loops = 1,
        .routes = api_route_count(),
        .route_name = api_route_name,
        .route_is_api = api_route_is_api,
        .node = "test",
        .url = "http://test",
        .version = "test",
        .root = "/nowhere",
    });
    ASSERT(bench->node.monitor != NULL);
    bench->api = api_create(bench->loop, &bench->node, &bench->store.base, NULL);
    ASSERT(bench->api != NULL);
    buf_init(&answer_body, ANSWER_MAX);
    present = bench;
}

void bench_close(struct bench *bench) {
    turn(bench->loop);
    ASSERT(api_is_idle(bench->api));
    api_destroy(bench->api);
    monitor_destroy(bench->node.monitor);
    free(bench->loop);
    buf_fini(&answer_body);
    present = NULL;
}

void bench_advance(struct bench *bench, int64_t ms) {
    virtual_clock_advance(&bench->clock, ms);
}

const struct answer *bench_send(struct bench *bench, const struct sent *sent) {
    struct http_request request = {.sent = sent, .loop = bench->loop};
    arena_init(&request.arena, REQUEST_MEMORY);
    buf_clear(&answer_body);
    answer = (struct answer){.status = 0};
    api_handle(&request, bench->api);
    turn(bench->loop);
    while (!request.ended) {
        ASSERT(request.wants_more); /* else the request was forgotten */
        request.wants_more = false;
        request.more(&request, request.more_data);
        turn(bench->loop);
    }
    arena_fini(&request.arena);
    buf_add_char(&answer_body, '\0');
    answer.body = answer_body.at;
    return &answer;
}

const struct answer *bench_get(struct bench *bench, const char *path, const char *query) {
    return bench_send(bench, &(struct sent){.method = "GET", .path = path, .query = query});
}

const struct answer *bench_post(struct bench *bench, const char *path, const char *body) {
    return bench_send(bench, &(struct sent){.method = "POST", .path = path, .body = body});
}
