/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet by hand, for tests that run a real HAProxy and real processes around it.
 *
 *   fleet_probe SOCKET MAP DRAIN_MS [PROGRAM FOLDER]    with a program: the provider `process`
 *
 * Commands, a line each, on standard input:
 *
 *   node ID URL healthy|suspect|leaving|gone CPU CONNECTIONS [AGENT_PORT]    what is known
 *   best KIND ID
 *   turn CURRENT DESIRED    one turn with the nodes since the last; answers as below
 *   scale CURRENT DESIRED   begins
 *
 * A turn answers with lines "event WHAT TARGET CODE EVIDENCE DETAIL" and at last "turn PROGRESS
 * DETAIL".
 */
#include "act/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

extern char **environ;

enum { LINE_SIZE = 1024, TEXT_SIZE = 256 };

static struct fleet_node nodes[FLEET_NODES_MAX];
static struct node_figures figures[FLEET_NODES_MAX];
static char texts[FLEET_NODES_MAX][2][TEXT_SIZE];
static char best[REQUEST_COUNT][TEXT_SIZE];
static size_t nodes_len;

static bool read_node(const char *line) {
    static const char *const states[] = {"healthy", "suspect", "leaving", "gone"};
    char state[16];
    struct node_figures *figure = &figures[nodes_len];
    struct fleet_node *node = &nodes[nodes_len];
    *figure = (struct node_figures){.hit_rate = FIGURE_MISSING};
    *node = (struct fleet_node){.figures = figure};
    if (nodes_len == FLEET_NODES_MAX ||
        sscanf(line, "%255s %255s %15s %lf %lf %d", texts[nodes_len][0], texts[nodes_len][1], state,
               &figure->cpu, &figure->connections, &node->agent_port) < 5) {
        return false;
    }
    figure->id = slice_of(texts[nodes_len][0]);
    node->url = slice_of(texts[nodes_len][1]);
    for (int i = 0; i < 4; i++) {
        if (strcmp(state, states[i]) == 0) {
            node->health = (enum fleet_health_e)i;
        }
    }
    nodes_len++;
    return true;
}

static bool read_best(const char *line) {
    char kind[TEXT_SIZE], id[TEXT_SIZE];
    if (sscanf(line, "%255s %255s", kind, id) != 2) {
        return false;
    }
    for (int i = 0; i < REQUEST_COUNT; i++) {
        if (strcmp(kind, request_text((enum request_e)i)) == 0) {
            memcpy(best[i], id, sizeof id);
        }
    }
    return true;
}

static void tell(void *data, const struct fleet_event *event) {
    (void)data;
    printf("event %s %.*s %s %.*s %s\n", event->what, SLICE_ARG(event->target),
           err_code(event->err), SLICE_ARG(event->evidence.len == 0 ? SLICE_LIT("{}")
                                                                    : event->evidence),
           event->detail);
}

static void turn(struct fleet *fleet, int64_t current, int64_t desired) {
    static const char *const words[] = {"idle", "working", "done", "failed"};
    char detail[FLEET_DETAIL_SIZE];
    struct scale_decision scale = {.current = current, .desired = desired};
    struct fleet_view view = {.nodes = nodes, .len = nodes_len, .scale = &scale};
    for (int i = 0; i < REQUEST_COUNT; i++) {
        view.best[i] = best[i][0] == '\0' ? SLICE_NONE : slice_of(best[i]);
    }
    fleet_turn(fleet, &view);
    enum fleet_progress_e progress = fleet_scaling(fleet, detail);
    printf("turn %s %s\n", words[progress], detail);
    fflush(stdout);
    nodes_len = 0;
    memset(best, 0, sizeof best);
}

static bool obey(struct fleet *fleet, const char *line) {
    int64_t current, desired;
    if (strncmp(line, "node ", 5) == 0) {
        return read_node(line + 5);
    }
    if (strncmp(line, "best ", 5) == 0) {
        return read_best(line + 5);
    }
    if (sscanf(line, "turn %" SCNd64 " %" SCNd64, &current, &desired) == 2) {
        turn(fleet, current, desired);
        return true;
    }
    if (sscanf(line, "scale %" SCNd64 " %" SCNd64, &current, &desired) == 2) {
        fleet_scale(fleet, current, desired);
        return true;
    }
    return false;
}

static enum err_e open_provider(int argc, char **argv, struct provider **provider,
                                struct problem *problem) {
    if (argc < 6) {
        return provider_open_none(provider, problem);
    }
    return provider_open_process(&(struct process_options){.program = argv[4],
                                                           .folder = argv[5],
                                                           .listen = "127.0.0.1:0",
                                                           .environment = environ,
                                                           .nodes_max = 20,
                                                           .ready_ms = 20000,
                                                           .stop_ms = 20000},
                                 provider, problem);
}

int main(int argc, char **argv) {
    char line[LINE_SIZE];
    struct provider *provider;
    struct problem problem = {.detail = ""};
    if (argc < 4 || open_provider(argc, argv, &provider, &problem) != ERR_OK) {
        fprintf(stderr, "usage: fleet_probe SOCKET MAP DRAIN_MS [PROGRAM FOLDER] %s\n",
                problem.detail);
        return 2;
    }
    struct fleet *fleet = fleet_create(&(struct fleet_options){
        .clock = clock_system(),
        .provider = provider,
        .haproxy_socket = argv[1],
        .map_file = argv[2],
        .drain_ms = strtoll(argv[3], NULL, 10),
        .ready_ms = 20000,
        .nodes_max = 10,
        .tell = tell,
    });
    while (fleet != NULL && fgets(line, sizeof line, stdin) != NULL) {
        if (!obey(fleet, line)) {
            fprintf(stderr, "fleet_probe: cannot read: %s\n", line);
            return 2;
        }
    }
    fleet_destroy(fleet);
    provider_close(provider);
    return 0;
}
