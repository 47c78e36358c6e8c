/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include "base/assert.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETRY_FIRST_MS = 100, RETRY_MOST_MS = 2000, PROGRESS_S = 5 };
#define NS 1e9
#define STEP_NS 100000000LL /* the longest that a turn sleeps */

static double least(double a, double b) {
    return a < b ? a : b;
}

/* ── jobs that wait for another try: a binary heap, the earliest first ── */

static void heap_swap(struct retries *waiting, size_t a, size_t b) {
    struct job *kept = waiting->heap[a];
    waiting->heap[a] = waiting->heap[b];
    waiting->heap[b] = kept;
}

static void heap_add(struct retries *waiting, struct job *job) {
    if (waiting->len == waiting->size) {
        waiting->size = waiting->size == 0 ? 1024 : waiting->size * 2;
        waiting->heap = realloc(waiting->heap, waiting->size * sizeof(struct job *));
        ASSERT(waiting->heap != NULL);
    }
    size_t at = waiting->len++;
    waiting->heap[at] = job;
    while (at > 0 && waiting->heap[(at - 1) / 2]->due_ns > job->due_ns) {
        heap_swap(waiting, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static struct job *heap_take(struct retries *waiting) {
    struct job *job = waiting->heap[0];
    waiting->heap[0] = waiting->heap[--waiting->len];
    for (size_t at = 0;;) {
        size_t next = 2 * at + 1;
        if (next + 1 < waiting->len &&
            waiting->heap[next + 1]->due_ns < waiting->heap[next]->due_ns) {
            next++;
        }
        if (next >= waiting->len || waiting->heap[at]->due_ns <= waiting->heap[next]->due_ns) {
            return job;
        }
        heap_swap(waiting, at, next);
        at = next;
    }
}

/* ── jobs ── */

static struct job *job_borrow(struct run *run) {
    struct job *job = run->free_jobs;
    if (job == NULL) {
        job = malloc(sizeof *job);
        ASSERT(job != NULL);
    } else {
        run->free_jobs = job->next;
    }
    run->outstanding++;
    return job;
}

static void job_give_back(struct run *run, struct job *job) {
    job->next = run->free_jobs;
    run->free_jobs = job;
    run->outstanding--;
}

static bool is_upload(const struct run *run, const struct job *job) {
    return run->load.streams[job->stream].lines > 1;
}

static void submit(struct run *run, const struct job *like) {
    struct job *job = job_borrow(run);
    *job = *like;
    client_submit(&run->client, job);
}

/* Scans that were sent are in the ledger, without an answer; an upload may never have been. */
static void give_up(struct run *run, struct job *job) {
    if (job->count == 0 && is_upload(run, job)) {
        ledger_fault(&run->ledger, FAULT_UNANSWERED, "an upload was never sent");
    }
    job_give_back(run, job);
}

static void ask_again(struct run *run, struct job *job, int retry_after_s) {
    if (run->is_over) {
        give_up(run, job);
        return;
    }
    double wait_ms = least(RETRY_FIRST_MS * pow(2, job->tries), RETRY_MOST_MS);
    wait_ms = fmax(wait_ms, least(retry_after_s * 1000.0, RETRY_MOST_MS));
    wait_ms *= 0.75 + rng_unit(&run->rng.base) / 2; /* so that a crowd does not come back at once */
    job->tries++;
    job->due_ns = run->client.now_ns + (int64_t)(wait_ms * 1e6);
    run->retries++;
    heap_add(&run->waiting, job);
}

/* ── from arrivals to scans and jobs ── */

static enum expect_e expectation(const struct load *load, enum kind_e kind) {
    enum expect_e comes_in = load->capacity >= 0 ? EXPECT_ROOM : EXPECT_ADMITTED;
    if (kind == KIND_EXIT) {
        return EXPECT_EXITED;
    }
    if (kind == KIND_WRONG_GATE) {
        return EXPECT_WRONG_GATE;
    }
    if (kind == KIND_UNKNOWN_TOKEN) {
        return EXPECT_UNKNOWN_TOKEN;
    }
    if (kind == KIND_DUPLICATE) {
        return load->reentry == REENTRY_ALWAYS ? EXPECT_ADMITTED : EXPECT_ALREADY_USED;
    }
    if (kind == KIND_DOUBLE_TAP && load->reentry != REENTRY_ALWAYS) {
        return EXPECT_ONE;
    }
    return comes_in;
}

struct moment {
    int64_t planned_ns;
    int64_t scanned_ms;
};

static uint32_t note_scan(struct run *run, const struct stream *stream, const struct turn *turn,
                          const struct moment *moment, enum direction_e direction) {
    bool is_exit = direction == DIRECTION_EXIT;
    return ledger_add(&run->ledger, &(struct sent){
        .planned_ns = moment->planned_ns,
        .scanned_ms = crowd_stamp(&run->crowd, turn->person, moment->scanned_ms),
        .person = turn->person, .gate = turn->gate, .kind = (uint8_t)turn->kind,
        .direction = (uint8_t)direction, .method = (uint8_t)stream->method,
        .expect = (uint8_t)expectation(&run->load, is_exit ? KIND_EXIT : turn->kind)});
}

/* The scans of one turn; the number of the first. */
static uint32_t note_turn(struct run *run, const struct stream *stream, const struct turn *turn,
                          const struct moment *moment) {
    uint32_t first = note_scan(run, stream, turn, moment,
                               turn->kind == KIND_EXIT ? DIRECTION_EXIT : DIRECTION_ENTRY);
    if (turn->kind == KIND_DOUBLE_TAP || turn->kind == KIND_VISIT) {
        uint32_t second = note_scan(run, stream, turn, moment, turn->kind == KIND_VISIT
                                                                   ? DIRECTION_EXIT
                                                                   : DIRECTION_ENTRY);
        ledger_pair(&run->ledger, first, second);
    }
    return first;
}

static int64_t wall_ms_of(const struct run *run, int64_t ns) {
    return run->begun_wall_ms + (ns - run->begun_ns) / 1000000;
}

static void plan_single(struct run *run, const struct stream *stream, struct job *job) {
    struct turn turn = crowd_turn(&run->crowd, stream);
    job->kind = (uint8_t)turn.kind;
    if (kind_is_read(turn.kind)) {
        submit(run, job);
        return;
    }
    struct moment moment = {job->planned_ns, wall_ms_of(run, job->planned_ns)};
    job->first = note_turn(run, stream, &turn, &moment);
    job->count = 1;
    submit(run, job);
    if (turn.kind == KIND_DOUBLE_TAP) {
        job->first++;
        submit(run, job);
    } else if (turn.kind == KIND_RESEND) {
        submit(run, job);
    }
}

/* A queue of scans that a device made while it was offline, spread over queued_s. Filled when it is
 * sent: people in uploads that wait would be missing in the others. */
static void fill_upload(struct run *run, struct job *job) {
    const struct stream *stream = &run->load.streams[job->stream];
    uint32_t lines = (uint32_t)stream->lines;
    int64_t now_ms = wall_ms_of(run, run->client.now_ns);
    job->first = run->ledger.len;
    for (uint32_t line; (line = run->ledger.len - job->first) < lines;) {
        double back_ms = stream->queued_s * 1000 * (lines - line) / lines;
        struct turn turn = crowd_turn(&run->crowd, stream);
        note_turn(run, stream, &turn,
                  &(struct moment){job->planned_ns, now_ms - (int64_t)back_ms});
    }
    job->count = run->ledger.len - job->first;
}

static void plan(struct run *run, size_t number, int64_t planned_ns) {
    const struct stream *stream = &run->load.streams[number];
    struct job job = {.planned_ns = planned_ns, .stream = (uint8_t)number,
                      .salt = (uint32_t)rng_u64(&run->rng.base)};
    run->planned += planned_ns >= run->counts_from_ns;
    if (stream->lines > 1) {
        submit(run, &job);
    } else {
        plan_single(run, stream, &job);
    }
}

/* ── requests ── */

/* Where a read goes, below the event. */
static void add_path(const struct run *run, const struct job *job, struct buf *to) {
    const struct ledger *ledger = &run->ledger;
    uint32_t person = job->salt % (uint32_t)run->load.people;
    char since[TIME_TEXT_SIZE], until[TIME_TEXT_SIZE], token[NONCE_SIZE];
    switch ((enum kind_e)job->kind) {
    case KIND_READ_GATES:
        buf_add_text(to, "/gates");
        return;
    case KIND_READ_STATS:
        buf_add_text(to, "/stats");
        return;
    case KIND_READ_TIMELINE:
        time_format(run->begun_wall_ms - 3600000, since);
        time_format(wall_ms_of(run, job->planned_ns) + 60000, until);
        buf_printf(to, "/stats/timeline?since=%s&until=%s&step=60", since, until);
        return;
    case KIND_READ_HISTORY:
        buf_printf(to, "/attendance?limit=20&gate=g%02u",
                   (unsigned)(job->salt % (uint32_t)run->load.gates) + 1);
        return;
    case KIND_READ_SEARCH:
        buf_printf(to, "/participants?limit=20&q=visitor%%20%05" PRIu32, person / 10);
        return;
    case KIND_READ_PARTICIPANT:
        ledger_token(ledger, person, token);
        buf_printf(to, "/participants?token=%s", token);
        return;
    case KIND_READ_EVENT:
    case KIND_READ_PERFORMANCE:
    case KIND_ENTRY:
    case KIND_EXIT:
    case KIND_DUPLICATE:
    case KIND_DOUBLE_TAP:
    case KIND_RESEND:
    case KIND_WRONG_GATE:
    case KIND_UNKNOWN_TOKEN:
    case KIND_VISIT:
    case KIND_COUNT:
        return;
    }
}

static void add_fields(const struct run *run, const struct target *target, struct buf *to) {
    buf_printf(to, "Host: %s:%d\r\n", target->host, target->port);
    if (run->options->key[0] != '\0') {
        buf_printf(to, "Authorization: Bearer %s\r\n", run->options->key);
    }
}

static void build_read(struct run *run, const struct job *job, const struct target *target,
                       struct buf *to) {
    if (job->kind == KIND_READ_PERFORMANCE) {
        buf_add_text(to, "GET /v1/performance");
    } else {
        buf_printf(to, "GET /v1/events/%s", run->options->event);
        add_path(run, job, to);
    }
    buf_add_text(to, " HTTP/1.1\r\n");
    add_fields(run, target, to);
    buf_add_text(to, "\r\n");
}

static void note_sent(struct run *run, const struct job *job) {
    for (uint32_t i = 0; i < job->count; i++) {
        struct sent *sent = &run->ledger.scans[job->first + i];
        sent->tries = (uint8_t)(sent->tries < UINT8_MAX ? sent->tries + 1 : UINT8_MAX);
    }
    if (job->tries == 0 && job->planned_ns >= run->counts_from_ns) {
        histogram_record(&run->lags,
                         (uint64_t)((run->client.now_ns - job->planned_ns) / 1000));
    }
}

static void build_request(void *data, struct job *job, const struct target *target,
                          struct buf *to) {
    struct run *run = data;
    bool has_lines = is_upload(run, job);
    if (has_lines && job->count == 0) {
        fill_upload(run, job);
    }
    note_sent(run, job);
    if (job->count == 0) {
        build_read(run, job, target, to);
        return;
    }
    buf_clear(&run->body);
    for (uint32_t i = 0; i < job->count; i++) {
        ledger_add_scan(&run->ledger, job->first + i, &run->body);
        if (has_lines) {
            buf_add_char(&run->body, '\n');
        }
    }
    ASSERT(!run->body.failed);
    buf_printf(to, "POST /v1/events/%s/checkins%s HTTP/1.1\r\n", run->options->event,
               has_lines ? ":batch" : "");
    add_fields(run, target, to);
    buf_printf(to, "Content-Type: application/%s\r\nContent-Length: %zu\r\n\r\n",
               has_lines ? "x-ndjson" : "json", run->body.len);
    buf_add(to, buf_slice(&run->body));
}

/* ── answers ── */

/* Where somebody is once every scan of their turn is answered. */
static void settle(struct run *run, uint32_t number) {
    const struct sent *sent = &run->ledger.scans[number];
    const struct sent *other = sent->pair == SCAN_NONE ? NULL : &run->ledger.scans[sent->pair];
    if (other != NULL && other->record_id == 0) {
        return;
    }
    bool comes_in = sent->verdict == VERDICT_ADMITTED ||
                    (other != NULL && other->verdict == VERDICT_ADMITTED);
    bool is_inside = (comes_in && sent->kind != KIND_VISIT) || sent->kind == KIND_DUPLICATE;
    struct turn turn = {.kind = (enum kind_e)sent->kind, .person = sent->person};
    crowd_settle(&run->crowd, &turn, is_inside ? CROWD_INSIDE : CROWD_OUTSIDE);
}

static void measure(struct run *run, enum kind_e kind, int64_t planned_ns, int64_t now_ns) {
    uint64_t us = (uint64_t)((now_ns - planned_ns) / 1000);
    if (!kind_is_read(kind)) {
        histogram_record(&run->samples.interval, us);
    }
    if (planned_ns < run->counts_from_ns) {
        return;
    }
    run->kinds[kind].done++;
    histogram_record(&run->kinds[kind].times, us);
    if (!kind_is_read(kind)) {
        histogram_record(&run->scans, us);
        run->slow += (double)us >= run->slow_ms * 1000;
    }
}

static void take_verdict(struct run *run, uint32_t number, const struct reply *reply,
                         int64_t now_ns) {
    if (ledger_answer(&run->ledger, number, reply) == LEDGER_FIRST) {
        const struct sent *sent = &run->ledger.scans[number];
        settle(run, number);
        measure(run, (enum kind_e)sent->kind, sent->planned_ns, now_ns);
    }
}

static bool code_is_retryable(const char *code) {
#define X(name, status, retryable, text, remedy) {text, retryable},
    static const struct {
        const char *code;
        bool is_retryable;
    } codes[] = {ERR_TABLE(X)};
#undef X
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(codes[i].code, code) == 0) {
            return codes[i].is_retryable;
        }
    }
    return false;
}

/* Lines of an upload that were not decided go into uploads of their own, neighbours together. */
struct rest {
    const struct job *job; /* the upload that they were in */
    uint32_t first, count;
};

static void ask_rest_again(struct run *run, struct rest *rest) {
    if (rest->count > 0) {
        struct job *again = job_borrow(run);
        *again = *rest->job;
        again->first = rest->first;
        again->count = rest->count;
        ask_again(run, again, 1);
    }
    rest->count = 0;
}

static void take_line(struct run *run, struct rest *rest, uint32_t line, struct slice text,
                      int64_t now_ns) {
    uint32_t number = rest->job->first + line;
    struct reply reply;
    if (!reply_parse(text, &reply) || reply.index != line) {
        ledger_fault(&run->ledger, FAULT_BROKEN, "line %" PRIu32 " of an upload: %.*s", line,
                     (int)least(200, (double)text.len), text.at);
        return;
    }
    if (reply.code[0] == '\0') {
        take_verdict(run, number, &reply, now_ns);
        return;
    }
    if (!code_is_retryable(reply.code)) {
        ledger_fault(&run->ledger, FAULT_BROKEN, "scan %" PRIu32 ": %s", number, reply.code);
        return;
    }
    if (rest->count > 0 && rest->first + rest->count != number) {
        ask_rest_again(run, rest);
    }
    rest->first = rest->count == 0 ? number : rest->first;
    rest->count++;
}

static void take_upload(struct run *run, struct job *job, const struct result *result) {
    struct slice body = result->body, text;
    struct rest rest = {.job = job};
    uint32_t line = 0;
    while (line < job->count && slice_next(&body, '\n', &text)) {
        take_line(run, &rest, line++, text, result->now_ns);
    }
    ask_rest_again(run, &rest);
    if (line < job->count || body.len > 0) {
        ledger_fault(&run->ledger, FAULT_BROKEN, "%" PRIu32 " lines answer an upload of %" PRIu32,
                     line, job->count);
    }
    job_give_back(run, job);
}

static void take_decided(struct run *run, struct job *job, const struct result *result) {
    struct reply reply;
    if (is_upload(run, job)) {
        take_upload(run, job, result);
        return;
    }
    if (job->count == 0) {
        measure(run, (enum kind_e)job->kind, job->planned_ns, result->now_ns);
    } else if (reply_parse(result->body, &reply) && reply.code[0] == '\0') {
        take_verdict(run, job->first, &reply, result->now_ns);
    } else {
        ledger_fault(&run->ledger, FAULT_BROKEN, "an answer that is no verdict: %.*s",
                     (int)least(200, (double)result->body.len), result->body.at);
    }
    job_give_back(run, job);
}

static bool status_is_retryable(int status) {
    return status == 503 || status == 502 || status == 504 || status == 429;
}

static void finish_job(void *data, struct job *job, const struct result *result) {
    struct run *run = data;
    bool is_answered = result->outcome == OUTCOME_ANSWERED;
    int status = is_answered ? result->status : 0;
    bool counts = job->planned_ns >= run->counts_from_ns;
    run->statuses[status > 0 && status < STATUSES_MAX ? status : 0] += counts;
    if (status == 200) {
        take_decided(run, job, result);
        return;
    }
    run->kinds[job->kind].failed += counts;
    if (is_answered && !status_is_retryable(status)) {
        ledger_fault(&run->ledger, FAULT_BROKEN, "%s was answered %d: %.*s",
                     kind_text((enum kind_e)job->kind), status,
                     (int)least(200, (double)result->body.len), result->body.at);
        job_give_back(run, job);
    } else if (job->count == 0 && !is_upload(run, job)) { /* who looks asks anew by themselves */
        job_give_back(run, job);
    } else {
        ask_again(run, job, result->retry_after_s);
    }
}

/* ── life ── */

static bool open_streams(struct run *run) {
    size_t connections[STREAMS_MAX], total = 0;
    for (size_t i = 0; i < run->load.streams_len; i++) {
        connections[i] = (size_t)run->load.streams[i].connections;
        total += connections[i];
    }
    if (total > LOAD_CONNECTIONS_MAX) {
        fprintf(stderr, "loadgen: %zu connections, %d at most\n", total, LOAD_CONNECTIONS_MAX);
        return false;
    }
    return client_init(&run->client, connections, run->load.streams_len);
}

/* The load as its file says it, and then as the options do. */
static bool read_load(struct run *run) {
    const struct options *options = run->options;
    struct buf errors;
    buf_init(&errors, 64 << 10);
    bool is_good = load_read(&run->load, options->load, &errors);
    if (is_good && !load_scale(&run->load, options->scale)) {
        buf_printf(&errors, "loadgen: not a scale of this load: %s\n", options->scale);
    }
    if (is_good && options->connections != NULL &&
        !load_connections(&run->load, options->connections)) {
        buf_printf(&errors, "loadgen: not connections of this load: %s\n", options->connections);
    }
    fprintf(stderr, "%.*s", SLICE_ARG(buf_slice(&errors)));
    is_good = is_good && errors.len == 0;
    buf_fini(&errors);
    run->load.people = options->people > 0 ? options->people : run->load.people;
    return is_good;
}

bool run_init(struct run *run, const struct options *options) {
    *run = (struct run){.options = options};
    if (!read_load(run)) {
        return false;
    }
    uint64_t seed = (uint64_t)options->seed;
    seeded_rng_init(&run->rng, seed);
    buf_init(&run->body, 32 << 20);
    run->begun_ns = client_clock_ns();
    run->begun_wall_ms = clock_wall_ms(clock_system());
    run->client.calls = (struct client_calls){build_request, finish_job, run};
    run->client.timeout_ns = (int64_t)(options->timeout_s * NS);
    if (!targets_parse(options->targets, run->client.targets, &run->client.targets_len)) {
        fprintf(stderr, "loadgen: not http://ADDRESS:PORT,…: %s\n", options->targets);
        return false;
    }
    if (!samples_watch(&run->samples, options->watch)) {
        fprintf(stderr, "loadgen: not a list of process ids: %s\n", options->watch);
        return false;
    }
    return ledger_init(&run->ledger, &run->load, options->tag) &&
           crowd_init(&run->crowd, &run->load, seed + 1) && open_streams(run);
}

void run_fini(struct run *run) {
    while (run->free_jobs != NULL) {
        struct job *job = run->free_jobs;
        run->free_jobs = job->next;
        free(job);
    }
    free(run->waiting.heap);
    buf_fini(&run->body);
    client_fini(&run->client);
    crowd_fini(&run->crowd);
    ledger_fini(&run->ledger);
}

bool run_connect(struct run *run) {
    int64_t end_ns = client_clock_ns() + (int64_t)(run->options->patience_s * NS);
    while (run->client.open < run->client.connections_len) {
        if (client_clock_ns() > end_ns) {
            fprintf(stderr, "loadgen: %zu of %zu connections after %g s\n", run->client.open,
                    run->client.connections_len, run->options->patience_s);
            return false;
        }
        client_turn(&run->client, client_clock_ns() + STEP_NS);
    }
    return true;
}

/* ── playing ── */

static void forget(struct run *run) {
    memset(run->kinds, 0, sizeof run->kinds);
    memset(run->statuses, 0, sizeof run->statuses);
    memset(&run->scans, 0, sizeof run->scans);
    memset(&run->lags, 0, sizeof run->lags);
    run->planned = 0;
    run->retries = 0;
    run->slow = 0;
}

static bool is_enough(const struct run *run, const struct phase *phase) {
    return *run->options->is_told_to_end != 0 ||
           (phase->slow_most > 0 && (double)run->slow > phase->slow_most);
}

/* The next planned time of any stream, after everything that is due has been planned. */
static double plan_due(struct run *run, const struct phase *phase, int64_t start_ns,
                       double now_s) {
    double next_s = INFINITY;
    if (is_enough(run, phase)) {
        return next_s;
    }
    for (size_t i = 0; i < run->load.streams_len; i++) {
        while (run->next_s[i] <= now_s) {
            plan(run, i, start_ns + (int64_t)(run->next_s[i] * NS));
            run->next_s[i] = arrivals_next(&run->arrivals[i]);
        }
        next_s = least(next_s, run->next_s[i]);
    }
    return next_s;
}

static void retry_due(struct run *run) {
    int64_t now_ns = client_clock_ns();
    while (run->waiting.len > 0 && run->waiting.heap[0]->due_ns <= now_ns) {
        client_submit(&run->client, heap_take(&run->waiting));
    }
}

static void begin_streams(struct run *run, const struct phase *phase, int64_t start_ns) {
    for (size_t i = 0; i < run->load.streams_len; i++) {
        struct arrivals *arrivals = &run->arrivals[i];
        arrivals_init(arrivals, &run->load.streams[i].curve, rng_u64(&run->rng.base));
        arrivals->factor = phase->factor;
        arrivals->stretch = phase->seconds / run->load.seconds;
        arrivals->end_s = run->load.seconds;
        for (double n = 0; n < run->load.streams[i].burst; n++) {
            plan(run, i, start_ns);
        }
        run->next_s[i] = arrivals_next(arrivals);
    }
}

static void show_progress(struct run *run, double now_s) {
    if (run->options->keeps_quiet || now_s < run->shown_s) {
        return;
    }
    run->shown_s = now_s + PROGRESS_S;
    fprintf(stderr, "%6.0f s  %zu connections, %" PRIu32 " scans acknowledged, %" PRIu64
                    " under way\n",
            now_s, run->client.open, run->ledger.acknowledged, run->outstanding);
}

static void abandon(struct run *run) {
    run->is_over = true;
    client_abandon(&run->client);
    while (run->waiting.len > 0) {
        give_up(run, heap_take(&run->waiting));
    }
}

/* Until when there is nothing to plan and nothing to ask again. */
static int64_t next_moment(const struct run *run, int64_t start_ns, double next_s) {
    int64_t until_ns = client_clock_ns() + STEP_NS;
    int64_t planned_ns = isfinite(next_s) ? start_ns + (int64_t)(next_s * NS) : INT64_MAX;
    int64_t retry_ns = run->waiting.len > 0 ? run->waiting.heap[0]->due_ns : INT64_MAX;
    int64_t due_ns = planned_ns < retry_ns ? planned_ns : retry_ns;
    return due_ns < until_ns ? due_ns : until_ns;
}

void run_phase(struct run *run, const struct phase *phase) {
    forget(run);
    samples_begin(&run->samples, phase->seconds);
    run->shown_s = 0;
    run->slow_ms = phase->slow_ms;
    int64_t start_ns = client_clock_ns();
    run->client.now_ns = start_ns;
    run->counts_from_ns = start_ns + (int64_t)(phase->settle_s * NS);
    begin_streams(run, phase, start_ns);
    double give_up_s = phase->seconds + run->options->patience_s;
    for (;;) {
        double now_s = (double)(client_clock_ns() - start_ns) / NS;
        double next_s = plan_due(run, phase, start_ns, now_s);
        retry_due(run);
        samples_tick(&run->samples, now_s, run->client.open);
        show_progress(run, now_s);
        if ((isinf(next_s) && run->outstanding == 0) || now_s > give_up_s) {
            run->busy_s = now_s;
            break;
        }
        client_turn(&run->client, next_moment(run, start_ns, next_s));
    }
    if (run->outstanding > 0) {
        abandon(run);
    }
}

/* ── the highest rate ── */

static double quantile_ms(const struct histogram *histogram, double quantile) {
    static struct histogram_snapshot snapshot;
    snapshot = (struct histogram_snapshot){0};
    histogram_collect(histogram, &snapshot);
    return histogram_quantile(&snapshot, quantile) / 1000;
}

/* More scans than a probe of this rate has: two for each turn of a peak that lasts all the time. */
static double most_scans(const struct load *load, double rate, double seconds) {
    double most = 0;
    for (size_t i = 0; i < load->streams_len; i++) {
        const struct stream *stream = &load->streams[i];
        double peak = 0;
        for (size_t at = 0; at < stream->curve.len; at++) {
            peak = fmax(peak, stream->curve.points[at].rate);
        }
        double mean = peak * rate * seconds;
        most += 2 * stream->lines * (stream->burst + mean + 4 * sqrt(mean));
    }
    return most;
}

/* Once more scans are slow than the quantile leaves, the rate is known not to hold. */
static bool probe(struct run *run, const struct search *search, struct found *found,
                  double rate) {
    double seconds = search->settle_s + search->probe_s;
    double slow_most = (1 - search->quantile) * most_scans(&run->load, rate, seconds);
    run_phase(run, &(struct phase){.seconds = seconds, .settle_s = search->settle_s,
                                   .factor = rate, .slow_ms = search->limit_ms,
                                   .slow_most = slow_most});
    uint64_t failed = 0, done = 0;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        failed += run->kinds[kind].failed;
        done += run->kinds[kind].done;
    }
    struct probe *probe = &found->probes[found->len++];
    *probe = (struct probe){.rate = rate, .failed = failed,
                            .done_rate = (double)done / (run->busy_s - search->settle_s),
                            .p99_ms = quantile_ms(&run->scans, search->quantile)};
    probe->holds = done > 0 && failed == 0 && probe->p99_ms < search->limit_ms && !run->is_over &&
                   (slow_most <= 0 || (double)run->slow <= slow_most);
    if (!run->options->keeps_quiet) {
        fprintf(stderr, "%9.0f /s  %9.1f done /s  %8.2f ms  %s\n", rate, probe->done_rate,
                probe->p99_ms, probe->holds ? "holds" : "does not hold");
    }
    return probe->holds;
}

/* The load's, each rate for as long as --seconds says. */
static struct search asked_search(const struct run *run) {
    struct search search = run->load.search;
    if (run->options->seconds > 0) {
        search.settle_s *= run->options->seconds / search.probe_s;
        search.probe_s = run->options->seconds;
    }
    return search;
}

/* Up by half until it does not hold, then the middle between what holds and what does not; down to
 * an eighth of the first rate if that does not hold. A rate that fails is tried once more: one
 * hiccup of the machine is no limit. */
void run_search(struct run *run, struct found *ret_found) {
    const struct search search = asked_search(run);
    double low = 0, high = INFINITY, rate = search.from;
    *ret_found = (struct found){.len = 0};
    while (ret_found->len < PROBES_MAX - 2 && rate <= search.up_to && !run->is_over) {
        if (probe(run, &search, ret_found, rate) || probe(run, &search, ret_found, rate)) {
            low = rate;
        } else {
            high = rate;
        }
        bool is_near = low > 0 ? (high - low) / low <= search.step : high <= search.from / 8;
        if (isfinite(high) && is_near) {
            break;
        }
        rate = isinf(high) ? low * 1.5 : (low + high) / 2;
    }
    ret_found->rate = low;
}
