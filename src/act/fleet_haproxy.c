/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round: what HAProxy has is learnt, the wish is written from the members, and what was done or
 * refused is told once for all backends together.
 */
#include "act/fleet_priv.h"

#include "act/haproxy_config.h"
#include "base/json.h"

#include <ctype.h>
#include <stdio.h>

enum { NUMBERS_MAX = 65535 };

/* ---- what happened ---- */

/* X(word of the driver, how it is undone): what goes into the journal. The rest is a part of these
 * (check, agent, maint), or so frequent that it would drown them (map, weight): those only when
 * they are refused. */
#define TOLD_TABLE(X)                                                                              \
    X("add", "delete the server, or stop the node")                                                \
    X("mute", "enable agent BACKEND/SERVER")                                                       \
    X("drain", "set server BACKEND/SERVER state ready")                                            \
    X("ready", "set server BACKEND/SERVER state drain")                                            \
    X("cut", "none: the sessions have ended")                                                      \
    X("delete", "it is added again once the node is healthy")                                      \
    X("restarted", "none: what is missing is added again")                                         \
    X("unreachable", "none: it serves on by its own checks")                                       \
    X("back", "none")

static const char *undo_of(const char *what) {
#define X(word, undo)                                                                              \
    if (strcmp(what, word) == 0) {                                                                 \
        return undo;                                                                               \
    }
    TOLD_TABLE(X)
#undef X
    return NULL;
}

static struct round_event *find_event(struct fleet *fleet, const char *what, struct slice server,
                                      enum err_e err) {
    for (size_t i = 0; i < fleet->events_len; i++) {
        struct round_event *event = &fleet->events[i];
        if (strcmp(event->what, what) == 0 && slice_eq_text(server, event->server) &&
            event->err == err) {
            return event;
        }
    }
    return NULL;
}

void fleet_note(void *data, const struct haproxy_event *noted) {
    struct fleet *fleet = data;
    struct round_event *event = find_event(fleet, noted->what, noted->server, noted->err);
    bool is_part = undo_of(noted->what) == NULL ||
                   (strcmp(noted->what, "drain") == 0 &&
                    find_event(fleet, "add", noted->server, ERR_OK) != NULL);
    if (event != NULL) {
        event->backends++;
        return;
    }
    if ((noted->err == ERR_OK && is_part) || fleet->events_len == FLEET_NODES_MAX) {
        return; /* what does not fit is in the next round's, if it is still so */
    }
    event = &fleet->events[fleet->events_len++];
    *event = (struct round_event){.err = noted->err, .backends = 1};
    snprintf(event->what, sizeof event->what, "%s", noted->what);
    snprintf(event->server, sizeof event->server, "%.*s", SLICE_ARG(noted->server));
    snprintf(event->detail, sizeof event->detail, "%s", noted->detail);
}

static void tell_event(struct fleet *fleet, const struct round_event *event) {
    char word[64] = "HAPROXY_";
    struct json_writer w;
    size_t len = strlen(word);
    for (size_t i = 0; event->what[i] != '\0' && len + 1 < sizeof word; i++) {
        word[len++] = (char)toupper((unsigned char)event->what[i]);
    }
    buf_clear(&fleet->text);
    json_writer_init(&w, &fleet->text);
    json_begin_object(&w);
    if (event->server[0] != '\0') {
        json_put_int(&w, "backends", event->backends);
    }
    json_put_cstr(&w, "undo", undo_of(event->what));
    json_end_object(&w);
    fleet_tell(fleet, &(struct fleet_event){
                          .what = word,
                          .target = slice_of(event->server[0] == '\0' ? "haproxy" : event->server),
                          .err = event->err,
                          .evidence = buf_slice(&fleet->text),
                          .detail = event->detail});
}

/* ---- what it has ---- */

static bool is_taken(const struct fleet *fleet, const struct haproxy_state *state,
                     int64_t number) {
    for (size_t i = 0; i < state->rows_len; i++) {
        if (state->rows[i].id == number) {
            return true;
        }
    }
    for (size_t i = 0; i < fleet->members_len; i++) {
        if (fleet->members[i].wish.number == number) {
            return true;
        }
    }
    return false;
}

/* Its place in the hash ring: what HAProxy has for it, else one that follows from its name alone,
 * so that every controller gives it the same; a collision moves to the next. */
static int64_t choose_number(const struct fleet *fleet, const struct haproxy_state *state,
                             const char *name) {
    int64_t number = (int64_t)(slice_hash(slice_of(name)) % NUMBERS_MAX) + 1;
    while (is_taken(fleet, state, number)) {
        number = number % NUMBERS_MAX + 1;
    }
    return number;
}

static void learn_member(struct fleet *fleet, const struct haproxy_state *state,
                         struct member *member) {
    int up = 0;
    member->sessions = 0;
    for (size_t i = 0; i < state->rows_len; i++) {
        const struct haproxy_row *row = &state->rows[i];
        if (slice_eq_text(row->server, member->wish.name)) {
            bool is_number = row->id >= 1 && row->id <= NUMBERS_MAX;
            member->wish.number = is_number ? row->id : member->wish.number;
            member->sessions += row->sessions + row->used;
            up += row->status == HAPROXY_UP;
        }
    }
    member->takes_traffic = up == HAPROXY_BACKEND_COUNT;
    if (member->wish.number == 0) {
        member->wish.number = choose_number(fleet, state, member->wish.name);
    }
}

static void count_serving(struct fleet *fleet) {
    fleet->serving = 0;
    for (size_t i = 0; i < fleet->members_len; i++) {
        fleet->serving += fleet->members[i].is_healthy && fleet->members[i].takes_traffic;
    }
}

/* ---- what it should have ---- */

static size_t write_map(struct fleet *fleet, const struct fleet_view *view,
                        struct haproxy_entry entries[REQUEST_COUNT]) {
    size_t len = 0;
    for (int i = 0; i < REQUEST_COUNT; i++) {
        char id[NODE_ID_MAX + 1];
        if (view->best[i].at == NULL || !slice_to_cstr(view->best[i], id, sizeof id)) {
            continue;
        }
        const struct member *member = members_find(fleet, id);
        if (member != NULL && !member->wish.drains) { /* use-server reaches one that drains, too */
            entries[len++] = (struct haproxy_entry){slice_of(request_text((enum request_e)i)),
                                                    slice_of(member->wish.name)};
        }
    }
    return len;
}

MAY_BLOCK static void bring(struct fleet *fleet, const struct fleet_view *view) {
    struct haproxy_node nodes[FLEET_NODES_MAX];
    struct slice backends[HAPROXY_BACKEND_COUNT];
    struct haproxy_entry entries[REQUEST_COUNT];
    struct haproxy_state state;
    struct problem problem = {.detail = ""};
    for (size_t i = 0; i < fleet->members_len; i++) {
        nodes[i] = fleet->members[i].wish;
    }
    for (int i = 0; i < HAPROXY_BACKEND_COUNT; i++) {
        backends[i] = slice_of(haproxy_backend_name((enum haproxy_backend_e)i));
    }
    struct haproxy_wish wish = {.nodes = nodes,
                                .nodes_len = fleet->members_len,
                                .backends = backends,
                                .backends_len = HAPROXY_BACKEND_COUNT,
                                .drain_ms = fleet->options.drain_ms,
                                .steady = backends[HAPROXY_BACKEND_STEADY]};
    struct haproxy_map map = {fleet->options.map_file, entries, write_map(fleet, view, entries)};
    enum err_e err = haproxy_round(fleet->haproxy, &wish, &map, &state, &problem);
    if (err != ERR_OK) {
        fleet_tell(fleet, &(struct fleet_event){.what = "HAPROXY_ROUND",
                                                .target = SLICE_LIT("haproxy"),
                                                .err = err,
                                                .detail = problem.detail});
    }
}

MAY_BLOCK void fleet_round(struct fleet *fleet, const struct fleet_view *view) {
    struct haproxy_state state;
    fleet->events_len = 0;
    if (fleet->haproxy == NULL) {
        for (size_t i = 0; i < fleet->members_len; i++) {
            fleet->members[i].takes_traffic = !fleet->members[i].wish.drains;
        }
    } else if (haproxy_look(fleet->haproxy, &state, NULL) == ERR_OK) { /* a failure is noted */
        for (size_t i = 0; i < fleet->members_len; i++) {
            learn_member(fleet, &state, &fleet->members[i]);
        }
        if (!fleet->keeps) {
            bring(fleet, view);
        }
    }
    count_serving(fleet);
    for (size_t i = 0; i < fleet->events_len; i++) {
        tell_event(fleet, &fleet->events[i]);
    }
}
