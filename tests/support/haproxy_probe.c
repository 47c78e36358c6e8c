/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HAProxy driver by hand, for tests that run a real HAProxy around it.
 *
 *   haproxy_probe config BIND SOCKET MAP [TLS_BIND CERTIFICATE]   haproxy.cfg for nodes from stdin
 *   haproxy_probe rounds SOCKET MAP DRAIN_MS                      reads commands from stdin
 *
 * A node is a line: NAME ADDRESS NUMBER AGENT_PORT [drains|WEIGHT]. Commands of `rounds`:
 *
 *   node NAME ADDRESS NUMBER AGENT_PORT [drains|WEIGHT]   the wish, one line a node
 *   best KEY NODE                                   an entry of the map
 *   round                                           carries out one, then forgets the wish
 *
 * A round answers with lines "event WHAT BACKEND/SERVER CODE DETAIL", "server BACKEND NAME STATUS
 * SESSIONS REQUESTS" and at last "round CODE ORDERS REFUSED SETTLED PID".
 */
#include "act/haproxy.h"
#include "act/haproxy_config.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_MAX_SIZE = 1024, CONFIG_MAX = 1 << 20 };

static const char *const status_words[] = {
#define X(name) [HAPROXY_##name] = #name,
    HAPROXY_STATUS_TABLE(X)
#undef X
};

static struct haproxy_node nodes[HAPROXY_SERVERS_MAX];
static size_t nodes_len;
static char map_texts[HAPROXY_MAP_ENTRIES_MAX][2][HAPROXY_NAME_MAX + 1];
static struct haproxy_entry entries[HAPROXY_MAP_ENTRIES_MAX];
static size_t entries_len;

static bool read_node(const char *line) {
    struct haproxy_node *node = &nodes[nodes_len];
    char drains[8] = "";
    *node = (struct haproxy_node){.number = 0};
    if (nodes_len == HAPROXY_SERVERS_MAX ||
        sscanf(line, "%64s %64s %" SCNd64 " %d %7s", node->name, node->address, &node->number,
               &node->agent_port, drains) < 4) {
        return false;
    }
    node->drains = strcmp(drains, "drains") == 0;
    node->weight = strtoll(drains, NULL, 10);
    nodes_len++;
    return true;
}

static bool read_entry(const char *line) {
    char(*texts)[HAPROXY_NAME_MAX + 1] = map_texts[entries_len];
    if (entries_len == HAPROXY_MAP_ENTRIES_MAX ||
        sscanf(line, "%64s %64s", texts[0], texts[1]) != 2) {
        return false;
    }
    entries[entries_len] = (struct haproxy_entry){slice_of(texts[0]), slice_of(texts[1])};
    entries_len++;
    return true;
}

static int complain(const char *line) {
    fprintf(stderr, "haproxy_probe: cannot read: %s\n", line);
    return 2;
}

/* --- config --- */

static int write_config(int argc, char **argv) {
    char line[LINE_MAX_SIZE];
    struct problem problem;
    struct buf text;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (!read_node(line)) {
            return complain(line);
        }
    }
    struct haproxy_config config = {.bind = argv[2],
                                    .stats_socket = argv[3],
                                    .map_file = argv[4],
                                    .tls_bind = argc > 6 ? argv[5] : NULL,
                                    .certificate = argc > 6 ? argv[6] : NULL,
                                    .connections_max = 4000,
                                    .nodes = nodes,
                                    .nodes_len = nodes_len};
    buf_init(&text, CONFIG_MAX);
    if (haproxy_config_write(&text, &config, &problem) != ERR_OK) {
        fprintf(stderr, "haproxy_probe: %s\n", problem.detail);
        return 1;
    }
    fwrite(text.at, 1, text.len, stdout);
    buf_fini(&text);
    return 0;
}

/* --- rounds --- */

static void tell(void *data, const struct haproxy_event *event) {
    (void)data;
    printf("event %s %.*s/%.*s %s %s\n", event->what, SLICE_ARG(event->backend),
           SLICE_ARG(event->server), err_code(event->err), event->detail);
}

static void run_round(struct haproxy *haproxy, const char *map_file, int64_t drain_ms) {
    struct slice backends[HAPROXY_BACKEND_COUNT];
    struct haproxy_state state = {.rows_len = 0};
    struct problem problem;
    for (int i = 0; i < HAPROXY_BACKEND_COUNT; i++) {
        backends[i] = slice_of(haproxy_backend_name((enum haproxy_backend_e)i));
    }
    struct haproxy_wish wish = {nodes, nodes_len, backends, HAPROXY_BACKEND_COUNT, drain_ms,
                                backends[HAPROXY_BACKEND_STEADY]};
    struct haproxy_map map = {map_file, entries, entries_len};
    enum err_e err = haproxy_round(haproxy, &wish, &map, &state, &problem);
    for (size_t i = 0; i < state.rows_len; i++) {
        const struct haproxy_row *row = &state.rows[i];
        printf("server %.*s %.*s %s %" PRId64 " %" PRId64 "\n", SLICE_ARG(row->backend),
               SLICE_ARG(row->server), status_words[row->status], row->sessions, row->requests);
    }
    printf("round %s %zu %zu %d %" PRId64 "\n", err_code(err), state.orders, state.refused,
           state.settled, state.info.pid);
    fflush(stdout);
}

static int run_rounds(char **argv) {
    char line[LINE_MAX_SIZE];
    struct haproxy_options options = {
        .socket = {argv[2], HAPROXY_TIMEOUT_MS_DEFAULT}, .clock = clock_system(), .tell = tell};
    struct haproxy *haproxy = haproxy_create(&options);
    if (haproxy == NULL) {
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "round\n") == 0) {
            run_round(haproxy, argv[3], strtoll(argv[4], NULL, 10));
            nodes_len = 0;
            entries_len = 0;
        } else if (!(strncmp(line, "node ", 5) == 0 && read_node(line + 5)) &&
                   !(strncmp(line, "best ", 5) == 0 && read_entry(line + 5))) {
            haproxy_destroy(haproxy);
            return complain(line);
        }
    }
    haproxy_destroy(haproxy);
    return 0;
}

int main(int argc, char **argv) {
    if (argc >= 5 && strcmp(argv[1], "config") == 0) {
        return write_config(argc, argv);
    }
    if (argc == 5 && strcmp(argv[1], "rounds") == 0) {
        return run_rounds(argv);
    }
    fprintf(stderr, "usage: haproxy_probe config BIND SOCKET MAP [TLS_BIND CERTIFICATE]\n"
                    "       haproxy_probe rounds SOCKET MAP DRAIN_MS\n");
    return 2;
}
