/* SPDX-License-Identifier: Apache-2.0 */
/* The moves of a takeover. */
#include "app/node_takeover.h"

#include "app/open.h"
#include "base/log.h"

#include <unistd.h>

enum {
    WARM_US = 15000000, /* hot keys are read within seconds: longer would hold up the switch */
    LOOK_US = 50000,    /* between two looks whether the last connection has gone */
};

static int64_t now_us(void) {
    return clock_mono_us(clock_system());
}

static const char *store_kind(const struct config *config) {
    return store_sqlite_path(config) != NULL ? "sqlite" : "postgres";
}

MAY_BLOCK enum err_e node_takeover_join(struct node_takeover *takeover,
                                        const struct config *config, bool is_wanted,
                                        struct problem *ret_problem) {
    const struct taker_options options = {
        .socket = taker_inherited(),
        .listen = config->server_listen,
        .store = store_kind(config),
    };
    takeover->is_sqlite = store_sqlite_path(config) != NULL;
    return options.socket >= 0 || is_wanted ? taker_join(&options, &takeover->taker, ret_problem)
                                            : ERR_OK;
}

static void share_store(const struct node_takeover *takeover, bool is_shared) {
    if (takeover->is_sqlite) {
        sqlite_share(takeover->store, is_shared);
    }
}

/* ---- the new one ---- */

bool node_takeover_is_warm(const struct node_takeover *takeover) {
    struct keeper *keeper = node_cache_keeper(takeover->cache);
    bool is_warm = (keeper == NULL || keeper_is_warm(keeper)) &&
                   node_control_has_looked(takeover->control);
    bool is_late = now_us() - taker_begun_us(takeover->taker) > WARM_US;
    if (is_late && !is_warm) {
        log_event(LOG_WARN, "takeover_not_warm", "after_ms=%d", WARM_US / 1000);
    }
    return is_warm || is_late;
}

void node_takeover_open_loops(struct node_takeover *takeover) {
    node_agent_yield(takeover->agent, false);
    for (size_t i = 0; i < takeover->loops_len; i++) {
        node_loop_open(&takeover->loops[i]);
    }
}

bool node_takeover_loops_are_open(const struct node_takeover *takeover) {
    for (size_t i = 0; i < takeover->loops_len; i++) {
        if (!node_loop_is_open(&takeover->loops[i])) {
            return false;
        }
    }
    return true;
}

static void on_returned(struct loop_message *message) {
    struct keeper_ask *ask = (struct keeper_ask *)message;
    buf_fini(&ask->document);
}

static void read_hot_keys_again(struct node_takeover *takeover) {
    takeover->again = (struct keeper_ask){.message.fn = on_returned, .kind = KEEPER_RETURN};
    if (takeover->cache != NULL && takeover->is_sqlite &&
        keeper_ask(node_cache_keeper(takeover->cache), &takeover->again) != ERR_OK) {
        log_event(LOG_WARN, "takeover_not_warm", "reason=\"the cache takes no questions\"");
    }
}

static void be_alone(struct node_takeover *takeover) {
    taker_destroy(takeover->taker);
    takeover->taker = NULL;
    share_store(takeover, false);
    read_hot_keys_again(takeover);
    node_control_hold(takeover->control, false);
    takeover->giver = giver_create(&takeover->offer); /* NULL: told when somebody asks */
}

/* ---- the old one ---- */

MAY_BLOCK static void say_serving(const struct node_takeover *takeover, const char *news) {
    supervisor_say(takeover->supervisor, SUPERVISOR_SERVES, "Serving %s; %s", takeover->url, news);
}

MAY_BLOCK static void yield(struct node_takeover *takeover) {
    const struct config *now = takeover->now;
    takeover->yield_until_us =
        now_us() + (now->server_request_timeout_ms + now->server_drain_timeout_ms) * 1000;
    node_control_hold(takeover->control, true);
    node_agent_yield(takeover->agent, true);
    cluster_yield(takeover->cluster, true);
    for (size_t i = 0; i < takeover->loops_len; i++) {
        node_loop_yield(&takeover->loops[i]);
    }
    supervisor_say_main(takeover->supervisor, giver_pid(takeover->giver)); /* may take a second */
}

MAY_BLOCK static void resume(struct node_takeover *takeover) {
    takeover->yield_until_us = 0;
    share_store(takeover, false);
    node_takeover_open_loops(takeover);
    cluster_yield(takeover->cluster, false);
    node_control_hold(takeover->control, false);
    supervisor_say_main(takeover->supervisor, getpid());
    say_serving(takeover, "a new process took over and died");
    log_event(LOG_WARN, "takeover_resumed", "reason=\"the new process died\"");
}

static bool has_connections(const struct node_takeover *takeover) {
    uint64_t connections = 0;
    for (size_t i = 0; i < takeover->loops_len; i++) {
        struct loop_figures figures;
        if (node_loop_is_open(&takeover->loops[i])) { /* it has not heard yet */
            return true;
        }
        node_loop_figures(&takeover->loops[i], &figures);
        connections += figures.connections;
    }
    return connections > 0;
}

static bool has_yielded(const struct node_takeover *takeover) {
    if (takeover->yield_until_us == 0) {
        return false;
    }
    bool is_late = now_us() >= takeover->yield_until_us;
    if (is_late) {
        log_event(LOG_WARN, "takeover_cuts_off", "reason=\"connections are still open\"");
    }
    return is_late || !has_connections(takeover);
}

/* True: this process is to stop. */
MAY_BLOCK static bool step_giver(struct node_takeover *takeover) {
    for (;;) {
        switch (giver_step(takeover->giver, takeover->now->server_takeover_timeout_ms)) {
        case GIVER_NOTHING:
            return has_yielded(takeover);
        case GIVER_OFFERED:
            share_store(takeover, true);
            say_serving(takeover, "a new process prepares to take over");
            break;
        case GIVER_FAILED:
            share_store(takeover, false);
            say_serving(takeover, "a takeover failed: the log tells why");
            break;
        case GIVER_GIVEN:
            yield(takeover);
            break;
        case GIVER_LOST:
            resume(takeover);
            break;
        case GIVER_RELEASED:
            return true;
        }
    }
}

/* ---- while serving ---- */

void node_takeover_serve(struct node_takeover *takeover) {
    if (takeover->taker == NULL) {
        takeover->giver = giver_create(&takeover->offer);
    }
}

size_t node_takeover_watch(const struct node_takeover *takeover,
                           struct pollfd ret_fds[NODE_TAKEOVER_FDS]) {
    size_t len = takeover->giver == NULL ? 0 : giver_watch(takeover->giver, ret_fds);
    if (takeover->taker != NULL && taker_socket(takeover->taker) >= 0) {
        ret_fds[len++] =
            (struct pollfd){.fd = taker_socket(takeover->taker), .events = POLLIN};
    }
    return len;
}

int64_t node_takeover_due_us(const struct node_takeover *takeover) {
    if (takeover->yield_until_us != 0) {
        return now_us() + LOOK_US;
    }
    return takeover->giver == NULL ? INT64_MAX : giver_due_us(takeover->giver);
}

MAY_BLOCK bool node_takeover_step(struct node_takeover *takeover) {
    if (takeover->taker != NULL && taker_step(takeover->taker) == TAKER_ALONE) {
        be_alone(takeover);
    }
    return takeover->giver != NULL && step_giver(takeover);
}

void node_takeover_begin(struct node_takeover *takeover) {
    struct problem problem = {.detail = "the last takeover is not finished"};
    enum err_e err = ERR_BUSY;
    if (takeover->giver != NULL) {
        err = giver_spawn(takeover->giver, takeover->now->server_takeover_timeout_ms, &problem);
    }
    if (err != ERR_OK) {
        log_event(LOG_ERROR, "takeover_refused", "reason=\"%s\"", problem.detail);
    }
}

MAY_BLOCK void node_takeover_stop(struct node_takeover *takeover) {
    if (takeover->taker != NULL) {
        taker_say_stopping(takeover->taker);
    }
    if (takeover->giver != NULL) {
        giver_abort(takeover->giver, "the process stops");
    }
}

bool node_takeover_is_given(const struct node_takeover *takeover) {
    return takeover->giver != NULL && giver_is_given(takeover->giver);
}

bool node_takeover_shares_lock(const struct node_takeover *takeover) {
    return takeover->taker != NULL || node_takeover_is_given(takeover);
}

MAY_BLOCK void node_takeover_close(struct node_takeover *takeover) {
    giver_destroy(takeover->giver);
    taker_destroy(takeover->taker);
    takeover->giver = NULL;
    takeover->taker = NULL;
}
