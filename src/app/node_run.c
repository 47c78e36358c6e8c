/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node from its first loop to its last: waiting for signals, for loops and for the other process
 * of a takeover.
 */
#include "app/node_priv.h"

#include "app/open.h"
#include "base/assert.h"
#include "base/log.h"
#include "optimizer/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* The last part of the drain time is for closing what was cut off: a tenth, at most a second. */
enum {
    CACHE_SAVE_EVERY_MS = 300000,
    ERASED_LOOK_MS = 1000, /* whether the roster's file may name somebody erased */
    TAKEOVER_LOOK_MS = 10,
};
enum { CUT_OFF_SHARE = 10, CUT_OFF_MAX_MS = 1000 };

/* ---- Waiting ---- */

static size_t count_loops(const struct node *node, enum node_loop_state_e state) {
    size_t count = 0;
    for (size_t i = 0; i < node->loops_len; i++) {
        count += node_loop_state(&node->loops[i]) == state;
    }
    return count;
}

/* The number of a signal that came through `fd`; 0: none did. */
static int read_signal(int fd) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

/* A sign of life, if one is due: only while every loop turns. A hanging one is the supervisor's to
 * end. Those that drain have a bound of their own. */
MAY_BLOCK static void beat(struct node *node) {
    enum supervisor_life_e life = SUPERVISOR_LIVES;
    if (!supervisor_beat_is_due(&node->supervisor)) {
        return;
    }
    for (size_t i = 0; i < node->loops_len && !node->is_stopping; i++) {
        if (!node_loop_turns(&node->loops[i])) {
            log_event(LOG_ERROR, "loop_hangs", "loop=%zu effect=\"no sign of life\"", i);
            life = SUPERVISOR_HANGS;
        }
    }
    supervisor_beat(&node->supervisor, life);
}

/* `timeout_ms` (-1: for ever), or less when a sign of life is due earlier. */
static int bounded_ms(const struct node *node, int64_t timeout_ms) {
    int64_t due_us = node->supervisor.due_us;
    if (due_us != INT64_MAX) {
        int64_t left_us = due_us - clock_mono_us(clock_system());
        int64_t left_ms = left_us <= 0 ? 0 : left_us / 1000 + 1;
        timeout_ms = timeout_ms < 0 || left_ms < timeout_ms ? left_ms : timeout_ms;
    }
    return timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
}

/* Waits for a signal, a move of a loop, or a word of another process of a takeover, up to
 * `timeout_ms` (-1: for ever). Returns SIGTERM or SIGINT, else 0. Orders are only waited for when
 * `ret_order` is there for one, and so are words. */
MAY_BLOCK static int wait_event(struct node *node, int64_t timeout_ms, int *ret_order) {
    enum { OWN = 3 };
    struct pollfd fds[OWN + NODE_TAKEOVER_FDS] = {{.fd = node->signal_fd, .events = POLLIN},
                                                  {.fd = node->parts.wake, .events = POLLIN},
                                                  {.fd = node->order_fd, .events = POLLIN}};
    size_t len = ret_order == NULL ? OWN - 1
                                   : OWN + node_takeover_watch(&node->takeover, fds + OWN);
    int ready = poll(fds, len, bounded_ms(node, timeout_ms));
    ASSERT(ready >= 0 || errno == EINTR);
    uint64_t moves;
    ssize_t ignored = read(node->parts.wake, &moves, sizeof moves);
    (void)ignored; /* EAGAIN: nobody moved; the states are what counts */
    beat(node);
    if (ret_order != NULL) {
        *ret_order = read_signal(node->order_fd);
    }
    return read_signal(node->signal_fd);
}

MAY_BLOCK static enum err_e wait_serving(struct node *node, int *ret_signal) {
    *ret_signal = 0;
    while (count_loops(node, NODE_LOOP_NEW) > 0) {
        int signal_number = wait_event(node, -1, NULL);
        *ret_signal = signal_number != 0 ? signal_number : *ret_signal;
    }
    return count_loops(node, NODE_LOOP_FAILED) == 0
               ? ERR_OK
               : problem_set(node->problem, ERR_NO_MEMORY, "",
                             "a loop could not start: see the log lines above");
}

/* Until every loop has ended or `until_us` has passed; a second signal ends the process. */
MAY_BLOCK static bool wait_ended(struct node *node, int64_t until_us) {
    size_t gone = count_loops(node, NODE_LOOP_ENDED) + count_loops(node, NODE_LOOP_FAILED);
    while (gone < node->loops_len) {
        int64_t left_us = until_us - clock_mono_us(clock_system());
        if (left_us <= 0) {
            return false;
        }
        if (wait_event(node, left_us / 1000 + 1, NULL) != 0) {
            log_event(LOG_WARN, "stopped_at_once", "reason=\"second signal\"");
            _exit(1); /* what is acknowledged is durable; what is in flight gets no answer */
        }
        gone = count_loops(node, NODE_LOOP_ENDED) + count_loops(node, NODE_LOOP_FAILED);
    }
    return true;
}

/* ---- Stages ---- */

MAY_BLOCK static enum err_e start_loops(struct node *node, size_t loops) {
    node->loops = calloc(loops, sizeof *node->loops);
    if (node->loops == NULL) {
        return problem_set(node->problem, ERR_NO_MEMORY, "", "no memory for %zu loops", loops);
    }
    for (size_t i = 0; i < loops; i++) {
        if (node_loop_start(&node->loops[i], (int)i, &node->parts) != ERR_OK) {
            return problem_set(node->problem, ERR_NO_MEMORY, "server.loops",
                               "loop %zu of %zu could not start", i + 1, loops);
        }
        node->loops_len++;
    }
    return ERR_OK;
}

MAY_BLOCK bool node_stop_loops(struct node *node) {
    int64_t begun_us = clock_mono_us(clock_system());
    int64_t drain_ms = node->reload.now.server_drain_timeout_ms;
    int64_t closing_ms = drain_ms / CUT_OFF_SHARE;
    closing_ms = closing_ms < CUT_OFF_MAX_MS ? closing_ms : CUT_OFF_MAX_MS;
    node->is_stopping = true;
    atomic_store(&node->api_node.draining, true);
    cluster_drain(node->cluster);
    node_agent_drain(node->agent);
    db_service_drain(node->api_node.optimizer); /* a run may take long: nobody waits for it */
    for (size_t i = 0; i < node->loops_len; i++) {
        if (node_loop_state(&node->loops[i]) == NODE_LOOP_SERVING) {
            node_loop_drain(&node->loops[i]);
        }
    }
    if (wait_ended(node, begun_us + (drain_ms - closing_ms) * 1000)) {
        return true;
    }
    log_event(LOG_WARN, "cutting_off", "after_ms=%lld", (long long)(drain_ms - closing_ms));
    for (size_t i = 0; i < node->loops_len; i++) {
        node_loop_cut_off(&node->loops[i]);
    }
    /* Even with no time to drain, loops get a moment to close: an exit without it would look
     * failed. */
    int64_t closing_us = (closing_ms > 100 ? closing_ms : 100) * 1000;
    return wait_ended(node, clock_mono_us(clock_system()) + closing_us);
}

MAY_BLOCK static void say_ready(struct node *node) {
    printf("ready url=%s pid=%ld\n", node->url, (long)getpid());
    fflush(stdout);
    log_event(LOG_INFO, "ready", "url=%s", node->url);
    supervisor_say(&node->supervisor, SUPERVISOR_SERVES, "Serving %s", node->url);
    supervisor_begin_beats(&node->supervisor);
}

static void prepare_reload(struct node *node) {
    node->reload.api_node = &node->api_node;
    node->reload.cache = node->parts.cache;
    node->reload.loops = node->loops;
    node->reload.loops_len = node->loops_len;
    node->reload.connections_max = node->connections_max;
}

static void write_roster(void *data, struct buf *to) {
    struct node *node = data;
    keeper_write_roster(node_cache_keeper(node->parts.cache), to);
}

static void prepare_takeover(struct node *node, char *const *argv) {
    struct node_takeover *takeover = &node->takeover;
    takeover->now = &node->reload.now;
    takeover->loops = node->loops;
    takeover->loops_len = node->loops_len;
    takeover->store = node->api_node.store;
    takeover->cache = node->parts.cache;
    takeover->control = node->control;
    takeover->agent = node->agent;
    takeover->cluster = node->cluster;
    takeover->supervisor = &node->supervisor;
    takeover->url = node->url;
    supervisor_variables(&node->supervisor, node->variables);
    takeover->offer = (struct giver_options){
        .listen_fd = node->parts.listen_fd,
        .lock_fd = node->lock_fd,
        .agent_fd = node_agent_socket(node->agent),
        .listen = node->config->server_listen,
        .address = node->address,
        .store = takeover->is_sqlite ? "sqlite" : "postgres",
        .argv = argv,
        .variables = node->variables,
        .write_roster = node->parts.cache == NULL ? NULL : write_roster,
        .data = node,
    };
}

/* Waits until `is_done`, for as long as the other process lets this one. */
MAY_BLOCK static enum err_e wait_for_takeover(struct node *node,
                                              bool (*is_done)(const struct node_takeover *takeover),
                                              int *ret_signal) {
    while (*ret_signal == 0 && !is_done(&node->takeover)) {
        *ret_signal = wait_event(node, TAKEOVER_LOOK_MS, NULL);
        if (taker_step(node->takeover.taker) == TAKER_REFUSED) {
            return problem_set(node->problem, ERR_CONFLICT, "",
                               "the running process goes on by itself: %.150s",
                               taker_reason(node->takeover.taker));
        }
    }
    return ERR_OK;
}

static bool is_let_in(const struct node_takeover *takeover) {
    return taker_is_let_in(takeover->taker);
}

/* From a process that is prepared to one that serves. */
MAY_BLOCK static enum err_e take_over(struct node *node, int *ret_signal) {
    struct node_takeover *takeover = &node->takeover;
    TRY(wait_for_takeover(node, node_takeover_is_warm, ret_signal));
    taker_say_ready(takeover->taker);
    TRY(wait_for_takeover(node, is_let_in, ret_signal));
    if (*ret_signal != 0) {
        return ERR_OK;
    }
    node_takeover_open_loops(takeover);
    while (!node_takeover_loops_are_open(takeover)) {
        int signal_number = wait_event(node, -1, NULL);
        *ret_signal = signal_number != 0 ? signal_number : *ret_signal;
    }
    if (node->lock_fd >= 0) {
        store_lock_sign(node->lock_fd);
    }
    taker_say_serving(takeover->taker);
    return ERR_OK;
}

static int64_t wait_ms(const struct node *node, int64_t saved_us) {
    int64_t due_us = saved_us + (int64_t)CACHE_SAVE_EVERY_MS * 1000;
    int64_t takeover_us = node_takeover_due_us(&node->takeover);
    due_us = takeover_us < due_us ? takeover_us : due_us;
    int64_t left_us = due_us - clock_mono_us(clock_system());
    int64_t left_ms = left_us <= 0 ? 0 : left_us / 1000 + 1;
    return left_ms < ERASED_LOOK_MS ? left_ms : ERASED_LOOK_MS;
}

MAY_BLOCK static void reload(struct node *node) {
    struct supervisor *supervisor = &node->supervisor;
    supervisor_say(supervisor, SUPERVISOR_RELOADS, "Reading the configuration");
    bool is_taken = node_reload(&node->reload); /* told in the log */
    supervisor_say(supervisor, SUPERVISOR_SERVES, "Serving %s; the configuration %s", node->url,
                   is_taken ? "was read again"
                            : "is broken and was not taken: the log tells where");
}

MAY_BLOCK static void follow_order(struct node *node, int order) {
    if (order != 0 && node_takeover_is_given(&node->takeover)) {
        log_event(LOG_WARN, "order_refused", "signal=%s reason=\"process %ld serves now\"",
                  order == SIGHUP ? "SIGHUP" : "SIGUSR2",
                  (long)giver_pid(node->takeover.giver));
    } else if (order == SIGHUP) {
        reload(node);
    } else if (order == SIGUSR2 && node->kind == NODE_CONTROLLER) {
        log_event(LOG_WARN, "order_refused", "signal=SIGUSR2 reason=\"a standby takes over from a "
                                             "controller: start one, then stop this\"");
    } else if (order == SIGUSR2) {
        node_takeover_begin(&node->takeover);
    }
}

static bool is_save_due(int64_t saved_us) {
    return clock_mono_us(clock_system()) - saved_us >= (int64_t)CACHE_SAVE_EVERY_MS * 1000;
}

/* Returns the signal that ended it; 0: another process has taken over. */
MAY_BLOCK static int serve(struct node *node) {
    int64_t saved_us = clock_mono_us(clock_system());
    for (;;) {
        int order;
        int signal_number = wait_event(node, wait_ms(node, saved_us), &order);
        follow_order(node, order);
        if (signal_number != 0 || node_takeover_step(&node->takeover)) {
            return signal_number;
        }
        if (node_cache_has_forgotten(node->parts.cache) || is_save_due(saved_us)) {
            node_cache_save(node->parts.cache); /* a node that is killed has not much forgotten */
            saved_us = clock_mono_us(clock_system());
        }
    }
}

MAY_BLOCK enum err_e node_run(struct node *node, size_t loops, char *const *argv) {
    int signal_number;
    enum err_e started = start_loops(node, loops);
    enum err_e serving = wait_serving(node, &signal_number); /* those that did start, in any case */
    TRY(started);
    TRY(serving);
    prepare_reload(node);
    prepare_takeover(node, argv);
    if (node->takeover.taker != NULL) {
        TRY(take_over(node, &signal_number));
    }
    if (signal_number == 0) {
        cluster_register(node->cluster);
        say_ready(node);
        node_takeover_serve(&node->takeover);
        signal_number = serve(node);
    }
    node_takeover_stop(&node->takeover);
    if (signal_number != 0) {
        supervisor_say(&node->supervisor, SUPERVISOR_STOPS, "Finishing what is in flight");
    }
    log_event(LOG_INFO, "stopping", "reason=%s",
              signal_number == 0         ? "taken_over"
              : signal_number == SIGTERM ? "SIGTERM"
                                         : "SIGINT");
    return ERR_OK;
}
