/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a hit takes: keys and values of 64 bytes, a cache of 1000 entries (one shard) and one of
 * 100,000, one thread and two, Zipf 0.9 over all that is cached; and how long by tiered_try, the
 * door that requests take (trust, counters, samples). In the same run: the same cache behind one
 * mutex (what a cache without reader-side scaling would cost), and the limit, a bare
 * table: the same hash, one compare, one copy, but no bound, no expiry, no policy and no writers.
 * Also what an entry takes beside its key and value, counted at the allocator, and the clock of the
 * core, so that times can be told in cycles.
 *
 * Usage: l1_speed [GETS [POLICY [ENTRIES]]]   (default 1000000 a thread, all). Prints one JSON
 * document.
 *        l1_speed count GETS    one thread, s3fifo, 1000 entries, once: to count instructions of
 * get_many under callgrind.
 */
#include "base/assert.h"
#include "base/json.h"
#include "cache/l1.h"
#include "cache/l1_hash_priv.h"
#include "cache/tiered_port.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    GETS_DEFAULT = 1000000,
    GETS_MAX = 1000000000,
    ENTRIES_MAX = 1000000,
    SIZE = 64,
    DRAWS = 1 << 16,
    THREADS_MAX = 2,
    ADDS = 20000000,
};

/* Counts what libc really sets aside, its own header of 8 bytes a block included. */
struct counting_memory {
    struct l1_memory base;
    _Atomic size_t bytes;
};

static void *counting_take(struct l1_memory *base, size_t size) {
    void *block = malloc(size);
    atomic_fetch_add(&((struct counting_memory *)base)->bytes, malloc_usable_size(block) + 8);
    return block;
}

static void counting_give(struct l1_memory *base, void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&((struct counting_memory *)base)->bytes, malloc_usable_size(block) + 8);
    }
    free(block);
}

/* The limit: open addressing, half full at most. */
struct bare {
    struct keyed_hash hash;
    char (**places)[2][SIZE]; /* key and value */
    uint32_t size;            /* a power of two */
};

struct load {
    struct l1 *l1;
    struct tiered *tiered;
    struct bare bare;
    pthread_mutex_t *one_lock; /* NULL: none */
    char (*keys)[SIZE];
    uint32_t *draws; /* DRAWS of them: which key is next */
    int64_t gets;
};

static void key_make(char *key, uint32_t number) {
    memset(key, '.', SIZE);
    snprintf(key, SIZE, "%08x", number * 0x9e3779b1U);
    key[8] = '.';
}

static void draw_zipf(struct load *load, uint32_t count) {
    struct seeded_rng rng;
    seeded_rng_init(&rng, 9);
    double *sums = calloc(count, sizeof *sums);
    ASSERT(sums != NULL);
    for (uint32_t i = 0; i < count; i++) {
        sums[i] = (i > 0 ? sums[i - 1] : 0) + pow(i + 1.0, -0.9);
    }
    for (int i = 0; i < DRAWS; i++) {
        double at = rng_unit(&rng.base) * sums[count - 1];
        uint32_t low = 0;
        for (uint32_t high = count - 1; low < high;) {
            uint32_t middle = low + (high - low) / 2;
            low = sums[middle] > at ? low : middle + 1;
            high = sums[middle] > at ? middle : high;
        }
        load->draws[i] = low;
    }
    free(sums);
}

__attribute__((noinline)) static void *get_many(void *data) {
    const struct load *load = data;
    struct l1_reader *reader;
    struct buf value;
    buf_init(&value, 4 * SIZE);
    ASSERT(l1_reader_open(load->l1, &reader) == ERR_OK);
    for (int64_t i = 0; i < load->gets; i++) {
        struct l1_ticket ticket;
        struct slice key = slice_from(load->keys[load->draws[i % DRAWS]], SIZE);
        buf_clear(&value);
        if (load->one_lock != NULL) {
            pthread_mutex_lock(load->one_lock);
        }
        ASSERT(l1_get(reader, key, 0, &value, &ticket) == L1_HIT);
        if (load->one_lock != NULL) {
            pthread_mutex_unlock(load->one_lock);
        }
    }
    l1_reader_close(reader);
    buf_fini(&value);
    return NULL;
}

/* ── through both levels' door ── */

/* A loop that stands still: its time is taken once a turn, and many hits are one turn. */
struct still_port {
    struct tiered_port base;
    int64_t now_us;
};

static int64_t still_now_us(struct tiered_port *port) {
    return ((struct still_port *)port)->now_us;
}

static int64_t still_precise_ns(struct tiered_port *port) {
    (void)port;
    return clock_mono_us(clock_system()) * 1000;
}

static void still_close(struct tiered_port *port, void (*closed)(void *data), void *data) {
    (void)port;
    closed(data);
}

static void still_destroy(struct tiered_port *port) {
    (void)port;
}

static struct tiered_loop *still_open(struct tiered *tiered, struct still_port *port) {
    static const struct tiered_port_vtable vtable = {.now_us = still_now_us,
                                                     .precise_ns = still_precise_ns,
                                                     .close = still_close,
                                                     .destroy = still_destroy};
    static const struct tiered_loop_options options = {.loop = NULL};
    struct tiered_loop *loop;
    port->base = (struct tiered_port){.vtable = &vtable};
    ASSERT(tiered_loop_open_on(tiered, &port->base, &options, &loop) == ERR_OK);
    return loop;
}

static void still_closed(void *data) {
    (void)data;
}

static void load_key(struct tiered_get *get) {
    tiered_loaded(get, &(struct tiered_loaded){.value = get->key});
}

static void on_loaded(struct tiered_get *get, const struct tiered_answer *answer) {
    (void)get;
    ASSERT(answer->err == ERR_OK);
}

static void tiered_fill(struct load *load, uint32_t count) {
    struct still_port port = {.now_us = 0};
    struct tiered_loop *loop = still_open(load->tiered, &port);
    for (uint32_t i = 0; i < count; i++) {
        struct tiered_get get = {.class = TIERED_PARTICIPANT,
                                 .key = slice_from(load->keys[i], SIZE),
                                 .load = load_key,
                                 .done = on_loaded};
        tiered_get(loop, &get);
    }
    tiered_loop_close(loop, still_closed, NULL);
}

static void *get_many_tiered(void *data) {
    const struct load *load = data;
    struct still_port port = {.now_us = 2000 * TIERED_TRUST_MS}; /* so that trust is asked for */
    struct tiered_loop *loop = still_open(load->tiered, &port);
    struct buf value;
    buf_init(&value, 4 * SIZE);
    for (int64_t i = 0; i < load->gets; i++) {
        struct tiered_answer answer;
        struct slice key = slice_from(load->keys[load->draws[i % DRAWS]], SIZE);
        ASSERT(tiered_try(loop, TIERED_PARTICIPANT, key, &value, &answer) == TIERED_HIT);
    }
    tiered_loop_close(loop, still_closed, NULL);
    buf_fini(&value);
    return NULL;
}

/* ── the limit ── */

static uint32_t bare_place(const struct bare *bare, struct slice key) {
    uint32_t at = (uint32_t)keyed_hash_of(&bare->hash, key) & (bare->size - 1);
    while (bare->places[at] != NULL && memcmp((*bare->places[at])[0], key.at, SIZE) != 0) {
        at = (at + 1) & (bare->size - 1);
    }
    return at;
}

static void bare_fill(struct bare *bare, char (*keys)[SIZE], uint32_t count) {
    keyed_hash_init(&bare->hash, rng_system());
    bare->size = 1;
    while (bare->size < 2 * count) {
        bare->size *= 2;
    }
    bare->places = calloc(bare->size, sizeof *bare->places);
    ASSERT(bare->places != NULL);
    for (uint32_t i = 0; i < count; i++) {
        char(*pair)[2][SIZE] = malloc(sizeof *pair);
        ASSERT(pair != NULL);
        memcpy((*pair)[0], keys[i], SIZE);
        memcpy((*pair)[1], keys[i], SIZE);
        bare->places[bare_place(bare, slice_from(keys[i], SIZE))] = pair;
    }
}

static void bare_free(struct bare *bare) {
    for (uint32_t i = 0; i < bare->size; i++) {
        free(bare->places[i]);
    }
    free(bare->places);
}

static void *get_many_bare(void *data) {
    const struct load *load = data;
    struct buf value;
    buf_init(&value, 4 * SIZE);
    for (int64_t i = 0; i < load->gets; i++) {
        struct slice key = slice_from(load->keys[load->draws[i % DRAWS]], SIZE);
        buf_clear(&value);
        uint32_t at = bare_place(&load->bare, key);
        ASSERT(load->bare.places[at] != NULL);
        buf_add(&value, slice_from((*load->bare.places[at])[1], SIZE));
    }
    buf_fini(&value);
    return NULL;
}

/* The clock in GHz: additions that wait for each other take a cycle each. */
static double core_ghz(void) {
    uint64_t sum = 1;
    uint64_t step = 3;
    __asm__ volatile("" : "+r"(step));
    double best = 0;
    for (int run = 0; run < 5; run++) {
        int64_t begun = clock_mono_us(clock_system());
        for (int i = 0; i < ADDS / 10; i++) {
            for (int j = 0; j < 10; j++) {
                sum += step;
                __asm__ volatile("" : "+r"(sum));
            }
        }
        int64_t took = clock_mono_us(clock_system()) - begun;
        double ghz = ADDS / 1e3 / (double)(took > 0 ? took : 1);
        best = ghz > best ? ghz : best;
    }
    return best;
}

/* Millions of gets a second over all threads: the best of three, for others use the machine too. */
static double measure(struct load *load, int threads, void *(*get)(void *data)) {
    double best = 0;
    for (int run = 0; run < 3; run++) {
        pthread_t ids[THREADS_MAX];
        int64_t begun = clock_mono_us(clock_system());
        for (int i = 0; i < threads; i++) {
            ASSERT(pthread_create(&ids[i], NULL, get, load) == 0);
        }
        for (int i = 0; i < threads; i++) {
            pthread_join(ids[i], NULL);
        }
        int64_t took = clock_mono_us(clock_system()) - begun;
        double rate = (double)load->gets * threads / (double)(took > 0 ? took : 1);
        best = rate > best ? rate : best;
    }
    return best;
}

static void put_rates(struct json_writer *w, const char *name, struct load *load,
                      void *(*get)(void *data)) {
    double one = measure(load, 1, get);
    double two = measure(load, 2, get);
    json_key(w, name);
    json_begin_object(w);
    json_put_real(w, "one_thread_ns", 1000 / one, 1);
    json_put_real(w, "one_thread_mops", one, 2);
    json_put_real(w, "two_threads_mops", two, 2);
    json_put_real(w, "scaling", two / one, 2);
    json_end_object(w);
}

static void fill_all(struct load *load, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct slice key = slice_from(load->keys[i], SIZE);
        struct l1_ticket ticket = l1_begin_fill(load->l1, key, 0);
        ASSERT(l1_fill(load->l1, &ticket, key, key, 0) == L1_FILL_LANDED);
    }
}

/* Everything but the rates; `memory` counts. */
static void load_make(struct load *load, enum l1_policy_e policy, uint32_t count,
                      struct counting_memory *memory, double *ret_overhead) {
    struct l1_options options = l1_options_default();
    options.policy = policy;
    /* Room to spare: shards differ in their share of the keys, and all are to be hits. */
    options.entries = count < 16384 ? count : count + count / 10;
    options.ttl_us = L1_TTL_NONE;
    options.memory = &memory->base;
    load->keys = calloc(count, SIZE);
    load->draws = calloc(DRAWS, sizeof *load->draws);
    ASSERT(load->keys != NULL && load->draws != NULL);
    ASSERT(l1_create(&options, &load->l1, NULL) == ERR_OK);
    for (uint32_t i = 0; i < count; i++) {
        key_make(load->keys[i], i);
    }
    draw_zipf(load, count);
    size_t fixed = memory->bytes;
    fill_all(load, count);
    double each = (double)(memory->bytes - fixed) / count - 2.0 * SIZE; /* the blob */
    *ret_overhead = (double)fixed / options.entries + each;
    struct tiered_options levels = tiered_options_default();
    levels.l1.policy = policy;
    levels.l1.entries = options.entries;
    ASSERT(tiered_create(&levels, &load->tiered, NULL) == ERR_OK);
    tiered_fill(load, count);
}

static void load_free(struct load *load) {
    tiered_destroy(load->tiered);
    l1_destroy(load->l1);
    free(load->keys);
    free(load->draws);
}

static void put_policy(struct json_writer *w, enum l1_policy_e policy, uint32_t count,
                       int64_t gets) {
    struct counting_memory memory = {{counting_take, counting_give}, 0};
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct load load = {.gets = gets};
    double overhead;
    load_make(&load, policy, count, &memory, &overhead);
    bare_fill(&load.bare, load.keys, count);
    json_begin_object(w);
    json_put_cstr(w, "policy", l1_policy_name(policy));
    json_put_int(w, "entries", count);
    json_put_real(w, "overhead_bytes_per_entry", overhead, 1);
    json_put_real(w, "ghz", core_ghz(), 2);
    put_rates(w, "l1", &load, get_many);
    put_rates(w, "tiered_try", &load, get_many_tiered);
    put_rates(w, "limit_bare_table", &load, get_many_bare);
    load.one_lock = &mutex;
    put_rates(w, "peer_one_mutex", &load, get_many);
    json_end_object(w);
    bare_free(&load.bare);
    load_free(&load);
}

static void count_once(int64_t gets) {
    struct counting_memory memory = {{counting_take, counting_give}, 0};
    struct load load = {.gets = gets};
    double overhead;
    load_make(&load, L1_POLICY_S3FIFO, 1000, &memory, &overhead);
    get_many(&load);
    load_free(&load);
}

/* What is asked for; NULL is "all of them". */
static void print_all(int64_t gets, const enum l1_policy_e *policy, int64_t entries) {
    static const uint32_t counts[] = {1000, 100000};
    struct buf text;
    struct json_writer w;
    buf_init(&text, 1 << 16);
    json_writer_init(&w, &text);
    json_begin_object(&w);
    json_put_cstr(&w, "bench", "l1_speed");
    json_put_int(&w, "key_bytes", SIZE);
    json_put_int(&w, "value_bytes", SIZE);
    json_key(&w, "items");
    json_begin_array(&w);
    for (size_t i = 0; i < (entries > 0 ? 1 : sizeof counts / sizeof *counts); i++) {
        for (int each = 0; each < L1_POLICY_COUNT; each++) {
            if (policy == NULL || *policy == (enum l1_policy_e)each) {
                put_policy(&w, (enum l1_policy_e)each, entries > 0 ? (uint32_t)entries : counts[i],
                           gets);
            }
        }
    }
    json_end_array(&w);
    json_end_object(&w);
    printf("%.*s\n", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
}

static int usage(const char *name) {
    fprintf(stderr, "usage: %s [GETS [POLICY [ENTRIES]]] | count GETS\n", name);
    return 2;
}

int main(int argc, char **argv) {
    int64_t gets = GETS_DEFAULT;
    int64_t entries = 0;
    enum l1_policy_e policy;
    bool counts = argc == 3 && strcmp(argv[1], "count") == 0;
    const char *gets_text = counts ? argv[2] : argc > 1 ? argv[1] : NULL;
    if (argc > 4 || (gets_text && !slice_to_int(slice_of(gets_text), 1, GETS_MAX, &gets)) ||
        (argc > 2 && !counts && !l1_policy_from_name(slice_of(argv[2]), &policy)) ||
        (argc > 3 && !slice_to_int(slice_of(argv[3]), 1, ENTRIES_MAX, &entries))) {
        return usage(argv[0]);
    }
    if (counts) {
        count_once(gets);
    } else {
        print_all(gets, argc > 2 ? &policy : NULL, entries);
    }
    return 0;
}
