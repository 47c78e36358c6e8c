/* SPDX-License-Identifier: Apache-2.0 */
/* turnout nodes: the nodes that a running node's controller knows, as a table. */
#include "app/node_show.h"

#include <stdio.h>
#include <unistd.h>

#define CLOCK_OFF_S 1.0

static const struct flag flags[] = {
    FLAG_NODE_URL,
    FLAG_NODE_KEY,
    {"--watch", NULL, FLAG_OWN, "Show it anew each second until interrupted."},
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
static const struct command_form form = {
    .name = "nodes",
    .usage = "[--url URL] [--key KEY|@FILE] [--watch]",
    .summary = "show the nodes, their load, and how many there should be",
    .details = "A figure that is not known is -. Below a node that is not healthy stands why, and\n"
               "below one whose clock is off, by how much. The last lines say which node is best\n"
               "for which requests, and what the scaler decided. Exit 0 all nodes are healthy or\n"
               "on their way out, 1 not, or nobody answered.",
    .flags = flags,
};

static struct slice text_of(const struct json_t *item, const char *name) {
    return json_text_at(item, name, SLICE_LIT("-"));
}

static void number_of(const struct json_t *item, const char *name, double times, char to[24]) {
    const struct json_t *value = json_get(item, name);
    if (json_is_numeric(value)) {
        snprintf(to, 24, "%.*f", times > 0 ? 1 : 0, json_number(value) * (times > 0 ? times : 1));
    } else {
        snprintf(to, 24, "-");
    }
}

/* Why it is in this state, unless that is the good one; and what is wrong with its clock. */
static void add_reasons(struct buf *text, const struct json_t *item) {
    const struct json_t *ahead = json_get(item, "clock_ahead_s");
    double ahead_s = json_is_numeric(ahead) ? json_number(ahead) : 0;
    if (!json_is_true_at(item, "healthy")) {
        buf_printf(text, "  %.*s\n", SLICE_ARG(text_of(item, "why")));
    }
    if (ahead_s > CLOCK_OFF_S || ahead_s < -CLOCK_OFF_S) {
        buf_printf(text, "  its clock is %s by %.1f s\n", ahead_s > 0 ? "ahead" : "behind",
                   ahead_s > 0 ? ahead_s : -ahead_s);
    }
}

static void add_node(struct buf *text, const struct json_t *item) {
    char cpu[24], memory[24], connections[24], hits[24];
    number_of(item, "cpu", 1, cpu);
    number_of(item, "memory", 1, memory);
    number_of(item, "connections", 0, connections);
    number_of(item, "hit_rate", 100, hits);
    bool is_stale = json_is_true_at(item, "healthy") && json_is_true_at(item, "stale");
    struct slice state = is_stale ? SLICE_LIT("stale") : text_of(item, "state");
    buf_printf(text, "%-28.*s %-10.*s %6s %8s %12s %7s  %.*s\n", SLICE_ARG(text_of(item, "id")),
               SLICE_ARG(state), cpu, memory, connections, hits,
               SLICE_ARG(text_of(item, "url")));
    add_reasons(text, item);
}

/* One that stops or has left is as it should be. */
static bool is_fine(const struct json_t *item) {
    struct slice state = text_of(item, "state");
    return json_is_true_at(item, "healthy") || slice_eq_text(state, "draining") ||
           slice_eq_text(state, "gone");
}

struct listing {
    struct buf *text;
    bool is_first;
};

static bool add_optimal(struct slice key, const struct json_t *value, void *data) {
    struct listing *listing = data;
    struct slice id = json_kind(value) == JSON_KIND_STRING ? json_text(value) : SLICE_LIT("-");
    buf_printf(listing->text, "%s%.*s %.*s", listing->is_first ? "best:  " : ", ", SLICE_ARG(key),
               SLICE_ARG(id));
    listing->is_first = false;
    return true;
}

/* A node that is alone leads nobody. */
static void add_leader(struct buf *text, const struct json_t *controller) {
    char term[24];
    struct slice leader = text_of(controller, "leader");
    number_of(controller, "term", 0, term);
    if (!slice_eq_text(leader, "-")) {
        buf_printf(text, "leads: %.*s (term %s)\n", SLICE_ARG(leader), term);
    } else if (!json_is_true_at(controller, "leads")) {
        buf_add_text(text, "leads: nobody\n");
    }
}

/* Only what is not as it should be. */
static void add_acting(struct buf *text, const struct json_t *acting) {
    struct slice state = text_of(acting, "state");
    if (slice_eq_text(state, "stopped")) {
        buf_printf(text, "acting: stopped at %.*s by %.*s: %.*s\n",
                   SLICE_ARG(text_of(acting, "at")), SLICE_ARG(text_of(acting, "by")),
                   SLICE_ARG(text_of(acting, "reason")));
    } else if (slice_eq_text(state, "unknown")) {
        buf_add_text(text, "acting: held until the orders could be read once\n");
    }
}

static void write_table(struct buf *text, const struct json_t *document, bool *ret_all_fine) {
    const struct json_t *items = json_get(document, "items");
    const struct json_t *scale = json_get(document, "scale");
    char current[24], desired[24];
    *ret_all_fine = true;
    buf_printf(text, "%-28s %-10s %6s %8s %12s %7s  %s\n", "NODE", "STATE", "CPU %", "MEMORY %",
               "CONNECTIONS", "HITS %", "URL");
    for (size_t i = 0; i < json_count(items); i++) {
        add_node(text, json_at(items, i));
        *ret_all_fine = *ret_all_fine && is_fine(json_at(items, i));
    }
    number_of(scale, "current", 0, current);
    number_of(scale, "desired", 0, desired);
    buf_printf(text, "scale: %s of %s (%.*s)\n", current, desired,
               SLICE_ARG(text_of(scale, "reason")));
    add_leader(text, json_get(document, "controller"));
    add_acting(text, json_get(json_get(document, "controller"), "acting"));
    struct listing listing = {text, true};
    json_each(json_get(document, "optimal"), add_optimal, &listing);
    buf_add_char(text, '\n');
}

static int print_table(const struct args *args, const struct json_t *document) {
    struct buf text;
    bool all_fine;
    bool clears = args_has(args, "--watch") && isatty(STDOUT_FILENO);
    buf_init(&text, REPORT_MAX);
    buf_add_text(&text, clears ? "\033[H\033[2J" : "");
    write_table(&text, document, &all_fine);
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code == EXIT_DONE && !all_fine ? EXIT_FAILED : code;
}

int cmd_nodes(int argc, char **argv) {
    struct args args;
    struct config config;
    enum flags_e result = flags_parse(&form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    static const char *const members[] = {"items", "scale", NULL};
    const struct node_question question = {
        .path = "/v1/nodes", .members = members, .print = print_table};
    enum err_e err;
    int code = node_show(&args, &config, &question, &err);
    while (args_has(&args, "--watch") && err == ERR_OK) {
        sleep(1);
        code = node_show(&args, &config, &question, &err);
    }
    config_fini(&config);
    return code;
}
