/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a hit takes: keys and values of 64 bytes, a cache of 1000 entries (one shard) and one of
 * 100,000, one thread and two, Zipf 0.9 over all that is cached. The peer in the same run is the
 * same table of keys behind one mutex (what a cache without reader-side scaling would cost). Also
 * what an entry takes beside its key and value, counted at the allocator.
 *
 * Usage: l1_speed [GETS]   (default 1000000 a thread). Prints one JSON document.
 */
#include "base/assert.h"
#include "base/json.h"
#include "cache/l1.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { GETS_DEFAULT = 1000000, GETS_MAX = 1000000000, SIZE = 64, DRAWS = 1 << 16, THREADS_MAX = 2 };

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

struct load {
    struct l1 *l1;
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

static void *get_many(void *data) {
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

/* Millions of gets a second over all threads: the best of three, for others use the machine too. */
static double measure(struct load *load, int threads) {
    double best = 0;
    for (int run = 0; run < 3; run++) {
        pthread_t ids[THREADS_MAX];
        int64_t begun = clock_mono_us(clock_system());
        for (int i = 0; i < threads; i++) {
            ASSERT(pthread_create(&ids[i], NULL, get_many, load) == 0);
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

static void put_rates(struct json_writer *w, const char *name, struct load *load) {
    double one = measure(load, 1);
    double two = measure(load, 2);
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

static void put_policy(struct json_writer *w, enum l1_policy_e policy, uint32_t count,
                       int64_t gets) {
    struct counting_memory memory = {{counting_take, counting_give}, 0};
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct l1_options options = l1_options_default();
    options.policy = policy;
    /* Room to spare: shards differ in their share of the keys, and all are to be hits. */
    options.entries = count < 16384 ? count : count + count / 10;
    options.ttl_us = L1_TTL_NONE;
    options.memory = &memory.base;
    struct load load = {.keys = calloc(count, SIZE), .gets = gets};
    load.draws = calloc(DRAWS, sizeof *load.draws);
    ASSERT(load.keys != NULL && load.draws != NULL);
    ASSERT(l1_create(&options, &load.l1, NULL) == ERR_OK);
    for (uint32_t i = 0; i < count; i++) {
        key_make(load.keys[i], i);
    }
    draw_zipf(&load, count);
    size_t fixed = memory.bytes;
    fill_all(&load, count);
    double each = (double)(memory.bytes - fixed) / count - 2.0 * SIZE; /* the blob */
    json_begin_object(w);
    json_put_cstr(w, "policy", l1_policy_name(policy));
    json_put_int(w, "entries", options.entries);
    json_put_real(w, "overhead_bytes_per_entry", (double)fixed / options.entries + each, 1);
    put_rates(w, "l1", &load);
    load.one_lock = &mutex;
    put_rates(w, "peer_one_mutex", &load);
    json_end_object(w);
    l1_destroy(load.l1);
    free(load.keys);
    free(load.draws);
}

int main(int argc, char **argv) {
    static const uint32_t counts[] = {1000, 100000};
    int64_t gets = GETS_DEFAULT;
    if (argc > 2 || (argc == 2 && !slice_to_int(slice_of(argv[1]), 1, GETS_MAX, &gets))) {
        fprintf(stderr, "usage: %s [GETS]\n", argv[0]);
        return 2;
    }
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
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (int policy = 0; policy < L1_POLICY_COUNT; policy++) {
            put_policy(&w, (enum l1_policy_e)policy, counts[i], gets);
        }
    }
    json_end_array(&w);
    json_end_object(&w);
    printf("%.*s\n", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    return 0;
}
