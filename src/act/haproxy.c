/* SPDX-License-Identifier: Apache-2.0 */
/* A round: show info, show stat, the map, then one order after the other. */
#include "act/haproxy.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { VIEW_MEMORY = 32 << 20, COMMAND_MEMORY = HAPROXY_COMMAND_MAX };

struct haproxy {
    struct haproxy_options options;
    struct haproxy_history history;
    struct arena arena; /* of one round */
    struct buf stat;    /* the rows' texts */
    struct buf info;
    struct buf reply;
    struct buf command;
    int64_t pid;        /* of the last look; 0: never reached */
    bool is_lost;       /* the last look failed */
};

struct haproxy *haproxy_create(const struct haproxy_options *options) {
    struct haproxy *haproxy = calloc(1, sizeof *haproxy);
    if (haproxy == NULL) {
        return NULL;
    }
    haproxy->options = *options;
    arena_init(&haproxy->arena, VIEW_MEMORY);
    buf_init(&haproxy->stat, HAPROXY_REPLY_MAX);
    buf_init(&haproxy->info, HAPROXY_REPLY_MAX);
    buf_init(&haproxy->reply, HAPROXY_REPLY_MAX);
    buf_init(&haproxy->command, COMMAND_MEMORY);
    return haproxy;
}

void haproxy_destroy(struct haproxy *haproxy) {
    if (haproxy == NULL) {
        return;
    }
    buf_fini(&haproxy->command);
    buf_fini(&haproxy->reply);
    buf_fini(&haproxy->info);
    buf_fini(&haproxy->stat);
    arena_fini(&haproxy->arena);
    free(haproxy);
}

static void tell(const struct haproxy *haproxy, const struct haproxy_event *event) {
    if (haproxy->options.tell != NULL) {
        haproxy->options.tell(haproxy->options.tell_data, event);
    }
}

/* --- looking --- */

static enum err_e ask_for(struct haproxy *haproxy, const char *command, struct buf *reply,
                          struct problem *ret_problem) {
    return haproxy_ask(&haproxy->options.socket, slice_of(command), reply, ret_problem);
}

static void note_restart(struct haproxy *haproxy, int64_t pid) {
    if (haproxy->is_lost) {
        tell(haproxy, &(struct haproxy_event){.what = "back", .detail = "HAProxy answers again"});
    }
    if (haproxy->pid != 0 && haproxy->pid != pid) {
        haproxy->history.len = 0;
        tell(haproxy, &(struct haproxy_event){
                          .what = "restarted",
                          .detail = "HAProxy has another process: it was restarted or reloaded, "
                                    "and servers that were added at run time are gone"});
    }
    haproxy->pid = pid;
    haproxy->is_lost = false;
}

static enum err_e look(struct haproxy *haproxy, struct haproxy_state *state,
                       struct problem *problem) {
    struct haproxy_row *rows;
    TRY(ask_for(haproxy, "show info", &haproxy->info, problem));
    if (haproxy_info_read(buf_slice(&haproxy->info), &state->info) != ERR_OK) {
        return problem_set(problem, ERR_IO, "", "'show info' names no Pid: is this HAProxy?");
    }
    TRY(ask_for(haproxy, "show stat", &haproxy->stat, problem));
    enum err_e err =
        haproxy_stat_read(&haproxy->arena, buf_slice(&haproxy->stat), &rows, &state->rows_len);
    state->rows = rows;
    return err == ERR_IO ? problem_set(problem, ERR_IO, "", "'show stat' lacks columns: turnout "
                                                           "reads those of HAProxy 2.6 and newer")
                         : err;
}

enum err_e haproxy_look(struct haproxy *haproxy, struct haproxy_state *ret_state,
                        struct problem *ret_problem) {
    struct problem problem = {.detail = ""};
    *ret_state = (struct haproxy_state){.rows_len = 0};
    arena_reset(&haproxy->arena);
    enum err_e err = look(haproxy, ret_state, &problem);
    if (err == ERR_OK) {
        note_restart(haproxy, ret_state->info.pid);
        return ERR_OK;
    }
    if (!haproxy->is_lost) {
        tell(haproxy, &(struct haproxy_event){
                          .what = "unreachable", .err = err, .detail = problem.detail});
    }
    haproxy->is_lost = true;
    if (ret_problem != NULL) {
        *ret_problem = problem;
    }
    return err;
}

/* --- the map --- */

static bool is_up(const struct haproxy_state *state, struct slice server) {
    for (size_t i = 0; i < state->rows_len; i++) {
        if (slice_eq(state->rows[i].server, server) && state->rows[i].status == HAPROXY_UP) {
            return true;
        }
    }
    return false;
}

static bool entry_counts(const struct haproxy_state *state, const struct haproxy_entry *entry) {
    return haproxy_name_is_good(entry->key) && haproxy_name_is_good(entry->value) &&
           is_up(state, entry->value);
}

static bool has_entry(const struct haproxy_entry *entries, size_t len,
                      const struct haproxy_entry *wanted) {
    for (size_t i = 0; i < len; i++) {
        if (slice_eq(entries[i].key, wanted->key) && slice_eq(entries[i].value, wanted->value)) {
            return true;
        }
    }
    return false;
}

static bool map_is_as_wished(const struct haproxy_state *state, const struct haproxy_map *map,
                             const struct haproxy_entry *seen, size_t seen_len) {
    size_t wanted = 0;
    for (size_t i = 0; i < map->len; i++) {
        if (entry_counts(state, &map->entries[i])) {
            wanted++;
            if (!has_entry(seen, seen_len, &map->entries[i])) {
                return false;
            }
        }
    }
    return wanted == seen_len;
}

/* "New version created: 7" */
static bool read_version(struct slice text, int64_t *ret_version) {
    struct slice before;
    return slice_next(&text, ':', &before) &&
           slice_to_int(slice_trim(text), 0, INT64_MAX, ret_version);
}

static enum err_e send_command(struct haproxy *haproxy, struct problem *problem) {
    return haproxy_ask(&haproxy->options.socket, buf_slice(&haproxy->command), &haproxy->reply,
                       problem);
}

/* A new version is filled aside and takes over in one step: no request meets half a map. */
static enum err_e swap_map(struct haproxy *haproxy, const struct haproxy_state *state,
                           const struct haproxy_map *map, struct problem *problem) {
    int64_t version;
    size_t added = 0;
    buf_clear(&haproxy->command);
    buf_printf(&haproxy->command, "prepare map %s", map->file);
    TRY(send_command(haproxy, problem));
    if (!read_version(buf_slice(&haproxy->reply), &version)) {
        return problem_set(problem, ERR_IO, "", "'prepare map' gave no version");
    }
    buf_clear(&haproxy->command);
    buf_printf(&haproxy->command, "add map @%" PRId64 " %s <<\n", version, map->file);
    for (size_t i = 0; i < map->len; i++) {
        const struct haproxy_entry *entry = &map->entries[i];
        if (entry_counts(state, entry)) {
            buf_printf(&haproxy->command, "%.*s %.*s\n", SLICE_ARG(entry->key),
                       SLICE_ARG(entry->value));
            added++;
        }
    }
    if (added > 0) {
        TRY(send_command(haproxy, problem));
    }
    buf_clear(&haproxy->command);
    buf_printf(&haproxy->command, "commit map @%" PRId64 " %s", version, map->file);
    return send_command(haproxy, problem);
}

static void mend_map(struct haproxy *haproxy, const struct haproxy_state *state,
                     const struct haproxy_map *map) {
    struct problem problem = {.detail = ""};
    struct haproxy_entry *seen;
    size_t seen_len;
    buf_clear(&haproxy->command);
    buf_printf(&haproxy->command, "show map %s", map->file);
    enum err_e err = send_command(haproxy, &problem);
    if (err == ERR_OK) {
        err = haproxy_map_read(&haproxy->arena, buf_slice(&haproxy->reply), &seen, &seen_len);
    }
    if (err == ERR_OK && map_is_as_wished(state, map, seen, seen_len)) {
        return;
    }
    if (err == ERR_OK) {
        err = swap_map(haproxy, state, map, &problem);
    }
    tell(haproxy, &(struct haproxy_event){.what = "map", .err = err, .detail = problem.detail});
}

/* --- orders --- */

static bool give_order(struct haproxy *haproxy, const struct haproxy_order *order) {
    struct problem problem = {.detail = ""};
    buf_clear(&haproxy->command);
    haproxy_order_write(&haproxy->command, order);
    enum err_e err = haproxy->command.failed ? ERR_NO_MEMORY : send_command(haproxy, &problem);
    if (err != ERR_OK && order->kind == HAPROXY_ORDER_DELETE) {
        haproxy_note_refused_delete(&haproxy->history, order);
    }
    tell(haproxy, &(struct haproxy_event){
                      .what = haproxy_order_text(order->kind),
                      .backend = order->backend,
                      .server = order->server,
                      .err = err,
                      .detail = err == ERR_OK ? haproxy_order_why(order->kind) : problem.detail,
                  });
    return err == ERR_OK;
}

enum err_e haproxy_round(struct haproxy *haproxy, const struct haproxy_wish *wish,
                         const struct haproxy_map *map, struct haproxy_state *ret_state,
                         struct problem *ret_problem) {
    struct haproxy_orders orders;
    TRY(haproxy_wish_check(wish, ret_problem));
    TRY(haproxy_look(haproxy, ret_state, ret_problem));
    if (map != NULL && map->file != NULL) {
        mend_map(haproxy, ret_state, map);
    }
    struct haproxy_view view = {ret_state->rows, ret_state->rows_len,
                                clock_mono_us(haproxy->options.clock) / 1000};
    TRY(haproxy_plan(&haproxy->arena, wish, &view, &haproxy->history, &orders));
    for (size_t i = 0; i < orders.len; i++) {
        ret_state->refused += !give_order(haproxy, &orders.items[i]);
    }
    ret_state->orders = orders.len;
    ret_state->settled = orders.len == 0 && orders.pending == 0;
    return ERR_OK;
}
