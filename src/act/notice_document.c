/* SPDX-License-Identifier: Apache-2.0 */
/* Words by language, then the document, then what Slack, Alertmanager and mail make of it. */
#include "act/notice_document.h"

#include "base/assert.h"

#include <stdio.h>

enum {
    TEXT_MAX = 64 << 10, /* of all lines */
    LINE_MAX_BYTES = 1024,
    ALERT_LASTS_MS = 4 * 60 * 1000, /* in Alertmanager, without another word about it */
};

/* X(NAME, English, Korean). Formats take what stands beside them. */
#define WORD_TABLE(X)                                                                              \
    X(INFO, "info", "정보")                                                                        \
    X(WARNING, "warning", "경고")                                                                  \
    X(CRITICAL, "critical", "심각")                                                                \
    X(IS_FIRING, "firing", "발생")                                                                 \
    X(IS_ABSENT, "no data", "데이터 없음")                                                         \
    X(IS_RESOLVED, "resolved", "해소")                                                             \
    X(STILL, "still", "계속")                                                                      \
    X(ON, "on", "노드")                                                                            \
    X(SINCE, "since", "시작")                                                                      \
    X(FLAPPING, "it fires and resolves all the time", "발생과 해소를 반복합니다")                  \
    X(NEEDS_PERSON, "what could be done about it did not help: a person has to look",              \
      "자동 조치로 나아지지 않았습니다. 사람이 확인해야 합니다")                                   \
    X(MORE, "and more", "그 밖에 더")                                                              \
    X(ALERTS, "alerts", "건의 경보")
#define X(name, en, ko) WORD_##name,
enum word_e { WORD_TABLE(X) };
#undef X
static const char *const words[][2] = {
#define X(name, en, ko) [WORD_##name] = {en, ko},
    WORD_TABLE(X)
#undef X
};

/* The receiver's. */
struct language {
    enum language_e of;
};

static const char *word(struct language language, enum word_e name) {
    return words[name][language.of];
}

static const char *severity_word(struct language language, const struct alert_rule *rule) {
    return word(language, (enum word_e)(WORD_INFO + rule->severity));
}

static enum word_e state_word(enum notice_state_e state) {
    switch (state) {
    case NOTICE_FIRING:
        return WORD_IS_FIRING;
    case NOTICE_ABSENT:
        return WORD_IS_ABSENT;
    case NOTICE_RESOLVED:
        return WORD_IS_RESOLVED;
    }
    UNREACHABLE();
}

/* ---- lines ---- */

/* "slow_query_count 12 > 10" */
static void add_condition(struct buf *to, const struct alert_rule *rule, double value) {
    char subject[SUBJECT_SIZE];
    rule_subject(rule, subject);
    buf_add_text(to, subject);
    if (figure_is_known(value)) {
        buf_printf(to, " %.6g", value);
    }
    buf_printf(to, " %s %.6g", op_text((enum op_e)rule->op), rule->threshold);
}

/* "[critical] database_slow_query firing: slow_query_count 12 > 10, since 2026-11-24T18:23:24Z" */
static void add_line(struct buf *to, struct language language, const struct alert_rule *rule,
                     const struct notice_item *item) {
    char since[TIME_TEXT_SIZE];
    buf_printf(to, "[%s] %s", severity_word(language, rule), rule->name);
    if (item->node.len > 0) {
        buf_printf(to, " %s %.*s", word(language, WORD_ON), SLICE_ARG(item->node));
    }
    buf_printf(to, " %s", word(language, state_word(item->state)));
    if (item->state == NOTICE_FIRING) {
        time_format(item->since_ms, since);
        buf_add_text(to, ": ");
        add_condition(to, rule, item->value);
        buf_printf(to, ", %s %s", word(language, WORD_SINCE), since);
    }
    if (item->is_flapping) {
        buf_printf(to, "; %s", word(language, WORD_FLAPPING));
    }
    if (item->needs_person) {
        buf_printf(to, "; %s", word(language, WORD_NEEDS_PERSON));
    }
}

static enum severity_e worst_severity(const struct notice *notice, const struct policy *policy) {
    enum severity_e worst = SEVERITY_INFO;
    for (size_t i = 0; i < notice->len; i++) {
        enum severity_e severity = (enum severity_e)policy->rules[notice->items[i].rule].severity;
        worst = severity > worst ? severity : worst;
    }
    return worst;
}

static bool is_resolved(const struct notice *notice) {
    return notice->len > 0 && notice->items[0].state == NOTICE_RESOLVED; /* others come first */
}

/* One alert: its name. More: how many. */
static void add_title(struct buf *to, struct language language, const struct notice *notice,
                      const struct policy *policy) {
    const struct notice_item *first = &notice->items[0];
    const char *state = word(language, state_word(first->state));
    enum severity_e severity = worst_severity(notice, policy);
    buf_printf(to, "[%s] ", word(language, (enum word_e)(WORD_INFO + (int)severity)));
    if (notice->len + notice->more == 1) {
        buf_printf(to, "%s%s%.*s", policy->rules[first->rule].name,
                   first->node.len == 0 ? "" : " @ ", SLICE_ARG(first->node));
    } else {
        buf_printf(to, "%.*s: %zu %s,", SLICE_ARG(notice->group), notice->len + notice->more,
                   word(language, WORD_ALERTS));
    }
    if (notice->is_repeat) {
        buf_printf(to, " %s", word(language, WORD_STILL));
    }
    buf_printf(to, " %s", state);
}

static void add_text(struct buf *to, struct language language, const struct notice *notice,
                     const struct policy *policy) {
    for (size_t i = 0; i < notice->len; i++) {
        add_line(to, language, &policy->rules[notice->items[i].rule], &notice->items[i]);
        buf_add_char(to, '\n');
    }
    if (notice->more > 0) {
        buf_printf(to, "%s: %zu\n", word(language, WORD_MORE), notice->more);
    }
}

/* ---- the document ---- */

static void put_buf(struct json_writer *w, const char *key, struct buf *text) {
    json_put_text(w, key, buf_slice(text));
    buf_clear(text);
}

static void write_alert(struct json_writer *w, struct language language,
                        const struct alert_rule *rule, const struct notice_item *item) {
    struct buf line;
    char subject[SUBJECT_SIZE];
    buf_init(&line, LINE_MAX_BYTES);
    rule_subject(rule, subject);
    json_begin_object(w);
    json_put_cstr(w, "rule", rule->name);
    json_key(w, "node");
    if (item->node.len == 0) {
        json_add_null(w);
    } else {
        json_add_text(w, item->node);
    }
    json_put_cstr(w, "severity", severity_text((enum severity_e)rule->severity));
    json_put_cstr(w, "state", notice_state_text(item->state));
    json_put_cstr(w, "metric", subject);
    json_put_cstr(w, "op", op_text((enum op_e)rule->op));
    json_put_real(w, "threshold", rule->threshold, 6);
    json_put_real(w, "value", item->value, 6);
    json_put_time(w, "since", item->since_ms);
    json_put_time(w, "ended", item->ended_ms);
    json_put_bool(w, "needs_person", item->needs_person);
    json_put_bool(w, "flapping", item->is_flapping);
    json_put_cstr(w, "action",
                  rule->action == ACTION_NONE ? NULL : action_text((enum action_e)rule->action));
    add_line(&line, language, rule, item);
    put_buf(w, "text", &line);
    json_end_object(w);
    buf_fini(&line);
}

void notice_write(struct json_writer *w, const struct notice *notice, const struct policy *policy,
                  const struct notice_origin *origin) {
    const struct receiver *receiver = &policy->receivers[notice->receiver];
    struct language language = {(enum language_e)receiver->lang};
    struct buf text;
    buf_init(&text, TEXT_MAX);
    json_begin_object(w);
    json_put_int(w, "version", 1);
    json_put_cstr(w, "id", origin->key);
    json_put_time(w, "at", origin->at_ms);
    json_put_cstr(w, "from", origin->node);
    json_put_cstr(w, "url", origin->url);
    json_put_cstr(w, "receiver", receiver->name);
    json_put_text(w, "group", notice->group);
    json_put_cstr(w, "status", is_resolved(notice) ? "resolved" : "firing");
    json_put_bool(w, "repeat", notice->is_repeat);
    add_title(&text, language, notice, policy);
    put_buf(w, "title", &text);
    add_text(&text, language, notice, policy);
    put_buf(w, "text", &text);
    json_key(w, "alerts");
    json_begin_array(w);
    for (size_t i = 0; i < notice->len; i++) {
        write_alert(w, language, &policy->rules[notice->items[i].rule], &notice->items[i]);
    }
    json_end_array(w);
    json_put_int(w, "more", (int64_t)notice->more);
    json_end_object(w);
    buf_fini(&text);
}

static struct slice text_at(const struct json_t *object, const char *key) {
    return json_text_at(object, key, SLICE_LIT(""));
}

/* False: it is about nothing that this policy has. */
static bool read_alert(const struct json_t *alert, const struct policy *policy,
                       struct told_before *ret_told) {
    struct slice rule = text_at(alert, "rule"), state = text_at(alert, "state");
    size_t place = 0;
    int word = 0;
    while (place < policy->rules_len && !slice_eq_text(rule, policy->rules[place].name)) {
        place++;
    }
    while (word <= NOTICE_RESOLVED &&
           !slice_eq_text(state, notice_state_text((enum notice_state_e)word))) {
        word++;
    }
    ret_told->rule = place;
    ret_told->node = text_at(alert, "node");
    ret_told->state = (enum notice_state_e)word;
    ret_told->needs_person = json_is_true_at(alert, "needs_person");
    return place < policy->rules_len && word <= NOTICE_RESOLVED &&
           time_parse(text_at(alert, "since"), &ret_told->since_ms);
}

size_t notice_read(const struct json_t *document, const struct policy *policy, size_t receiver,
                   struct told_before ret_told[NOTICE_ITEMS_MAX]) {
    const struct json_t *alerts = json_get(document, "alerts");
    int64_t at_ms;
    size_t len = 0;
    if (!time_parse(text_at(document, "at"), &at_ms)) {
        return 0;
    }
    for (size_t i = 0; i < json_count(alerts) && len < NOTICE_ITEMS_MAX; i++) {
        ret_told[len].receiver = receiver;
        ret_told[len].at_ms = at_ms;
        len += read_alert(json_at(alerts, i), policy, &ret_told[len]);
    }
    return len;
}

/* ---- what receivers get ---- */

/* Slack gives a meaning to three characters. */
static void add_for_slack(struct buf *to, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        switch (text.at[i]) {
        case '&':
            buf_add_text(to, "&amp;");
            break;
        case '<':
            buf_add_text(to, "&lt;");
            break;
        case '>':
            buf_add_text(to, "&gt;");
            break;
        default:
            buf_add_char(to, text.at[i]);
        }
    }
}

static void render_slack(struct json_writer *w, const struct json_t *document) {
    struct buf text;
    buf_init(&text, 6 * TEXT_MAX);
    buf_add_char(&text, '*');
    add_for_slack(&text, text_at(document, "title"));
    buf_add_text(&text, "*\n");
    add_for_slack(&text, text_at(document, "text"));
    add_for_slack(&text, text_at(document, "url"));
    json_begin_object(w);
    json_put_text(w, "text", buf_slice(&text));
    json_end_object(w);
    buf_fini(&text);
}

/* Labels are what an alert is known by: nothing that changes may stand among them. */
static void write_labels(struct json_writer *w, const struct json_t *alert) {
    static const char *const copied[] = {"node", "severity"};
    json_begin_object(w);
    json_put_text(w, "alertname", text_at(alert, "rule"));
    json_put_cstr(w, "service", "turnout");
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        struct slice value = text_at(alert, copied[i]);
        if (value.len > 0) {
            json_put_text(w, copied[i], value);
        }
    }
    if (slice_eq_text(text_at(alert, "state"), "absent")) {
        json_put_cstr(w, "kind", "absent");
    }
    json_end_object(w);
}

static void write_for_alertmanager(struct json_writer *w, const struct json_t *document,
                                   const struct json_t *alert) {
    int64_t at_ms = 0, ended_ms = 0;
    struct slice ended = text_at(alert, "ended");
    (void)time_parse(text_at(document, "at"), &at_ms);
    if (ended.len == 0 || !time_parse(ended, &ended_ms)) {
        bool is_over = slice_eq_text(text_at(alert, "state"), "resolved");
        ended_ms = is_over ? at_ms : at_ms + ALERT_LASTS_MS;
    }
    json_begin_object(w);
    json_key(w, "labels");
    write_labels(w, alert);
    json_key(w, "annotations");
    json_begin_object(w);
    json_put_text(w, "summary", text_at(alert, "text"));
    json_put_text(w, "title", text_at(document, "title"));
    json_end_object(w);
    json_put_text(w, "startsAt", text_at(alert, "since"));
    json_put_time(w, "endsAt", ended_ms);
    json_put_text(w, "generatorURL", text_at(document, "url"));
    json_end_object(w);
}

static void render_alertmanager(struct json_writer *w, const struct json_t *document) {
    const struct json_t *alerts = json_get(document, "alerts");
    json_begin_array(w);
    for (size_t i = 0; i < json_count(alerts); i++) {
        write_for_alertmanager(w, document, json_at(alerts, i));
    }
    json_end_array(w);
}

static void render_email(struct buf *to, const struct json_t *document) {
    buf_add(to, text_at(document, "text"));
    buf_printf(to, "\n%.*s\n%.*s %.*s\n", SLICE_ARG(text_at(document, "url")),
               SLICE_ARG(text_at(document, "from")), SLICE_ARG(text_at(document, "at")));
}

void notice_render(struct buf *to, enum receiver_type_e type, const struct json_t *document,
                   struct slice text) {
    struct json_writer w;
    json_writer_init(&w, to);
    switch (type) {
    case RECEIVER_WEBHOOK:
        buf_add(to, text);
        return;
    case RECEIVER_SLACK:
        render_slack(&w, document);
        return;
    case RECEIVER_ALERTMANAGER:
        render_alertmanager(&w, document);
        return;
    case RECEIVER_EMAIL:
        render_email(to, document);
        return;
    }
    UNREACHABLE();
}
