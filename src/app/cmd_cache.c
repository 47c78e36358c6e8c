/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnout cache: look after the cache.
 *
 *     stats, preload, warm, invalidate   ask a running node: cmd_cache_live.c
 *     simulate   runs a trace of keys through the very code that serves, and tells the hit ratio
 */
#include "app/cmd_cache.h"

#include "app/cli.h"
#include "app/flags.h"
#include "base/json.h"
#include "cache/l1.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READ_SIZE = 1 << 16,
    PROGRESS_EVERY = 1 << 18, /* keys: about ten times a second */
    REPORT_MAX = 4096,        /* bytes of the JSON document: 150 a policy */
};

/* The same trace gives the same figures in every run. The keys are the operator's own, so nobody
 * can use that the hash is known. */
static const uint64_t simulation_seed = 0x7475726e6f7574;

static const struct flag group_flags[] = {{NULL, NULL, 0, NULL}};
static const struct command_form group = {
    .name = "cache",
    .usage = "stats | preload | warm | invalidate PATTERN | simulate",
    .summary = "look after the cache",
    .flags = group_flags,
};

static const struct flag simulate_flags[] = {
    {"--policy", "P", FLAG_OWN, "s3fifo (default), lru, sieve, tinylfu; several by commas; all."},
    {"--entries", "N", FLAG_OWN, "Entries that the cache holds, 1 to 16777216 (default 1000)."},
    FLAG_JSON,
    {NULL, NULL, 0, NULL},
};
static const struct command_form simulate_form = {
    .name = "cache simulate",
    .usage = "[--policy P[,P…]|all] [--entries N] [--json] < KEYS",
    .summary = "tell what hit ratio N entries would give on a trace of keys",
    .details =
        "Reads one key per line from standard input, gets it and on a miss fills it, in the code\n"
        "that serves. A key is any 1 to 1024 bytes; a carriage return at the end of a line is not\n"
        "part of it and empty lines are skipped. Entries never expire here. Prints policy,\n"
        "entries, requests, hits and hit_ratio (0 to 1; 0 for an empty trace); with several\n"
        "policies a table, or {\"items\":[…]} with --json. Exit 0 done, 1 failed, 2 usage.",
    .flags = simulate_flags,
};

struct simulated {
    enum l1_policy_e policy;
    struct l1 *l1;
    struct l1_reader *reader;
    struct l1_counters result;
};

struct simulation {
    uint32_t entries;
    size_t count;
    struct simulated caches[L1_POLICY_COUNT];
    struct buf value; /* stays empty: the values are */
    uint64_t requests;
    bool shows_progress;
};

/* Lines. A key that spans two reads is put together in `line`. */

struct key_reader {
    char block[READ_SIZE];
    size_t block_len;
    size_t block_at;
    char line[L1_KEY_MAX + 1]; /* and a carriage return */
    size_t line_len;
    uint64_t line_number;
    bool too_long;
    bool failed; /* reading did */
};

static bool reader_more(struct key_reader *reader) {
    reader->block_len = fread(reader->block, 1, sizeof reader->block, stdin);
    reader->block_at = 0;
    reader->failed = ferror(stdin) != 0;
    return reader->block_len > 0;
}

/* Moves bytes up to the end of the line or of the block into `line`; true at the line's end. */
static bool reader_take(struct key_reader *reader) {
    const char *from = reader->block + reader->block_at;
    size_t left = reader->block_len - reader->block_at;
    const char *end = memchr(from, '\n', left);
    size_t len = end == NULL ? left : (size_t)(end - from);
    reader->block_at += len + (end != NULL);
    if (len > sizeof reader->line - reader->line_len) {
        reader->too_long = true;
        return true;
    }
    memcpy(reader->line + reader->line_len, from, len);
    reader->line_len += len;
    return end != NULL;
}

/* The next line without its end; false at the end, on failure, and when it is too long. */
static bool reader_next(struct key_reader *reader, struct slice *ret_line) {
    bool ended = false;
    reader->line_len = 0;
    reader->line_number++;
    while (!ended && (reader->block_at < reader->block_len || reader_more(reader))) {
        ended = reader_take(reader);
    }
    if (reader->too_long || reader->failed || (!ended && reader->line_len == 0)) {
        return false;
    }
    if (reader->line_len > 0 && reader->line[reader->line_len - 1] == '\r') {
        reader->line_len--;
    }
    reader->too_long = reader->line_len > L1_KEY_MAX;
    *ret_line = slice_from(reader->line, reader->line_len);
    return !reader->too_long;
}

/* The simulation. */

static bool cache_open(struct simulated *cache, uint32_t entries) {
    struct seeded_rng rng;
    seeded_rng_init(&rng, simulation_seed);
    struct l1_options options = l1_options_default();
    options.policy = cache->policy;
    options.entries = entries;
    options.bytes = SIZE_MAX; /* entries are what is asked about */
    options.ttl_us = L1_TTL_NONE;
    options.shards = 1; /* one thread, and exactly N entries for whichever keys come */
    options.rng = &rng.base;
    return l1_create(&options, &cache->l1, NULL) == ERR_OK &&
           l1_reader_open(cache->l1, &cache->reader) == ERR_OK;
}

static bool simulation_open(struct simulation *run) {
    buf_init(&run->value, 0);
    for (size_t i = 0; i < run->count; i++) {
        if (!cache_open(&run->caches[i], run->entries)) {
            return false;
        }
    }
    return true;
}

static void simulation_close(struct simulation *run) {
    for (size_t i = 0; i < run->count; i++) {
        l1_destroy(run->caches[i].l1);
    }
    buf_fini(&run->value);
}

static bool request(struct simulation *run, struct slice key) {
    for (size_t i = 0; i < run->count; i++) {
        struct simulated *cache = &run->caches[i];
        struct l1_ticket ticket;
        if (l1_get(cache->reader, key, 0, &run->value, &ticket) == L1_MISS &&
            l1_fill(cache->l1, &ticket, key, SLICE_NONE, 0) != L1_FILL_LANDED) {
            return false;
        }
    }
    run->requests++;
    if (run->shows_progress && run->requests % PROGRESS_EVERY == 0) {
        fprintf(stderr, "\r%llu requests", (unsigned long long)run->requests);
    }
    return true;
}

static int fail(struct simulation *run, const char *what, uint64_t line) {
    fprintf(stderr, "%sturnout cache simulate: line %llu: %s\n", run->shows_progress ? "\r" : "",
            (unsigned long long)line, what);
    return EXIT_FAILED;
}

static int replay(struct simulation *run, struct key_reader *reader) {
    struct slice key;
    while (reader_next(reader, &key)) {
        if (key.len > 0 && !request(run, key)) {
            return fail(run, "memory ran out: ask for fewer entries or policies",
                        reader->line_number);
        }
    }
    if (reader->too_long) {
        return fail(run, "a key has more than 1024 bytes", reader->line_number);
    }
    if (reader->failed) {
        return fail(run, "standard input cannot be read", reader->line_number);
    }
    for (size_t i = 0; i < run->count; i++) {
        l1_read_counters(run->caches[i].l1, &run->caches[i].result);
    }
    if (run->shows_progress && run->requests >= PROGRESS_EVERY) {
        fprintf(stderr, "\r%llu requests\n", (unsigned long long)run->requests);
    }
    return EXIT_DONE;
}

/* The report. */

static double hit_ratio(const struct simulation *run, const struct simulated *cache) {
    return run->requests == 0 ? 0 : (double)cache->result.hits / (double)run->requests;
}

static void put_cache(struct json_writer *w, const struct simulation *run,
                      const struct simulated *cache) {
    json_begin_object(w);
    json_put_cstr(w, "policy", l1_policy_name(cache->policy));
    json_put_int(w, "entries", run->entries);
    json_put_int(w, "requests", (int64_t)run->requests);
    json_put_int(w, "hits", (int64_t)cache->result.hits);
    json_put_real(w, "hit_ratio", hit_ratio(run, cache), 6);
    json_end_object(w);
}

static void print_json(const struct simulation *run) {
    struct buf text;
    struct json_writer w;
    buf_init(&text, REPORT_MAX);
    json_writer_init(&w, &text);
    if (run->count == 1) {
        put_cache(&w, run, &run->caches[0]);
    } else {
        json_begin_object(&w);
        json_key(&w, "items");
        json_begin_array(&w);
        for (size_t i = 0; i < run->count; i++) {
            put_cache(&w, run, &run->caches[i]);
        }
        json_end_array(&w);
        json_end_object(&w);
    }
    printf("%.*s\n", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
}

static void print_text(const struct simulation *run) {
    if (run->count == 1) {
        const struct simulated *cache = &run->caches[0];
        printf("policy=%s\nentries=%u\nrequests=%llu\nhits=%llu\nhit_ratio=%.6f\n",
               l1_policy_name(cache->policy), run->entries, (unsigned long long)run->requests,
               (unsigned long long)cache->result.hits, hit_ratio(run, cache));
        return;
    }
    printf("%-8s %10s %14s %14s %9s\n", "policy", "entries", "requests", "hits", "hit_ratio");
    for (size_t i = 0; i < run->count; i++) {
        const struct simulated *cache = &run->caches[i];
        printf("%-8s %10u %14llu %14llu %9.6f\n", l1_policy_name(cache->policy), run->entries,
               (unsigned long long)run->requests, (unsigned long long)cache->result.hits,
               hit_ratio(run, cache));
    }
}

/* The call. */

static bool add_policy(struct simulation *run, struct slice name) {
    enum l1_policy_e policy;
    if (!l1_policy_from_name(slice_trim(name), &policy)) {
        return false;
    }
    for (size_t i = 0; i < run->count; i++) {
        if (run->caches[i].policy == policy) {
            return true;
        }
    }
    run->caches[run->count++] = (struct simulated){.policy = policy};
    return true;
}

/* Fills in which policies; false when one of them is unknown, or none is named. */
static bool choose_policies(struct simulation *run, const char *text) {
    if (text != NULL && strcmp(text, "all") == 0) {
        for (int i = 0; i < L1_POLICY_COUNT; i++) {
            run->caches[run->count++] = (struct simulated){.policy = (enum l1_policy_e)i};
        }
        return true;
    }
    struct slice rest = text == NULL ? SLICE_LIT("s3fifo") : slice_of(text);
    struct slice name;
    while (slice_next(&rest, ',', &name)) {
        if (!add_policy(run, name)) {
            return false;
        }
    }
    return run->count > 0;
}

static bool choose_entries(struct simulation *run, const char *text) {
    int64_t entries = L1_ENTRIES_DEFAULT;
    if (text != NULL && !slice_to_int(slice_of(text), 1, L1_ENTRIES_MAX, &entries)) {
        return false;
    }
    run->entries = (uint32_t)entries;
    return true;
}

static int simulate(const struct args *args, struct simulation *run) {
    struct key_reader *reader = calloc(1, sizeof *reader);
    int result = EXIT_FAILED;
    if (reader == NULL || !simulation_open(run)) {
        fprintf(stderr, "turnout cache simulate: no memory for %u entries\n", run->entries);
    } else {
        result = replay(run, reader);
    }
    free(reader);
    if (result == EXIT_DONE) {
        (args_has(args, "--json") ? print_json : print_text)(run);
        result = fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    simulation_close(run);
    return result;
}

static int run_simulate(int argc, char *const *argv) {
    struct args args;
    switch (flags_parse(&simulate_form, argc, argv, &args)) {
    case FLAGS_HELP: return EXIT_DONE;
    case FLAGS_WRONG: return EXIT_USAGE;
    case FLAGS_GOOD: break;
    }
    struct simulation run = {.shows_progress = isatty(STDERR_FILENO) == 1};
    if (!choose_policies(&run, args_value(&args, "--policy"))) {
        return args_refuse(&simulate_form,
                           "--policy takes s3fifo, lru, sieve, tinylfu, several by commas, or all");
    }
    if (!choose_entries(&run, args_value(&args, "--entries"))) {
        return args_refuse(&simulate_form, "--entries takes a whole number from 1 to %d",
                           L1_ENTRIES_MAX);
    }
    return simulate(&args, &run);
}

int cmd_cache(int argc, char **argv) {
    static const struct command_form *const forms[] = {
        &cache_stats_form,      &cache_preload_form, &cache_warm_form,
        &cache_invalidate_form, &simulate_form,      NULL};
    static const form_fn runs[] = {
        cache_stats, cache_preload, cache_warm, cache_invalidate, run_simulate};
    return forms_run(&group, forms, runs, argc, argv);
}
