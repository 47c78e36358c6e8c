/* SPDX-License-Identifier: Apache-2.0 */
/* The rounds, and what an answer is worth. */
#include "act/watcher.h"

#include "base/assert.h"
#include "base/log.h"
#include "io/pacer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { STATUS_MEMORY = 1 << 20, ASK_LINE_SIZE = INQUIRY_ASK_SIZE + 32 };

/* One ask of a round, at the place of its node. */
struct question {
    char url[WATCH_URL_SIZE + sizeof INQUIRY_PATH];
    char line[ASK_LINE_SIZE]; /* the field, whole */
    const char *ask;          /* its value, in `line` */
};

struct watcher {
    struct watcher_options options;
    struct asker asker;
    struct web_round *round;
    bool was_listed; /* there was a list once */
    struct node_list list;
    struct question questions[WATCH_NODES_MAX];
    struct web_ask asks[WATCH_NODES_MAX];
    struct arena arena; /* of one answer */
    struct pacer *pacer; /* NULL: it does not run */

    pthread_mutex_t lock; /* of what follows; its writer, the thread, reads without */
    bool has_looked; /* a round with a list has ended */
    size_t len;
    struct watched_node nodes[WATCH_NODES_MAX]; /* by id */
    struct watcher_counts counts;
};

/* ---- life ---- */

struct watcher *watcher_create(const struct watcher_options *options) {
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL) {
        return NULL;
    }
    watcher->options = *options;
    ASSERT(pthread_mutex_init(&watcher->lock, NULL) == 0);
    arena_init(&watcher->arena, STATUS_MEMORY);
    asker_init(&watcher->asker, options->secret, options->clock, options->rng);
    for (size_t i = 0; i < WATCH_NODES_MAX; i++) {
        buf_init(&watcher->asks[i].body, STATUS_BYTES_MAX);
    }
    if (options->seams.exchange == NULL) {
        watcher->round = web_round_create(&(struct web_round_options){
            .size = WATCH_NODES_MAX,
            .deadline_ms = options->deadline_ms,
            .body_max = STATUS_BYTES_MAX,
            .kept_field = INQUIRY_SEAL_FIELD,
        });
        if (watcher->round == NULL) {
            watcher_destroy(watcher);
            return NULL;
        }
    }
    return watcher;
}

MAY_BLOCK void watcher_destroy(struct watcher *watcher) {
    if (watcher == NULL) {
        return;
    }
    ASSERT(watcher->pacer == NULL);
    web_round_destroy(watcher->round);
    for (size_t i = 0; i < WATCH_NODES_MAX; i++) {
        buf_fini(&watcher->asks[i].body);
    }
    arena_fini(&watcher->arena);
    pthread_mutex_destroy(&watcher->lock);
    free(watcher);
}

static int64_t now_ms(const struct watcher *watcher) {
    return clock_mono_us(watcher->options.clock) / 1000;
}

/* ---- who is registered ---- */

static void log_state(const struct watched_node *node, int was) {
    enum member_state_e state = (enum member_state_e)node->member.state;
    bool is_bad = state == MEMBER_SUSPECT && !node->member.is_new;
    log_event(is_bad ? LOG_WARN : LOG_INFO, "node_state",
              "node=%s state=%s was=%s why=\"%s\"", node->listed.id, member_state_text(state),
              was < 0 ? "new" : member_state_text((enum member_state_e)was), node->member.why);
}

static const struct listed_node *find_listed(const struct node_list *list, const char *id) {
    for (size_t i = 0; i < list->len; i++) {
        if (strcmp(list->items[i].id, id) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

static void meet(struct watched_node *node, const struct listed_node *listed, int64_t now) {
    *node = (struct watched_node){.listed = *listed, .took_us = -1};
    status_figures_init(&node->figures);
    member_init(&node->member, now);
}

static void note_change(struct watcher *watcher, const struct watched_node *node, int was) {
    watcher->counts.changes++;
    log_state(node, was);
}

/* Another run of its process is another node. */
static void update_node(struct watcher *watcher, struct watched_node *node) {
    const struct listed_node *listed = find_listed(&watcher->list, node->listed.id);
    int64_t now = now_ms(watcher);
    int was = node->member.state;
    if (listed != NULL && strcmp(listed->incarnation, node->listed.incarnation) != 0) {
        meet(node, listed, now);
        note_change(watcher, node, was);
        return;
    }
    if (listed != NULL) {
        node->listed = *listed;
    }
    enum member_listing_e listing = listed == NULL      ? LISTING_NONE
                                    : listed->has_ended ? LISTING_ENDED
                                    : listed->drains    ? LISTING_DRAINS
                                                        : LISTING_VALID;
    if (member_list(&node->member, listing, now)) {
        note_change(watcher, node, was);
    }
}

static bool is_forgotten(const struct watcher *watcher, const struct watched_node *node) {
    return node->member.state == MEMBER_GONE &&
           now_ms(watcher) - node->member.since_ms > watcher->options.shown_ms;
}

static bool is_known(const struct watcher *watcher, const char *id) {
    for (size_t i = 0; i < watcher->len; i++) {
        if (strcmp(watcher->nodes[i].listed.id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* One that ended before it was ever met is not worth meeting. */
static void add_newcomers(struct watcher *watcher) {
    for (size_t i = 0; i < watcher->list.len; i++) {
        const struct listed_node *listed = &watcher->list.items[i];
        if (listed->has_ended || is_known(watcher, listed->id)) {
            continue;
        }
        if (watcher->len == WATCH_NODES_MAX) {
            log_event(LOG_WARN, "too_many_nodes", "node=%s most=%d", listed->id, WATCH_NODES_MAX);
            return;
        }
        struct watched_node *node = &watcher->nodes[watcher->len++];
        meet(node, listed, now_ms(watcher));
        note_change(watcher, node, -1);
    }
}

static int compare_ids(const void *left, const void *right) {
    const struct watched_node *a = left, *b = right;
    return strcmp(a->listed.id, b->listed.id);
}

static void take_list_locked(struct watcher *watcher) {
    size_t kept = 0;
    for (size_t i = 0; i < watcher->len; i++) {
        struct watched_node *node = &watcher->nodes[i];
        update_node(watcher, node);
        if (!is_forgotten(watcher, node)) {
            memmove(&watcher->nodes[kept++], node, sizeof *node);
        }
    }
    watcher->len = kept;
    add_newcomers(watcher);
    qsort(watcher->nodes, watcher->len, sizeof watcher->nodes[0], compare_ids);
}

/* ---- an answer ---- */

struct verdict {
    enum member_answer_e answer;
    char detail[MEMBER_WHY_SIZE];
    bool is_believed; /* then `status` holds */
    struct node_status status;
};

static void say(struct verdict *verdict, enum member_answer_e answer, const char *detail) {
    verdict->answer = answer;
    snprintf(verdict->detail, sizeof verdict->detail, "%s", detail);
}

static void judge_status(const struct watcher *watcher, const struct watched_node *node,
                         const struct web_ask *ask, struct verdict *verdict) {
    const struct node_status *status = &verdict->status;
    char text[MEMBER_WHY_SIZE];
    if (!slice_eq_text(status->id, node->listed.id)) {
        snprintf(text, sizeof text, "it says that it is %.*s", SLICE_ARG(status->id));
        say(verdict, ANSWER_LIES, text);
        return;
    }
    if (!slice_eq_text(status->incarnation, node->listed.incarnation)) {
        say(verdict, ANSWER_LIES, "another run of it answers than the one that registered");
        return;
    }
    verdict->is_believed = true;
    if (status->drains) {
        say(verdict, ANSWER_DRAINS, "it finishes what it has and stops");
    } else if (!status->is_ready) {
        snprintf(text, sizeof text, "%.*s", SLICE_ARG(status->reason));
        say(verdict, ANSWER_NOT_READY, text);
    } else if (ask->took_us > watcher->options.slow_ms * 1000) {
        snprintf(text, sizeof text, "it took %lld ms", (long long)(ask->took_us / 1000));
        say(verdict, ANSWER_SLOW, text);
    } else {
        say(verdict, ANSWER_GOOD, "");
    }
}

static void judge_body(struct watcher *watcher, const struct watched_node *node, size_t place,
                       struct verdict *verdict) {
    const struct web_ask *ask = &watcher->asks[place];
    struct problem problem = {.field = ""};
    char text[MEMBER_WHY_SIZE];
    if (!asker_believes(&watcher->asker, watcher->questions[place].ask, buf_slice(&ask->body),
                        slice_of(ask->kept))) {
        say(verdict, ANSWER_LIES,
            "its answer is not sealed with the cluster's secret, or answers another question");
        return;
    }
    arena_reset(&watcher->arena);
    if (status_read(&watcher->arena, buf_slice(&ask->body), &verdict->status, &problem) !=
        ERR_OK) {
        snprintf(text, sizeof text, "%.60s: %.100s", problem.field, problem.detail);
        say(verdict, ANSWER_LIES, text);
        return;
    }
    judge_status(watcher, node, ask, verdict);
}

static void judge(struct watcher *watcher, const struct watched_node *node, size_t place,
                  struct verdict *verdict) {
    const struct web_ask *ask = &watcher->asks[place];
    char text[MEMBER_WHY_SIZE];
    *verdict = (struct verdict){.is_believed = false};
    if (ask->err != ERR_OK) {
        snprintf(text, sizeof text, "%s", ask->reason);
        say(verdict, ANSWER_MISSED, text);
    } else if (ask->status == err_status(ERR_UNAUTHORIZED)) {
        say(verdict, ANSWER_LIES,
            "it refuses our question: its cluster.secret is another, or its clock is off by more "
            "than ten minutes");
    } else if (ask->status != 200) {
        snprintf(text, sizeof text, "it answers %d", ask->status);
        say(verdict, ANSWER_NOT_READY, text);
    } else {
        judge_body(watcher, node, place, verdict);
    }
}

/* Its clock was read half way between question and answer, give or take half of that time. */
static void note_skew(const struct watcher *watcher, struct watched_node *node, int64_t asked_ms,
                      const struct verdict *verdict) {
    int64_t skew_ms = verdict->status.wall_ms - (asked_ms + node->took_us / 2000);
    bool was_off = node->knows_skew && llabs(node->skew_ms) > watcher->options.skew_ms;
    bool is_off = llabs(skew_ms) > watcher->options.skew_ms;
    node->knows_skew = true;
    node->skew_ms = skew_ms;
    if (is_off != was_off) {
        log_event(is_off ? LOG_WARN : LOG_INFO, "node_clock", "node=%s ahead_ms=%lld%s",
                  node->listed.id, (long long)skew_ms,
                  is_off ? " mend=\"let both follow one time server\"" : "");
    }
}

static void hear_locked(struct watcher *watcher, struct watched_node *node, int64_t asked_ms,
                        size_t place) {
    struct verdict verdict;
    const struct web_ask *ask = &watcher->asks[place];
    int was = node->member.state;
    judge(watcher, node, place, &verdict);
    node->took_us = ask->err == ERR_OK ? ask->took_us : -1;
    watcher->counts.asks++;
    watcher->counts.misses += verdict.answer == ANSWER_MISSED;
    watcher->counts.lies += verdict.answer == ANSWER_LIES;
    if (verdict.is_believed) {
        node->is_heard = true;
        node->heard_us = clock_mono_us(watcher->options.clock);
        node->age_ms = verdict.status.age_ms;
        node->figures = verdict.status.figures;
        note_skew(watcher, node, asked_ms, &verdict);
    }
    if (member_hear(&node->member, verdict.answer, verdict.detail, &watcher->options.policy,
                    now_ms(watcher))) {
        note_change(watcher, node, was);
    }
}

/* ---- a round ---- */

static bool prepare(struct watcher *watcher, size_t place) {
    const struct watched_node *node = &watcher->nodes[place];
    struct question *question = &watcher->questions[place];
    struct web_ask *ask = &watcher->asks[place];
    snprintf(question->url, sizeof question->url, "%s%s", node->listed.url, INQUIRY_PATH);
    int len = snprintf(question->line, sizeof question->line, "%s: ", INQUIRY_ASK_FIELD);
    question->ask = question->line + len;
    ask->url = question->url;
    ask->field = question->line;
    return asker_ask(&watcher->asker, slice_of(node->listed.id), question->line + len);
}

static void count_states_locked(struct watcher *watcher) {
    struct watcher_counts *counts = &watcher->counts;
    memset(counts->states, 0, sizeof counts->states);
    counts->skew_ms_max = 0;
    for (size_t i = 0; i < watcher->len; i++) {
        const struct watched_node *node = &watcher->nodes[i];
        counts->states[node->member.state]++;
        if (node->knows_skew && llabs(node->skew_ms) > counts->skew_ms_max) {
            counts->skew_ms_max = llabs(node->skew_ms);
        }
    }
    counts->rounds++;
}

static void exchange(struct watcher *watcher, size_t len) {
    const struct watcher_seams *seams = &watcher->options.seams;
    if (seams->exchange != NULL) {
        seams->exchange(seams->data, watcher->asks, len);
    } else {
        web_round_run(watcher->round, watcher->asks, len);
    }
}

MAY_BLOCK void watcher_turn(struct watcher *watcher) {
    const struct watcher_seams *seams = &watcher->options.seams;
    bool is_listed = seams->list(seams->data, &watcher->list);
    watcher->was_listed = watcher->was_listed || is_listed;
    pthread_mutex_lock(&watcher->lock);
    if (is_listed) {
        take_list_locked(watcher);
    }
    pthread_mutex_unlock(&watcher->lock);
    bool is_ready = true;
    for (size_t i = 0; i < watcher->len; i++) {
        is_ready = is_ready && prepare(watcher, i);
    }
    if (!is_ready) {
        log_event(LOG_ERROR, "watch_skipped", "err=%s", err_code(ERR_NO_MEMORY));
        return;
    }
    int64_t asked_ms = clock_wall_ms(watcher->options.clock);
    exchange(watcher, watcher->len);
    pthread_mutex_lock(&watcher->lock);
    for (size_t i = 0; i < watcher->len; i++) {
        hear_locked(watcher, &watcher->nodes[i], asked_ms, i);
    }
    count_states_locked(watcher);
    watcher->has_looked = watcher->was_listed;
    pthread_mutex_unlock(&watcher->lock);
}

bool watcher_read(struct watcher *watcher, struct watched_node *nodes, size_t *ret_len) {
    pthread_mutex_lock(&watcher->lock);
    *ret_len = watcher->len;
    memcpy(nodes, watcher->nodes, watcher->len * sizeof *nodes);
    bool has_looked = watcher->has_looked;
    pthread_mutex_unlock(&watcher->lock);
    return has_looked;
}

void watcher_count(struct watcher *watcher, struct watcher_counts *ret_counts) {
    pthread_mutex_lock(&watcher->lock);
    *ret_counts = watcher->counts;
    pthread_mutex_unlock(&watcher->lock);
}

/* ---- the thread ---- */

MAY_BLOCK static void turn(void *watcher) {
    watcher_turn(watcher);
}

enum err_e watcher_start(struct watcher *watcher) {
    watcher->pacer = pacer_start(&(struct pacer_options){.name = "watcher",
                                                         .every_ms = watcher->options.period_ms,
                                                         .turn = turn,
                                                         .data = watcher});
    return watcher->pacer == NULL ? ERR_NO_MEMORY : ERR_OK;
}

MAY_BLOCK void watcher_stop(struct watcher *watcher) {
    pacer_stop(watcher->pacer);
    watcher->pacer = NULL;
}
