/* SPDX-License-Identifier: Apache-2.0 */
/* turnout cache stats, preload, warm, invalidate: the cache of a running node. */
#include "app/cmd_cache.h"
#include "app/node_show.h"

#include <inttypes.h>
#include <stdio.h>

enum { TEXT_MAX = 64 << 10, BODY_MAX = 8192 };

static const struct flag flags[] = {
    FLAG_NODE_URL,
    {"--key", "KEY", FLAG_OWN, "An API key, or @FILE to read it from."},
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};

const struct command_form cache_stats_form = {
    .name = "cache stats",
    .usage = "[--url URL] [--key KEY|@FILE] [--json]",
    .summary = "show what the cache of a running node does",
    .details = "Counters since its start. The key needs scope analyst or admin.",
    .flags = flags,
};
const struct command_form cache_preload_form = {
    .name = "cache preload",
    .usage = "[--url URL] [--key KEY|@FILE] [--json]",
    .summary = "read the critical keys into the cache of a running node",
    .details = "Configuration, gates and statistics of current events; in the background. Exit 1\n"
               "when a warming is under way already. The key needs scope admin.",
    .flags = flags,
};
const struct command_form cache_warm_form = {
    .name = "cache warm",
    .usage = "[--url URL] [--key KEY|@FILE] [--json]",
    .summary = "the same with each gate and the active participants",
    .details = "In the background, paced: turnout cache stats tells how far it is. Exit 1 when a\n"
               "warming is under way already. The key needs scope admin.",
    .flags = flags,
};
const struct command_form cache_invalidate_form = {
    .name = "cache invalidate",
    .usage = "[--url URL] [--key KEY|@FILE] [--json] PATTERN",
    .summary = "drop what matches from every level, on every node",
    .details = "PATTERN is one of Redis: participant:expo:*, stats:*, * for everything. Quote it:\n"
               "a shell has its own idea of a star. The key needs scope admin.",
    .flags = flags,
    .rest_min = 1,
    .rest_max = 1,
};

/* ── texts ── */

static int64_t number(const struct json_t *object, const char *name) {
    const struct json_t *value = json_get(object, name);
    return value != NULL && json_kind(value) == JSON_KIND_INTEGER ? json_int(value) : 0;
}

static struct slice word(const struct json_t *object, const char *name) {
    return json_text_at(object, name, SLICE_LIT("-"));
}

static void add_share(struct buf *text, const struct json_t *object, const char *name) {
    const struct json_t *value = json_get(object, name);
    if (json_is_numeric(value)) {
        buf_printf(text, "%7.2f %%", json_number(value) * 100);
    } else {
        buf_printf(text, "%9s", "-");
    }
}

static void add_level(struct buf *text, const char *name, const struct json_t *level) {
    buf_printf(text, "%-4s %10" PRId64 " hits %10" PRId64 " misses ", name, number(level, "hits"),
               number(level, "misses"));
    add_share(text, level, "hit_rate");
}

static void add_class(struct buf *text, const struct json_t *class) {
    static const char *const counts[] = {"l1_hits", "l1_misses", "l2_hits", "loads",
                                         "invalidations"};
    buf_printf(text, "%-14.*s", SLICE_ARG(word(class, "prefix")));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        buf_printf(text, " %10" PRId64, number(class, counts[i]));
    }
    buf_add_char(text, '\n');
}

static void add_warming(struct buf *text, const struct json_t *warming) {
    buf_printf(text, "warming %.*s (%.*s): %" PRId64 " keys, %" PRId64 " failed\n",
               SLICE_ARG(word(warming, "state")), SLICE_ARG(word(warming, "scope")),
               number(warming, "keys"), number(warming, "failed"));
}

static void write_stats(struct buf *text, const struct json_t *document) {
    const struct json_t *l1 = json_get(document, "l1"), *l2 = json_get(document, "l2");
    const struct json_t *classes = json_get(document, "classes");
    const struct json_t *estimates = json_get(document, "estimates");
    buf_add_text(text, "hit rate of reads ");
    add_share(text, document, "hit_rate");
    buf_add_char(text, '\n');
    add_level(text, "L1", l1);
    buf_printf(text, "  %" PRId64 " of %" PRId64 " entries, policy %.*s\n", number(l1, "entries"),
               number(l1, "capacity"), SLICE_ARG(word(l1, "policy")));
    add_level(text, "L2", l2);
    buf_printf(text, "  %.*s\n\n", SLICE_ARG(word(l2, "state")));
    buf_printf(text, "%-14s %10s %10s %10s %10s %10s\n", "KEYS", "L1 HITS", "L1 MISSES", "L2 HITS",
               "LOADS", "DROPPED");
    for (size_t i = 0; i < json_count(classes); i++) {
        add_class(text, json_at(classes, i));
    }
    buf_add_char(text, '\n');
    for (size_t i = 0; i < json_count(estimates); i++) {
        const struct json_t *estimate = json_at(estimates, i);
        buf_printf(text, "with %8" PRId64 " entries ", number(estimate, "entries"));
        add_share(text, estimate, "hit_rate");
        buf_add_char(text, '\n');
    }
    add_warming(text, json_get(document, "warming"));
}

static void write_warming(struct buf *text, const struct json_t *document) {
    add_warming(text, document);
}

static void write_invalidated(struct buf *text, const struct json_t *document) {
    buf_printf(text, "%" PRId64 " entries of the node, %" PRId64 " keys in Redis\n",
               number(document, "l1_entries"), number(document, "l2_keys"));
}

/* ── the question ── */

typedef void (*write_fn)(struct buf *text, const struct json_t *document);

static int print(write_fn write, const struct json_t *document) {
    struct buf text;
    buf_init(&text, TEXT_MAX);
    write(&text, document);
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

static int print_stats(const struct args *args, const struct json_t *document) {
    (void)args;
    return print(write_stats, document);
}

static int print_warming(const struct args *args, const struct json_t *document) {
    (void)args;
    return print(write_warming, document);
}

static int print_invalidated(const struct args *args, const struct json_t *document) {
    (void)args;
    return print(write_invalidated, document);
}

static int ask(const struct command_form *form, int argc, char *const *argv,
               struct node_question question) {
    struct args args;
    struct config config;
    enum flags_e result = flags_parse(form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    struct buf sent;
    buf_init(&sent, BODY_MAX);
    if (args.rest_len > 0) {
        struct json_writer w;
        json_writer_init(&w, &sent);
        json_begin_object(&w);
        json_put_cstr(&w, "pattern", args.rest[0]);
        json_end_object(&w);
    }
    const struct node_order_text order = {.path = question.path, .body = buf_slice(&sent)};
    question.order = form == &cache_stats_form ? NULL : &order;
    int code = node_show(&args, &config, &question, NULL);
    buf_fini(&sent);
    config_fini(&config);
    return code;
}

int cache_stats(int argc, char *const *argv) {
    static const char *const members[] = {"l1", "l2", "classes", NULL};
    return ask(&cache_stats_form, argc, argv,
               (struct node_question){
                   .path = "/v1/cache", .members = members, .print = print_stats});
}

int cache_preload(int argc, char *const *argv) {
    return ask(&cache_preload_form, argc, argv,
               (struct node_question){.path = "/v1/cache:preload", .print = print_warming});
}

int cache_warm(int argc, char *const *argv) {
    return ask(&cache_warm_form, argc, argv,
               (struct node_question){.path = "/v1/cache:warm", .print = print_warming});
}

int cache_invalidate(int argc, char *const *argv) {
    return ask(&cache_invalidate_form, argc, argv,
               (struct node_question){.path = "/v1/cache:invalidate", .print = print_invalidated});
}
