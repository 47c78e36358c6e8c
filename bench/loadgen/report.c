/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include "base/json.h"

#include <stdio.h>
#include <unistd.h>

enum { REPORT_MAX = 16 << 20, READ_ARENA_MAX = 4 << 20 };

void report_read(struct http *http, const char *path, struct document *ret_document) {
    struct arena arena;
    struct json_t *read;
    ret_document->len = 0;
    if (http_get(http, path) != 200 || http->body.len >= DOCUMENT_MAX) {
        return;
    }
    arena_init(&arena, READ_ARENA_MAX); /* only what is a document goes into one */
    if (json_parse(&arena, buf_slice(&http->body), &read, NULL) == ERR_OK) {
        memcpy(ret_document->text, http->body.at, http->body.len);
        ret_document->len = http->body.len;
    }
    arena_fini(&arena);
}

static void put_times(struct json_writer *w, const struct histogram *times) {
    static struct histogram_snapshot snapshot;
    snapshot = (struct histogram_snapshot){0};
    histogram_collect(times, &snapshot);
    json_put_int(w, "count", (int64_t)histogram_count(&snapshot));
    json_put_real(w, "avg_ms", histogram_average(&snapshot) / 1000, 3);
    json_put_real(w, "p50_ms", histogram_quantile(&snapshot, 0.5) / 1000, 3);
    json_put_real(w, "p95_ms", histogram_quantile(&snapshot, 0.95) / 1000, 3);
    json_put_real(w, "p99_ms", histogram_quantile(&snapshot, 0.99) / 1000, 3);
    json_put_real(w, "max_ms", histogram_quantile(&snapshot, 1) / 1000, 3);
}

static void put_kinds(struct json_writer *w, const struct run *run) {
    json_key(w, "operations");
    json_begin_object(w);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct measure *measure = &run->kinds[kind];
        if (measure->done + measure->failed == 0) {
            continue;
        }
        json_key(w, kind_text((enum kind_e)kind));
        json_begin_object(w);
        json_put_int(w, "failed", (int64_t)measure->failed);
        put_times(w, &measure->times);
        json_end_object(w);
    }
    json_end_object(w);
}

static void put_named(struct json_writer *w, const char *name, const struct histogram *times) {
    json_key(w, name);
    json_begin_object(w);
    put_times(w, times);
    json_end_object(w);
}

static void put_statuses(struct json_writer *w, const struct run *run) {
    char name[8];
    json_key(w, "statuses"); /* 0: no answer */
    json_begin_object(w);
    for (int status = 0; status < STATUSES_MAX; status++) {
        if (run->statuses[status] > 0) {
            snprintf(name, sizeof name, "%d", status);
            json_put_int(w, name, (int64_t)run->statuses[status]);
        }
    }
    json_end_object(w);
}

static void put_ledger(struct json_writer *w, const struct run *run) {
    const struct ledger *ledger = &run->ledger;
    json_key(w, "ledger");
    json_begin_object(w);
    json_put_int(w, "sent", ledger->len);
    json_put_int(w, "acknowledged", ledger->acknowledged);
    for (int verdict = 0; verdict < VERDICT_COUNT; verdict++) {
        json_put_int(w, verdict_text((enum verdict_e)verdict), (int64_t)ledger->verdicts[verdict]);
    }
    json_key(w, "reasons");
    json_begin_object(w);
    for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        if (ledger->reasons[reason] > 0) {
            json_put_int(w, reason_text((enum reason_e)reason), (int64_t)ledger->reasons[reason]);
        }
    }
    json_end_object(w);
    json_put_int(w, "substituted", (int64_t)run->crowd.substituted);
    json_key(w, "faults");
    json_begin_object(w);
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        json_put_int(w, fault_text((enum fault_e)fault), (int64_t)ledger->faults[fault]);
    }
    json_end_object(w);
    json_put_bool(w, "holds", ledger_holds(ledger));
    json_end_object(w);
}

static void put_client(struct json_writer *w, const struct run *run) {
    const struct client_counts *counts = &run->client.counts;
    json_key(w, "connections");
    json_begin_object(w);
    json_put_int(w, "open", (int64_t)run->client.open);
    json_put_int(w, "opened", (int64_t)counts->connected);
    json_put_int(w, "refused", (int64_t)counts->refused);
    json_put_int(w, "lost", (int64_t)counts->lost);
    json_put_int(w, "lost_idle", (int64_t)counts->lost_idle);
    json_put_int(w, "late", (int64_t)counts->late);
    json_end_object(w);
}

static void put_search(struct json_writer *w, const struct found *found) {
    json_key(w, "search");
    json_begin_object(w);
    json_put_real(w, "rate", found->rate, 1);
    json_key(w, "probes");
    json_begin_array(w);
    for (size_t i = 0; i < found->len; i++) {
        const struct probe *probe = &found->probes[i];
        json_begin_object(w);
        json_put_real(w, "rate", probe->rate, 1);
        json_put_real(w, "done_rate", probe->done_rate, 1);
        json_put_real(w, "quantile_ms", probe->p99_ms, 3);
        json_put_int(w, "failed", (int64_t)probe->failed);
        json_put_bool(w, "holds", probe->holds);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void put_document(struct json_writer *w, const char *name, const struct document *document) {
    if (document->len > 0) {
        json_key(w, name);
        json_add_raw(w, slice_from(document->text, document->len));
    }
}

void report(const struct run *run, const struct outcome *outcome) {
    struct buf out;
    struct json_writer w;
    buf_init(&out, REPORT_MAX);
    json_writer_init(&w, &out);
    json_begin_object(&w);
    json_put_cstr(&w, "load", run->options->load);
    json_put_cstr(&w, "event", run->options->event);
    json_put_int(&w, "seed", (int64_t)run->options->seed);
    json_put_real(&w, "seconds", run->busy_s, 3);
    json_put_int(&w, "planned", (int64_t)run->planned);
    json_put_int(&w, "retries", (int64_t)run->retries);
    put_client(&w, run);
    put_named(&w, "scans", &run->scans);
    put_named(&w, "sent_behind_plan", &run->lags);
    put_kinds(&w, run);
    put_statuses(&w, run);
    put_ledger(&w, run);
    if (outcome->searched) {
        put_search(&w, &outcome->found);
    }
    json_put_real(&w, "generator_cpu_s", process_cpu_s((int)getpid()), 2);
    json_key(&w, "samples");
    samples_report(&run->samples, &w);
    put_document(&w, "kpi", &outcome->kpi);
    put_document(&w, "performance", &outcome->performance);
    json_end_object(&w);
    printf("%.*s\n", SLICE_ARG(buf_slice(&out)));
    buf_fini(&out);
}
