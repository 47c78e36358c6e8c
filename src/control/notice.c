/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of a receiver:
 *
 *              something new                 group_wait has passed: told
 *   CLOSED ─────────────────────► WAITING ──────────────────────────────► OPEN ─┐ told again:
 *     ▲  ▲                          │                                     │  ▲  │ group_interval
 *     │  └──────────────────────────┘                                     │  └──┘ after a change,
 *     │         it is gone again                                          │       or after
 *     └───────────────────────────────────────────────────────────────────┘    repeat_interval
 *                  nothing of it fires any more, and that was told
 *
 * 1. `told` of a receiver is what it was told last of each subject; it changes with a notice that
 *    was taken, and silently for what is silenced or not severe enough.
 * 2. What fires and resolves before it was told is never told.
 * 3. While an alert flaps it counts as firing: it is told once, and resolved when it is calm.
 * 4. That a person is needed is told at once.
 * 5. What an earlier controller told as firing fires until there is evidence, as a rule resolves on
 *    evidence: neither a rule that must hold for a while nor a node that was not asked yet is any.
 */
#include "control/notice.h"

#include "base/assert.h"

enum { TOLD_FIRES = 1, TOLD_ABSENT = 2, TOLD_CALLED = 4 };

#define MINUTE_MS 60000
#define ALERTMANAGER_INTERVAL_MS 10000
#define ALERTMANAGER_REPEAT_MS 60000

static const char *const state_words[] = {
#define X(name, text) text,
    NOTICE_STATE_TABLE(X)
#undef X
};

const char *notice_state_text(enum notice_state_e state) {
    return state_words[state];
}

void notices_init(struct notices *notices) {
    memset(notices, 0, sizeof *notices);
    for (size_t i = 0; i < RECEIVERS_MAX; i++) {
        for (size_t k = 0; k < NOTICE_GROUPS_MAX; k++) {
            notices->receivers[i].groups[k] = (struct notice_group){TIME_NONE, TIME_NONE};
        }
    }
}

struct notice_pace notice_pace_of(const struct receiver *receiver) {
    int64_t repeat_ms = receiver->repeat_interval_ms;
    if (receiver->type == RECEIVER_ALERTMANAGER) {
        return (struct notice_pace){
            .group_by = GROUP_BY_ALL,
            .wait_ms = 0,
            .interval_ms = ALERTMANAGER_INTERVAL_MS,
            .repeat_ms = repeat_ms < ALERTMANAGER_REPEAT_MS ? repeat_ms : ALERTMANAGER_REPEAT_MS};
    }
    return (struct notice_pace){.group_by = (enum group_by_e)receiver->group_by,
                                .wait_ms = receiver->group_wait_ms,
                                .interval_ms = receiver->group_interval_ms,
                                .repeat_ms = repeat_ms};
}

/* ---- silences ---- */

static bool fits(struct slice pattern, struct slice text) {
    bool has_star = pattern.len > 0 && pattern.at[pattern.len - 1] == '*';
    return pattern.len == 0 ||
           (has_star ? slice_starts_with(text, slice_from(pattern.at, pattern.len - 1))
                     : slice_eq(text, pattern));
}

bool silence_covers(const struct silence *silence, const struct alert_rule *rule,
                    struct slice node) {
    return fits(silence->rule, slice_of(rule->name)) && fits(silence->node, node) &&
           (silence->severity < 0 || silence->severity == rule->severity);
}

static bool is_silenced(const struct notice_scene *scene, const struct alert_rule *rule,
                        struct slice node) {
    for (size_t i = 0; i < scene->silences_len; i++) {
        if (silence_covers(&scene->silences[i], rule, node)) {
            return true;
        }
    }
    return false;
}

/* ---- what is ---- */

static struct slice subject_id(const struct subject *subject) {
    return slice_from(subject->id, subject->id_len);
}

/* The nodes' subjects are looked for from where the last one was: they come in the same order
 * mostly. NULL: there is none, and no room when `ret_free` is NULL too. */
static struct subject *find_node(struct notices *notices, int rule, struct slice id,
                                 size_t *cursor, struct subject **ret_free) {
    size_t places = notices->node_places;
    *ret_free = places < NODE_ALERTS_MAX ? &notices->subjects[ALERT_RULES_MAX + places] : NULL;
    for (size_t i = 0; i < places; i++) {
        size_t place = (*cursor + i) % places;
        struct subject *subject = &notices->subjects[ALERT_RULES_MAX + place];
        if (!subject->is_used) {
            *ret_free = subject;
        } else if (subject->rule == rule && slice_eq(subject_id(subject), id)) {
            *cursor = place + 1;
            return subject;
        }
    }
    return NULL;
}

static bool is_worth_telling(const struct alert *alert) {
    return alert->state == ALERT_FIRING || alert->data == ALERT_DATA_ABSENT;
}

static void observe(const struct notice_scene *scene, struct subject *subject,
                    const struct alert *alert, bool is_called) {
    const struct alert_rule *rule = &scene->policy->rules[subject->rule];
    bool was_firing = subject->fires;
    subject->is_seen = true;
    subject->is_flapping = alert_is_flapping(alert, scene->now_ms);
    subject->may_fire &= alert->state != ALERT_FIRING && !alert_is_calm(alert);
    subject->may_be_absent &= alert->data == ALERT_DATA_MISSING;
    subject->fires = alert->state == ALERT_FIRING || (was_firing && subject->is_flapping) ||
                     subject->may_fire;
    subject->is_absent = alert->data == ALERT_DATA_ABSENT || subject->may_be_absent;
    subject->is_called = is_called && subject->fires;
    subject->is_silenced = is_silenced(scene, rule, subject_id(subject));
    if (figure_is_known(alert->value)) {
        subject->value = alert->value;
    }
    if (subject->fires && !was_firing) {
        subject->since_ms = scene->wall_ms - (scene->now_ms - alert->changed_ms);
        subject->ended_ms = TIME_NONE;
    } else if (!subject->fires && was_firing) {
        subject->ended_ms = scene->wall_ms;
    }
}

static void begin_subject(struct subject *subject, int rule, struct slice id, int64_t wall_ms) {
    *subject = (struct subject){.is_used = true,
                                .rule = rule,
                                .value = FIGURE_MISSING,
                                .since_ms = wall_ms,
                                .ended_ms = TIME_NONE,
                                .id_len = id.len};
    if (id.len > 0) {
        memcpy(subject->id, id.at, id.len);
    }
}

static void look_at_rules(struct notices *notices, const struct notice_scene *scene) {
    for (size_t i = 0; i < scene->policy->rules_len; i++) {
        const struct alert *alert = &scene->rules->alerts[i];
        struct subject *subject = &notices->subjects[i];
        if (scene->policy->rules[i].disabled || rule_is_per_node(&scene->policy->rules[i]) ||
            (!subject->is_used && !is_worth_telling(alert))) {
            continue;
        }
        if (!subject->is_used) {
            begin_subject(subject, (int)i, SLICE_NONE, scene->wall_ms);
        }
        observe(scene, subject, alert, scene->climbs[i].is_called);
    }
}

static void count_places(struct notices *notices) {
    size_t places = NODE_ALERTS_MAX;
    while (places > 0 && !notices->subjects[ALERT_RULES_MAX + places - 1].is_used) {
        places--;
    }
    notices->node_places = places;
}

static void look_at_nodes(struct notices *notices, const struct notice_scene *scene) {
    size_t cursor = 0;
    for (size_t i = 0; i < scene->rules->nodes_len; i++) {
        const struct node_alert *node = &scene->rules->nodes[i];
        struct subject *free_place;
        struct subject *subject = find_node(notices, node->rule, node_alert_id(node), &cursor,
                                            &free_place);
        if (subject == NULL && (free_place == NULL || !is_worth_telling(&node->alert))) {
            continue;
        }
        if (subject == NULL) {
            subject = free_place;
            begin_subject(subject, node->rule, node_alert_id(node), scene->wall_ms);
            count_places(notices);
        }
        bool is_worst = scene->rules->worst[node->rule] == (int)i;
        observe(scene, subject, &node->alert, is_worst && scene->climbs[node->rule].is_called);
    }
}

/* The node left: nothing fires of it any more. */
static void forget_unseen(struct notices *notices, const struct notice_scene *scene) {
    for (size_t i = 0; i < NOTICE_SUBJECTS_MAX; i++) {
        struct subject *subject = &notices->subjects[i];
        bool may_come = subject->id_len > 0 && !scene->knows_nodes &&
                        (subject->may_fire || subject->may_be_absent);
        if (subject->is_used && !subject->is_seen && !may_come) {
            subject->ended_ms = subject->fires ? scene->wall_ms : subject->ended_ms;
            subject->fires = subject->is_absent = subject->is_called = false;
            subject->may_fire = subject->may_be_absent = false;
        }
        subject->is_seen = false;
    }
}

/* ---- what a receiver was told ---- */

/* One receiver at one step. */
struct telling {
    struct notices *notices;
    const struct notice_scene *scene;
    const struct receiver *receiver;
    struct notice_receiver *state;
    struct notice_pace pace;
    size_t place;
    bool is_new[NOTICE_GROUPS_MAX], is_urgent[NOTICE_GROUPS_MAX], is_due[NOTICE_GROUPS_MAX];
    bool is_standing[NOTICE_GROUPS_MAX]; /* something of it fires or is absent */
};

static unsigned char bits_of(const struct subject *subject) {
    return (unsigned char)((subject->fires ? TOLD_FIRES : 0) |
                           (subject->is_absent ? TOLD_ABSENT : 0) |
                           (subject->is_called ? TOLD_CALLED : 0));
}

static size_t group_of(const struct telling *telling, const struct subject *subject) {
    switch (telling->pace.group_by) {
    case GROUP_BY_RULE:
        return (size_t)subject->rule;
    case GROUP_BY_SEVERITY:
        return (size_t)telling->scene->policy->rules[subject->rule].severity;
    case GROUP_BY_ALL:
        return 0;
    }
    UNREACHABLE();
}

static struct slice group_name(const struct telling *telling, size_t group) {
    switch (telling->pace.group_by) {
    case GROUP_BY_RULE:
        return slice_of(telling->scene->policy->rules[group].name);
    case GROUP_BY_SEVERITY:
        return slice_of(severity_text((enum severity_e)group));
    case GROUP_BY_ALL:
        return SLICE_LIT("all");
    }
    UNREACHABLE();
}

static bool is_for(const struct telling *telling, const struct subject *subject) {
    return !subject->is_silenced && telling->scene->policy->rules[subject->rule].severity >=
                                        telling->receiver->severity;
}

static void compare(struct telling *telling, size_t place) {
    const struct subject *subject = &telling->notices->subjects[place];
    unsigned char *told = &telling->state->told[place];
    if (!subject->is_used || !is_for(telling, subject)) {
        *told = 0;
        return;
    }
    unsigned char now = bits_of(subject);
    if (!telling->receiver->resolved) {
        *told &= now; /* that it ended is not told */
    }
    *told &= (unsigned char)~(TOLD_CALLED & ~now); /* and nobody is told not to come */
    size_t group = group_of(telling, subject);
    telling->is_new[group] |= *told != now;
    telling->is_urgent[group] |= (now & ~*told & TOLD_CALLED) != 0;
    telling->is_standing[group] |= now != 0;
}

static bool is_group_due(struct telling *telling, size_t place) {
    struct notice_group *group = &telling->state->groups[place];
    int64_t now_ms = telling->scene->now_ms;
    bool is_new = telling->is_new[place];
    if (telling->is_urgent[place]) {
        return true;
    }
    if (group->told_ms == TIME_NONE) {
        group->wait_from_ms = !is_new                            ? TIME_NONE
                              : group->wait_from_ms == TIME_NONE ? now_ms
                                                                 : group->wait_from_ms;
        return is_new && now_ms - group->wait_from_ms >= telling->pace.wait_ms;
    }
    int64_t since_ms = now_ms - group->told_ms;
    return is_new ? since_ms >= telling->pace.interval_ms
                  : telling->is_standing[place] && since_ms >= telling->pace.repeat_ms;
}

/* Nothing of the group stands and nothing is left to tell: the next thing waits for company
 * anew. */
static void close_group(struct telling *telling, size_t place) {
    struct notice_group *group = &telling->state->groups[place];
    bool is_over = !telling->is_standing[place] && !telling->is_new[place];
    if (is_over) {
        *group = (struct notice_group){TIME_NONE, TIME_NONE};
    }
}

/* ---- a notice ---- */

static struct notice_item item_of(const struct subject *subject, enum notice_state_e state) {
    return (struct notice_item){.rule = (size_t)subject->rule,
                                .node = subject_id(subject),
                                .state = state,
                                .needs_person = state == NOTICE_FIRING && subject->is_called,
                                .is_flapping = subject->is_flapping,
                                .value = subject->value,
                                .since_ms = subject->since_ms,
                                .ended_ms = subject->ended_ms};
}

static void add_item(struct notice *notice, const struct subject *subject,
                     enum notice_state_e state) {
    if (notice->len == NOTICE_ITEMS_MAX) {
        notice->more++;
    } else {
        notice->items[notice->len++] = item_of(subject, state);
    }
}

/* Every subject of the groups that are told, in this state. */
static void add_items(struct telling *telling, const bool *groups, enum notice_state_e state) {
    for (size_t i = 0; i < NOTICE_SUBJECTS_MAX; i++) {
        const struct subject *subject = &telling->notices->subjects[i];
        if (!subject->is_used || !is_for(telling, subject) ||
            !groups[group_of(telling, subject)]) {
            continue;
        }
        unsigned char told = telling->state->told[i];
        unsigned char gone = (unsigned char)(told & ~bits_of(subject) & (TOLD_FIRES | TOLD_ABSENT));
        bool is_it = state == NOTICE_FIRING   ? subject->fires
                     : state == NOTICE_ABSENT ? subject->is_absent
                                              : gone != 0 && !subject->fires;
        if (is_it) {
            add_item(&telling->notices->notice, subject, state);
        }
    }
}

static void note_told(struct telling *telling, const bool *groups) {
    for (size_t i = 0; i < NOTICE_SUBJECTS_MAX; i++) {
        const struct subject *subject = &telling->notices->subjects[i];
        if (subject->is_used && is_for(telling, subject) && groups[group_of(telling, subject)]) {
            telling->state->told[i] = bits_of(subject);
        }
    }
    for (size_t i = 0; i < NOTICE_GROUPS_MAX; i++) {
        if (groups[i]) {
            telling->state->groups[i] = (struct notice_group){TIME_NONE, telling->scene->now_ms};
            telling->is_new[i] = false;
        }
    }
}

static bool is_within_rate(const struct telling *telling) {
    const struct notice_receiver *state = telling->state;
    int64_t oldest_ms = state->told_ms[state->told_len % NOTICES_A_MINUTE];
    return state->told_len < NOTICES_A_MINUTE || telling->scene->now_ms - oldest_ms >= MINUTE_MS;
}

/* False: not now. */
static bool tell(struct telling *telling, struct slice name, const bool *groups, notice_fn fn,
                 void *data) {
    struct notice *notice = &telling->notices->notice;
    notice->receiver = telling->place;
    notice->group = name;
    notice->len = notice->more = 0;
    notice->is_repeat = true;
    for (size_t i = 0; i < NOTICE_GROUPS_MAX; i++) {
        notice->is_repeat &= !(groups[i] && telling->is_new[i]);
    }
    add_items(telling, groups, NOTICE_FIRING);
    add_items(telling, groups, NOTICE_ABSENT);
    add_items(telling, groups, NOTICE_RESOLVED);
    if (!is_within_rate(telling) || (notice->len > 0 && !fn(notice, data))) {
        return false;
    }
    if (notice->len > 0) {
        struct notice_receiver *state = telling->state;
        state->told_ms[state->told_len++ % NOTICES_A_MINUTE] = telling->scene->now_ms;
    }
    note_told(telling, groups);
    return true;
}

static void tell_groups(struct telling *telling, notice_fn fn, void *data) {
    size_t due = 0;
    for (size_t i = 0; i < NOTICE_GROUPS_MAX; i++) {
        telling->is_due[i] = is_group_due(telling, i);
        due += telling->is_due[i];
    }
    if (due > NOTICE_BURST_MAX) {
        (void)tell(telling, SLICE_LIT("all"), telling->is_due, fn, data);
        return;
    }
    for (size_t i = 0; i < NOTICE_GROUPS_MAX; i++) {
        bool one[NOTICE_GROUPS_MAX] = {false};
        one[i] = true;
        if (telling->is_due[i] && !tell(telling, group_name(telling, i), one, fn, data)) {
            return; /* with a later step */
        }
    }
}

static void step_receiver(struct telling *telling, notice_fn fn, void *data) {
    for (size_t i = 0; i < NOTICE_SUBJECTS_MAX; i++) {
        compare(telling, i);
    }
    tell_groups(telling, fn, data);
    for (size_t i = 0; i < NOTICE_GROUPS_MAX; i++) {
        close_group(telling, i);
    }
}

/* ---- what an earlier controller told ---- */

/* NULL: the rule is another by now, or there is no room. */
static struct subject *recall_subject(struct notices *notices, const struct notice_scene *scene,
                                      const struct told_before *told, size_t *cursor) {
    bool is_of_node = told->node.len > 0 && told->node.len <= NODE_ID_MAX;
    struct subject *subject = &notices->subjects[told->rule], *free_place = subject;
    if (is_of_node != rule_is_per_node(&scene->policy->rules[told->rule])) {
        return NULL;
    }
    if (is_of_node) {
        subject = find_node(notices, (int)told->rule, told->node, cursor, &free_place);
        subject = subject == NULL ? free_place : subject;
    }
    if (subject != NULL && !subject->is_used) {
        begin_subject(subject, (int)told->rule, told->node, scene->wall_ms);
        count_places(notices);
    }
    return subject;
}

static void recall_one(struct notices *notices, const struct notice_scene *scene,
                       const struct told_before *told, size_t *cursor) {
    const struct notice_pace pace = notice_pace_of(&scene->policy->receivers[told->receiver]);
    struct subject *subject = recall_subject(notices, scene, told, cursor);
    if (subject == NULL) {
        return;
    }
    unsigned char *bits = &notices->receivers[told->receiver].told[subject - notices->subjects];
    if (told->state == NOTICE_RESOLVED || scene->wall_ms - told->at_ms > 2 * pace.repeat_ms) {
        *bits = 0;
    } else if (told->state == NOTICE_ABSENT) {
        *bits |= TOLD_ABSENT;
    } else {
        *bits = (unsigned char)(TOLD_FIRES | (told->needs_person ? TOLD_CALLED : 0));
        subject->since_ms = told->since_ms < scene->wall_ms ? told->since_ms : scene->wall_ms;
    }
}

void notices_recall(struct notices *notices, const struct notice_scene *scene,
                    const struct told_before *told, size_t len) {
    size_t cursor = 0;
    for (size_t i = 0; i < len; i++) {
        recall_one(notices, scene, &told[i], &cursor);
    }
    for (size_t i = 0; i < scene->policy->receivers_len; i++) {
        struct notice_receiver *state = &notices->receivers[i];
        const struct telling telling = {
            .scene = scene, .pace = notice_pace_of(&scene->policy->receivers[i])};
        for (size_t k = 0; k < NOTICE_SUBJECTS_MAX; k++) {
            struct subject *subject = &notices->subjects[k];
            if (state->told[k] != 0) {
                state->groups[group_of(&telling, subject)].told_ms = scene->now_ms;
                subject->fires = subject->may_fire |= (state->told[k] & TOLD_FIRES) != 0;
                subject->is_absent = subject->may_be_absent |= (state->told[k] & TOLD_ABSENT) != 0;
            }
        }
    }
}

/* What nobody has to be told of any more. */
static void drop_subjects(struct notices *notices, size_t receivers_len) {
    for (size_t i = 0; i < NOTICE_SUBJECTS_MAX; i++) {
        struct subject *subject = &notices->subjects[i];
        bool is_told = false;
        for (size_t k = 0; k < receivers_len; k++) {
            is_told |= notices->receivers[k].told[i] != 0;
        }
        subject->is_used = subject->is_used && (is_told || bits_of(subject) != 0);
    }
    count_places(notices);
}

void notices_step(struct notices *notices, const struct notice_scene *scene, notice_fn fn,
                  void *data) {
    look_at_rules(notices, scene);
    look_at_nodes(notices, scene);
    forget_unseen(notices, scene);
    for (size_t i = 0; i < scene->policy->receivers_len; i++) {
        const struct receiver *receiver = &scene->policy->receivers[i];
        struct telling telling = {.notices = notices,
                                  .scene = scene,
                                  .receiver = receiver,
                                  .state = &notices->receivers[i],
                                  .pace = notice_pace_of(receiver),
                                  .place = i};
        if (!receiver->disabled) {
            step_receiver(&telling, fn, data);
        }
    }
    drop_subjects(notices, scene->policy->receivers_len);
}
