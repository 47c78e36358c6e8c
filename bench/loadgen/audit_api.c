/* SPDX-License-Identifier: Apache-2.0 */
/* The books as the API shows them: scans asked again, the history page by page, the counts. */
#include "audit.h"

#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    PAGE = 1000,
    PAGE_ARENA_MAX = 64 << 20,
    PATH_SIZE = 1024,
    LAG_MS = 5000, /* a read may lag a second; more bounds a failure, it measures nothing */
    PAUSE_MS = 50,
};

/* ── scans asked again ── */

static bool replay(struct run *run, struct http *http, uint32_t number) {
    char path[PATH_SIZE];
    struct reply reply;
    snprintf(path, sizeof path, "/v1/events/%s/checkins", run->options->event);
    buf_clear(&run->body);
    ledger_add_scan(&run->ledger, number, &run->body);
    int status = http_ask(http, &(struct http_request){"POST", path, "application/json",
                                                       buf_slice(&run->body)});
    struct slice answer = buf_slice(&http->body);
    if (status != 200) {
        fprintf(stderr, "loadgen: scan %" PRIu32 " asked again: %d\n", number, status);
        return false;
    }
    if (!reply_parse(answer, &reply) || reply.code[0] != '\0') {
        ledger_fault(&run->ledger, FAULT_BROKEN, "scan %" PRIu32 " asked again: %.*s", number,
                     (int)(answer.len < 200 ? answer.len : 200), answer.at);
        return true;
    }
    ledger_answer(&run->ledger, number, &reply);
    if (!reply.replayed) {
        ledger_fault(&run->ledger, FAULT_REPLAYED, "scan %" PRIu32 " was decided a second time",
                     number);
    }
    return true;
}

bool audit_replays(struct run *run, struct http *http) {
    double step = fmax(1, run->ledger.len / fmax(1, run->options->replays));
    for (double at = 0; run->options->replays > 0 && at < run->ledger.len; at += step) {
        http->at = (http->at + 1) % http->targets_len; /* any node must know it */
        if (ledger_is_acknowledged(&run->ledger, (uint32_t)at) &&
            !replay(run, http, (uint32_t)at)) {
            return false;
        }
    }
    return true;
}

/* ── the history ── */

static bool read_id(const struct json_t *item, const char *key, int64_t *ret) {
    return slice_to_int(json_text_at(item, key, SLICE_NONE), 1, INT64_MAX, ret);
}

static bool read_record(const struct run *run, const struct json_t *item, struct record *ret) {
    *ret = (struct record){.reason = REASON_NONE};
    struct slice reason = json_text_at(item, "reason", SLICE_LIT("none"));
    const struct json_t *annulled = json_get(item, "annulled_at");
    const struct json_t *participant = json_get(item, "participant");
    ret->gate = audit_gate(run, json_text_at(item, "gate", SLICE_NONE));
    ret->is_annulled = annulled == NULL || json_kind(annulled) != JSON_KIND_NULL;
    bool has_person = participant == NULL || json_kind(participant) != JSON_KIND_NULL;
    return read_id(item, "record_id", &ret->id) &&
           (!has_person || read_id(item, "participant", &ret->participant)) &&
           verdict_parse(json_text_at(item, "verdict", SLICE_NONE), &ret->verdict) &&
           reason_parse(reason, &ret->reason) &&
           direction_parse(json_text_at(item, "direction", SLICE_NONE), &ret->direction) &&
           method_parse(json_text_at(item, "method", SLICE_NONE), &ret->method) &&
           time_parse(json_text_at(item, "scanned_at", SLICE_NONE), &ret->scanned_ms);
}

static const struct json_t *parse(struct arena *arena, const struct http *http) {
    struct json_t *page;
    struct problem problem;
    arena_reset(arena);
    return json_parse(arena, buf_slice(&http->body), &page, &problem) == ERR_OK ? page : NULL;
}

/* Percent-encodes what a query may not hold. */
static void add_escaped(struct buf *to, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        bool is_plain = strchr("-._~", text.at[i]) != NULL ||
                        (text.at[i] >= '0' && text.at[i] <= '9') ||
                        ((text.at[i] | 0x20) >= 'a' && (text.at[i] | 0x20) <= 'z');
        buf_printf(to, is_plain ? "%c" : "%%%02X", (unsigned char)text.at[i]);
    }
}

/* One page: its records are audited; the path of the next one goes to `path`, empty when it was the
 * last. */
static bool take_page(struct audit *audit, struct http *http, struct arena *arena,
                      struct buf *path) {
    struct record record;
    int status = http_get(http, path->at);
    const struct json_t *page = status == 200 ? parse(arena, http) : NULL;
    const struct json_t *items = json_get(page, "items");
    if (page == NULL || items == NULL) {
        fprintf(stderr, "loadgen: %s: %d, no page of records\n", path->at, status);
        return false;
    }
    for (size_t i = 0; i < json_count(items); i++) {
        if (!read_record(audit->run, json_at(items, i), &record)) {
            fprintf(stderr, "loadgen: %s: item %zu is no record\n", path->at, i);
            return false;
        }
        audit_record(audit, &record);
    }
    struct slice next = json_text_at(page, "next", SLICE_NONE);
    buf_clear(path);
    if (next.len > 0) {
        buf_printf(path, "/v1/events/%s/attendance?limit=%d&cursor=", audit->run->options->event,
                   PAGE);
        add_escaped(path, next);
    }
    buf_add_char(path, '\0');
    return true;
}

static bool take_history(struct audit *audit, struct http *http, struct arena *arena) {
    struct buf path;
    buf_init(&path, 64 << 10);
    buf_printf(&path, "/v1/events/%s/attendance?limit=%d", audit->run->options->event, PAGE);
    buf_add_char(&path, '\0');
    bool is_read = true;
    while (is_read && path.at[0] != '\0') {
        is_read = take_page(audit, http, arena, &path);
    }
    buf_fini(&path);
    return is_read;
}

/* ── the counts ── */

static int64_t count_of(const struct json_t *object, const char *name) {
    const struct json_t *value = json_get(object, name);
    return value != NULL && json_kind(value) == JSON_KIND_INTEGER ? json_int(value) : -2;
}

/* A gate that is not told has had nobody. */
static void read_gates(const struct run *run, const struct json_t *gates, struct counts *counts) {
    memset(counts->gates, 0, sizeof counts->gates);
    for (size_t i = 0; i < json_count(gates); i++) {
        const struct json_t *item = json_at(gates, i);
        int64_t gate = audit_gate(run, json_text_at(item, "gate", SLICE_NONE));
        if (gate >= 0) {
            counts->gates[gate] = (struct gate_counts){count_of(item, "admitted"),
                                                       count_of(item, "exited"),
                                                       count_of(item, "refused")};
        }
    }
}

static bool read_stats(const struct run *run, const struct json_t *stats, struct counts *ret) {
    if (stats == NULL || json_get(stats, "gates") == NULL) {
        return false;
    }
    *ret = counts_unknown();
    ret->participants = count_of(stats, "participants");
    ret->admitted = count_of(stats, "admitted");
    ret->inside = count_of(stats, "inside");
    ret->scans = count_of(stats, "scans");
    ret->refused = count_of(stats, "refused");
    read_gates(run, json_get(stats, "gates"), ret);
    for (int method = 0; method < METHOD_COUNT; method++) {
        const struct json_t *methods = json_get(stats, "methods");
        ret->methods[method] =
            json_get(methods, method_text((enum method_e)method)) == NULL
                ? 0 : count_of(methods, method_text((enum method_e)method));
    }
    return true;
}

/* Once they say as many scans as there are records, or do not for too long. */
static bool take_stats(struct audit *audit, struct http *http, struct arena *arena) {
    static struct counts said;
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/v1/events/%s/stats", audit->run->options->event);
    int64_t end_ns = client_clock_ns() + LAG_MS * 1000000LL;
    do {
        int status = http_get(http, path);
        if (status != 200 || !read_stats(audit->run, parse(arena, http), &said)) {
            fprintf(stderr, "loadgen: %s: %d, no counts\n", path, status);
            return false;
        }
        if (said.scans == audit->counts.scans) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    } while (client_clock_ns() < end_ns);
    audit_counts(audit, &said, "stats of the API");
    return true;
}

bool audit_api(struct run *run, struct http *http) {
    struct arena arena;
    struct audit audit;
    arena_init(&arena, PAGE_ARENA_MAX);
    audit_begin(&audit, run, "API");
    bool is_read = take_history(&audit, http, &arena);
    if (is_read) {
        audit_end(&audit);
        is_read = take_stats(&audit, http, &arena);
    }
    audit_free(&audit);
    arena_fini(&arena);
    return is_read;
}
