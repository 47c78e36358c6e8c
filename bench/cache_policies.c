/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hit ratios of the L1 policies on generated traces, against LRU and the optimum (Belady), at three
 * sizes. S3-FIFO is shown with its duel and with either promotion fixed. Deterministic: no time is
 * measured. Prints one JSON document.
 *
 * Usage: cache_policies [REQUESTS]   (default 400000 a trace)
 */
#include "base/assert.h"
#include "base/json.h"
#include "cache/l1.h"
#include "cache/l1_s3fifo_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { REQUESTS_DEFAULT = 400000, REQUESTS_MAX = 100000000, KEYS_MAX = 1 << 22 };

struct trace {
    uint32_t *keys;
    size_t len;
    uint32_t universe; /* keys are below */
    struct seeded_rng rng;
};

static void *must_have(void *block) {
    ASSERT(block != NULL);
    return block;
}

/* Zipf: the chance of rank r is proportional to 1 / (r + 1)^skew. */

struct zipf {
    double *sums;
    uint32_t count;
};

static struct zipf zipf_make(uint32_t count, double skew) {
    struct zipf zipf = {must_have(calloc(count, sizeof(double))), count};
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += pow(i + 1.0, -skew);
        zipf.sums[i] = sum;
    }
    return zipf;
}

static uint32_t zipf_draw(const struct zipf *zipf, struct rng *rng) {
    double at = rng_unit(rng) * zipf->sums[zipf->count - 1];
    uint32_t low = 0;
    uint32_t high = zipf->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zipf->sums[middle] > at) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Each kind of load. `size` is that of the cache, so that a load is as hard at every size; `a` is
 * the kind's own. */

static void make_zipf(struct trace *trace, uint32_t size, double skew) {
    struct zipf zipf = zipf_make(size * 20, skew);
    for (size_t i = 0; i < trace->len; i++) {
        trace->keys[i] = zipf_draw(&zipf, &trace->rng.base);
    }
    free(zipf.sums);
}

/* A Zipf load with a scan over keys that never come back, `share` of all requests. */
static void make_scan(struct trace *trace, uint32_t size, double share) {
    struct zipf zipf = zipf_make(size * 5, 0.9);
    uint32_t fresh = size * 5;
    size_t period = (size_t)size * 10;
    for (size_t i = 0; i < trace->len; i++) {
        bool scans = (double)(i % period) < share * (double)period;
        trace->keys[i] = scans ? fresh++ : zipf_draw(&zipf, &trace->rng.base);
    }
    free(zipf.sums);
}

static void make_loop(struct trace *trace, uint32_t size, double times) {
    for (size_t i = 0; i < trace->len; i++) {
        trace->keys[i] = (uint32_t)(i % (size_t)(size * times));
    }
}

/* Zipf whose ranks belong to other keys after every `turns` requests an entry. */
static void make_shift(struct trace *trace, uint32_t size, double turns) {
    struct zipf zipf = zipf_make(size * 5, 1.0);
    size_t phase = (size_t)(size * turns);
    for (size_t i = 0; i < trace->len; i++) {
        uint32_t from = (uint32_t)(i / phase) * size * 5;
        trace->keys[i] = from + zipf_draw(&zipf, &trace->rng.base);
    }
    free(zipf.sums);
}

/* Evenly over a window that is `width` caches wide and moves on by a key each four requests. */
static void make_drift(struct trace *trace, uint32_t size, double width) {
    for (size_t i = 0; i < trace->len; i++) {
        uint32_t offset = (uint32_t)rng_below(&trace->rng.base, (uint64_t)(size * width));
        trace->keys[i] = (uint32_t)(i / 4) + offset;
    }
}

/* A door: every token comes once or, soon after, twice; gates and statistics all the time. */
static void make_door(struct trace *trace, uint32_t size, double again) {
    uint32_t fresh = 64;
    for (size_t i = 0; i < trace->len; i++) {
        double chance = rng_unit(&trace->rng.base);
        uint32_t back = (uint32_t)rng_below(&trace->rng.base, size / 2 + 1);
        if (chance < 0.4) {
            trace->keys[i] = (uint32_t)rng_below(&trace->rng.base, 64);
        } else if (chance < 0.4 + again && fresh > 64 + back) {
            trace->keys[i] = fresh - 1 - back;
        } else {
            trace->keys[i] = fresh++;
        }
    }
}

/* Half a Zipf load, a quarter a loop, a quarter keys that never come back. */
static void make_mixed(struct trace *trace, uint32_t size, double skew) {
    struct zipf zipf = zipf_make(size * 5, skew);
    uint32_t loop = 0;
    uint32_t fresh = size * 7;
    for (size_t i = 0; i < trace->len; i++) {
        uint64_t kind = rng_below(&trace->rng.base, 4);
        if (kind < 2) {
            trace->keys[i] = zipf_draw(&zipf, &trace->rng.base);
        } else if (kind == 2) {
            trace->keys[i] = size * 5 + loop++ % (size * 2);
        } else {
            trace->keys[i] = fresh++;
        }
    }
    free(zipf.sums);
}

static const struct kind {
    const char *name;
    void (*make)(struct trace *trace, uint32_t size, double a);
    double a;
} kinds[] = {
    {"zipf 0.6", make_zipf, 0.6},     {"zipf 0.8", make_zipf, 0.8},
    {"zipf 1.0", make_zipf, 1.0},     {"zipf 1.2", make_zipf, 1.2},
    {"scan 20 %", make_scan, 0.2},    {"scan 50 %", make_scan, 0.5},
    {"loop 0.9x", make_loop, 0.9},    {"loop 1.1x", make_loop, 1.1},
    {"loop 2x", make_loop, 2},        {"shift 5", make_shift, 5},
    {"shift 20", make_shift, 20},     {"shift 100", make_shift, 100},
    {"drift 0.8x", make_drift, 0.8},  {"drift 1.2x", make_drift, 1.2},
    {"drift 3x", make_drift, 3},      {"door 10 %", make_door, 0.1},
    {"door 30 %", make_door, 0.3},    {"mixed", make_mixed, 0.9},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct trace trace_make(const struct kind *kind, uint32_t size, size_t len) {
    struct trace trace = {must_have(calloc(len, sizeof(uint32_t))), len, 0, {{0}, 0}};
    seeded_rng_init(&trace.rng, 20261124);
    kind->make(&trace, size, kind->a);
    for (size_t i = 0; i < len; i++) {
        trace.universe = trace.keys[i] >= trace.universe ? trace.keys[i] + 1 : trace.universe;
    }
    ASSERT(trace.universe <= KEYS_MAX + len);
    return trace;
}

/* The policies, in the cache that serves. */
static uint64_t hits_of(const struct trace *trace, uint32_t size, enum l1_policy_e policy) {
    struct seeded_rng rng;
    seeded_rng_init(&rng, 1);
    struct l1_options options = l1_options_default();
    options.policy = policy;
    options.entries = size;
    options.bytes = SIZE_MAX;
    options.ttl_us = L1_TTL_NONE;
    options.rng = &rng.base;
    struct l1 *l1;
    struct l1_reader *reader;
    ASSERT(l1_create(&options, &l1, NULL) == ERR_OK);
    ASSERT(l1_reader_open(l1, &reader) == ERR_OK);
    struct buf value;
    buf_init(&value, 0);
    for (size_t i = 0; i < trace->len; i++) {
        struct slice key = slice_from((const char *)&trace->keys[i], sizeof *trace->keys);
        struct l1_ticket ticket;
        if (l1_get(reader, key, 0, &value, &ticket) == L1_MISS) {
            ASSERT(l1_fill(l1, &ticket, key, SLICE_NONE, 0) == L1_FILL_LANDED);
        }
    }
    struct l1_counters counters;
    l1_read_counters(l1, &counters);
    l1_destroy(l1);
    return counters.hits;
}

static uint32_t scatter(uint32_t key) {
    key = (key ^ (key >> 16)) * 0x9e3779b1U;
    return key ^ (key >> 15);
}

/* S3-FIFO with fixed settings: the queues alone over a table of ids by key. */
static uint64_t hits_fixed(const struct trace *trace, uint32_t size, struct s3fifo_tuning tuning) {
    struct l1_node *nodes = must_have(calloc(size, sizeof *nodes));
    uint32_t *owner = must_have(calloc(size, sizeof *owner));
    uint32_t *id_of = must_have(calloc(trace->universe, sizeof *id_of)); /* plus one */
    struct policy_view view = {nodes, must_have(calloc(size, 1)), size};
    struct s3fifo cache;
    struct carve carve = {NULL, 0};
    s3fifo_lay(&cache, view, &carve);
    carve = (struct carve){must_have(calloc(1, carve.used)), 0};
    char *room = carve.at;
    s3fifo_lay(&cache, view, &carve);
    s3fifo_tune(&cache, tuning);
    uint64_t hits = 0;
    uint32_t used = 0;
    for (size_t i = 0; i < trace->len; i++) {
        uint32_t key = trace->keys[i];
        if (id_of[key] != 0) {
            uint8_t mark = mark_read(&view, id_of[key] - 1);
            mark_write(&view, id_of[key] - 1, (uint8_t)(mark + (mark < S3FIFO_MARK_MAX)));
            hits++;
            continue;
        }
        uint32_t id = used < size ? used++ : s3fifo_victim(&cache);
        id_of[owner[id]] = id_of[owner[id]] == id + 1 ? 0 : id_of[owner[id]];
        owner[id] = key;
        id_of[key] = id + 1;
        nodes[id].hash = scatter(key);
        s3fifo_insert(&cache, id);
    }
    free(room);
    free((void *)(uintptr_t)view.marks);
    free(id_of);
    free(owner);
    free(nodes);
    return hits;
}

/* Belady: evict what is used again last. A heap of (next use, key) with the latest on top; pairs
 * that a later use made void are skipped when met. */

struct heap {
    uint64_t *items; /* next use in the high half, key in the low one */
    size_t len;
};

static void heap_push(struct heap *heap, uint64_t item) {
    size_t at = heap->len++;
    for (; at > 0 && heap->items[(at - 1) / 2] < item; at = (at - 1) / 2) {
        heap->items[at] = heap->items[(at - 1) / 2];
    }
    heap->items[at] = item;
}

static uint64_t heap_pop(struct heap *heap) {
    uint64_t top = heap->items[0];
    uint64_t item = heap->items[--heap->len];
    size_t at = 0;
    for (size_t child = 1; child < heap->len; child = 2 * at + 1) {
        child += child + 1 < heap->len && heap->items[child + 1] > heap->items[child];
        if (heap->items[child] <= item) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = item;
    return top;
}

static uint64_t hits_optimal(const struct trace *trace, uint32_t size) {
    uint32_t *next = must_have(calloc(trace->len, sizeof *next));
    uint32_t *seen = must_have(malloc(trace->universe * sizeof *seen));
    memset(seen, 0xff, trace->universe * sizeof *seen);
    for (size_t i = trace->len; i-- > 0;) {
        next[i] = seen[trace->keys[i]];
        seen[trace->keys[i]] = (uint32_t)i;
    }
    uint32_t *due = must_have(calloc(trace->universe, sizeof *due)); /* 0: not cached */
    struct heap heap = {must_have(calloc(trace->len, sizeof(uint64_t))), 0};
    uint64_t hits = 0;
    uint32_t used = 0;
    for (size_t i = 0; i < trace->len; i++) {
        uint32_t key = trace->keys[i];
        bool hit = due[key] != 0;
        hits += hit;
        due[key] = next[i];
        heap_push(&heap, (uint64_t)next[i] << 32 | key);
        used += !hit;
        while (used > size) { /* the new key too may be the one to go */
            uint64_t top = heap_pop(&heap);
            if (due[(uint32_t)top] == top >> 32) {
                due[(uint32_t)top] = 0;
                used--;
            }
        }
    }
    free(heap.items);
    free(due);
    free(seen);
    free(next);
    return hits;
}

struct summary {
    double sums[L1_POLICY_COUNT];
    double promote[2];
    double worst_against_lru; /* points */
};

static void put_percent(struct json_writer *w, const char *key, uint64_t hits, size_t len) {
    json_put_real(w, key, 100.0 * (double)hits / (double)len, 2);
}

static void put_trace(struct json_writer *w, const struct kind *kind, uint32_t size, size_t len,
                      struct summary *summary) {
    struct trace trace = trace_make(kind, size, len);
    uint64_t hits[L1_POLICY_COUNT];
    json_begin_object(w);
    json_put_cstr(w, "trace", kind->name);
    put_percent(w, "optimal", hits_optimal(&trace, size), len);
    for (int i = 0; i < L1_POLICY_COUNT; i++) {
        hits[i] = hits_of(&trace, size, (enum l1_policy_e)i);
        summary->sums[i] += 100.0 * (double)hits[i] / (double)len / KINDS;
        put_percent(w, l1_policy_name((enum l1_policy_e)i), hits[i], len);
    }
    for (uint8_t at = 1; at <= 2; at++) {
        struct s3fifo_tuning tuning = {at, 10, S3FIFO_ROUND_A_HIT};
        uint64_t fixed = hits_fixed(&trace, size, tuning);
        summary->promote[at - 1] += 100.0 * (double)fixed / (double)len / KINDS;
        put_percent(w, at == 1 ? "promote_1" : "promote_2", fixed, len);
    }
    double lead = 100.0 * ((double)hits[L1_POLICY_S3FIFO] - (double)hits[L1_POLICY_LRU]) /
                  (double)len;
    json_put_real(w, "s3fifo_minus_lru", lead, 2);
    summary->worst_against_lru =
        lead < summary->worst_against_lru ? lead : summary->worst_against_lru;
    json_end_object(w);
    free(trace.keys);
}

static void put_size(struct json_writer *w, uint32_t size, size_t len) {
    struct summary summary = {{0}, {0}, 100};
    json_begin_object(w);
    json_put_int(w, "entries", size);
    json_key(w, "traces");
    json_begin_array(w);
    for (int i = 0; i < KINDS; i++) {
        put_trace(w, &kinds[i], size, len, &summary);
    }
    json_end_array(w);
    json_key(w, "mean");
    json_begin_object(w);
    for (int i = 0; i < L1_POLICY_COUNT; i++) {
        json_put_real(w, l1_policy_name((enum l1_policy_e)i), summary.sums[i], 2);
    }
    json_put_real(w, "promote_1", summary.promote[0], 2);
    json_put_real(w, "promote_2", summary.promote[1], 2);
    json_end_object(w);
    json_put_real(w, "worst_s3fifo_minus_lru", summary.worst_against_lru, 2);
    json_end_object(w);
}

int main(int argc, char **argv) {
    static const uint32_t sizes[] = {100, 1000, 10000};
    int64_t len = REQUESTS_DEFAULT;
    if (argc > 2 || (argc == 2 && !slice_to_int(slice_of(argv[1]), 1, REQUESTS_MAX, &len))) {
        fprintf(stderr, "usage: %s [REQUESTS]\n", argv[0]);
        return 2;
    }
    struct buf text;
    struct json_writer w;
    buf_init(&text, 1 << 20);
    json_writer_init(&w, &text);
    json_begin_object(&w);
    json_put_cstr(&w, "bench", "cache_policies");
    json_put_cstr(&w, "unit", "percent of requests that hit");
    json_put_int(&w, "requests", len);
    json_key(&w, "sizes");
    json_begin_array(&w);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put_size(&w, sizes[i], (size_t)len);
    }
    json_end_array(&w);
    json_end_object(&w);
    printf("%.*s\n", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    return 0;
}
