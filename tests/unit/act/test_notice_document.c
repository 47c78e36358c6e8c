/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a notice says what there is to know, in its receiver's language and form, and nothing in it
 * can leave the place where it stands. */
#include "act/mail.h"
#include "act/notice_document.h"

#include <stdio.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct policy policy;
static struct notice notice;
static struct arena arena;
static struct buf text, rendered;

static void set(const char *section, const char *key, const char *value) {
    struct buf errors;
    buf_init(&errors, 4096);
    const struct policy_line line = {
        .section = slice_of(section), .key = slice_of(key), .value = slice_of(value)};
    assert_int_equal(policy_set(&policy, &line, &errors), ERR_OK);
    buf_fini(&errors);
}

static int make(void **state) {
    (void)state;
    policy_init(&policy, NULL);
    set("notify.team", "type", "webhook");
    arena_init(&arena, 16 << 20);
    buf_init(&text, NOTICE_DOCUMENT_MAX);
    buf_init(&rendered, 4 * NOTICE_DOCUMENT_MAX);
    notice = (struct notice){.group = SLICE_LIT("database_slow_query")};
    return 0;
}

static int drop(void **state) {
    (void)state;
    buf_fini(&text);
    buf_fini(&rendered);
    arena_fini(&arena);
    return 0;
}

static size_t rule_of(const char *name) {
    for (size_t i = 0; i < policy.rules_len; i++) {
        if (strcmp(policy.rules[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("no rule %s", name);
    return 0;
}

static void add(const char *rule, const char *node, enum notice_state_e item_state) {
    notice.items[notice.len++] = (struct notice_item){
        .rule = rule_of(rule),
        .node = slice_of(node),
        .state = item_state,
        .value = 12,
        .since_ms = 1790000000000,
        .ended_ms = item_state == NOTICE_RESOLVED ? 1790000060000 : TIME_NONE};
}

static const struct json_t *document(void) {
    struct json_writer w;
    struct json_t *value;
    struct problem problem;
    buf_clear(&text);
    json_writer_init(&w, &text);
    notice_write(&w, &notice, &policy,
                 &(struct notice_origin){.key = "n-00ff",
                                         .node = "host:8080",
                                         .url = "http://host:8080",
                                         .at_ms = 1790000005000});
    assert_false(text.failed);
    if (json_parse(&arena, buf_slice(&text), &value, &problem) != ERR_OK) {
        fail_msg("%s: %.*s", problem.detail, (int)text.len, text.at);
    }
    return value;
}

static void assert_member(const struct json_t *object, const char *key, const char *expected) {
    struct slice got = json_text_at(object, key, SLICE_LIT("?"));
    if (!slice_eq_text(got, expected)) {
        fail_msg("%s: %.*s, not %s", key, SLICE_ARG(got), expected);
    }
}

static const struct json_t *render(enum receiver_type_e type) {
    struct json_t *value;
    struct problem problem;
    const struct json_t *whole = document();
    buf_clear(&rendered);
    notice_render(&rendered, type, whole, buf_slice(&text));
    assert_int_equal(json_parse(&arena, buf_slice(&rendered), &value, &problem), ERR_OK);
    return value;
}

static void a_document_says_what_fires_since_when_and_why(void **state) {
    (void)state;
    add("database_slow_query", "", NOTICE_FIRING);
    const struct json_t *whole = document();
    assert_member(whole, "id", "n-00ff");
    assert_member(whole, "at", "2026-09-21T14:13:25.000Z");
    assert_member(whole, "from", "host:8080");
    assert_member(whole, "url", "http://host:8080");
    assert_member(whole, "receiver", "team");
    assert_member(whole, "group", "database_slow_query");
    assert_member(whole, "status", "firing");
    assert_member(whole, "title", "[critical] database_slow_query firing");
    assert_member(whole, "text",
                  "[critical] database_slow_query firing: slow_query_count 12 > 10,"
                  " since 2026-09-21T14:13:20.000Z\n");
    const struct json_t *alert = json_at(json_get(whole, "alerts"), 0);
    assert_member(alert, "rule", "database_slow_query");
    assert_member(alert, "severity", "critical");
    assert_member(alert, "state", "firing");
    assert_member(alert, "metric", "slow_query_count");
    assert_member(alert, "action", "OPTIMIZE_QUERIES");
    assert_member(alert, "since", "2026-09-21T14:13:20.000Z");
    assert_int_equal(json_kind(json_get(alert, "ended")), JSON_KIND_NULL);
    assert_int_equal(json_kind(json_get(alert, "node")), JSON_KIND_NULL);
    assert_true(json_number(json_get(alert, "value")) == 12);
}

static void a_document_speaks_korean(void **state) {
    (void)state;
    set("notify.team", "lang", "ko");
    add("database_slow_query", "n1", NOTICE_FIRING);
    notice.items[0].needs_person = true;
    const struct json_t *whole = document();
    assert_member(whole, "title", "[심각] database_slow_query @ n1 발생");
    struct slice line = json_text_at(whole, "text", SLICE_NONE);
    assert_non_null(strstr(line.at, "사람이 확인해야 합니다"));
}

static void what_ended_is_told_as_resolved(void **state) {
    (void)state;
    add("database_slow_query", "", NOTICE_RESOLVED);
    const struct json_t *whole = document();
    assert_member(whole, "status", "resolved");
    assert_member(whole, "title", "[critical] database_slow_query resolved");
    assert_member(json_at(json_get(whole, "alerts"), 0), "ended", "2026-09-21T14:14:20.000Z");
}

static void what_a_document_told_is_read_back(void **state) {
    (void)state;
    struct told_before told[NOTICE_ITEMS_MAX];
    add("database_slow_query", "", NOTICE_FIRING);
    notice.items[0].needs_person = true;
    add("high_response_time", "n-7", NOTICE_ABSENT);
    add("memory_usage_high", "", NOTICE_RESOLVED);
    const struct json_t *whole = document();
    assert_int_equal(notice_read(whole, &policy, 3, told), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(told[i].receiver, 3);
        assert_int_equal(told[i].rule, notice.items[i].rule);
        assert_int_equal(told[i].state, notice.items[i].state);
        assert_true(slice_eq(told[i].node, notice.items[i].node));
        assert_int_equal(told[i].needs_person, i == 0);
        assert_int_equal(told[i].since_ms, 1790000000000);
        assert_int_equal(told[i].at_ms, 1790000005000);
    }
    snprintf(policy.rules[notice.items[1].rule].name, ALERT_NAME_SIZE, "another");
    assert_int_equal(notice_read(whole, &policy, 3, told), 2);
    assert_int_equal(told[1].rule, notice.items[2].rule);
    assert_int_equal(notice_read(NULL, &policy, 3, told), 0);
}

static void several_alerts_are_counted_in_the_title(void **state) {
    (void)state;
    notice.group = SLICE_LIT("all");
    notice.is_repeat = true;
    add("high_response_time", "", NOTICE_FIRING);
    add("memory_usage_high", "", NOTICE_ABSENT);
    add("database_slow_query", "", NOTICE_RESOLVED);
    notice.more = 4;
    const struct json_t *whole = document();
    assert_member(whole, "status", "firing");
    assert_member(whole, "title", "[critical] all: 7 alerts, still firing");
    assert_int_equal(json_int(json_get(whole, "more")), 4);
    struct slice lines = json_text_at(whole, "text", SLICE_NONE);
    assert_non_null(strstr(lines.at, "memory_usage_high no data\n"));
    assert_non_null(strstr(lines.at, "and more: 4\n"));
}

static void a_full_notice_fits(void **state) {
    (void)state;
    char node[NODE_ID_MAX + 1];
    memset(node, '"', NODE_ID_MAX); /* each takes two bytes */
    node[NODE_ID_MAX] = '\0';
    for (int i = 0; i < NOTICE_ITEMS_MAX; i++) {
        add("database_slow_query", node, NOTICE_FIRING);
        notice.items[i].needs_person = notice.items[i].is_flapping = true;
    }
    set("notify.team", "lang", "ko");
    assert_int_equal(json_count(json_get(document(), "alerts")), NOTICE_ITEMS_MAX);
}

static void slack_gets_one_text_in_which_nothing_is_markup(void **state) {
    (void)state;
    set("alert.odd", "metric", "cpu_avg");
    set("alert.odd", "op", "<");
    set("alert.odd", "threshold", "5");
    add("odd", "<!channel> & co", NOTICE_FIRING);
    const struct json_t *body = render(RECEIVER_SLACK);
    struct slice said = json_text_at(body, "text", SLICE_NONE);
    assert_non_null(strstr(said.at, "&lt;!channel&gt; &amp; co"));
    assert_null(strstr(said.at, "<!"));
    assert_non_null(strstr(said.at, "cpu_avg 12 &lt; 5"));
}

static void alertmanager_gets_labels_that_do_not_change(void **state) {
    (void)state;
    add("database_slow_query", "n1", NOTICE_FIRING);
    add("memory_usage_high", "", NOTICE_RESOLVED);
    const struct json_t *body = render(RECEIVER_ALERTMANAGER);
    assert_int_equal(json_count(body), 2);
    const struct json_t *labels = json_get(json_at(body, 0), "labels");
    assert_member(labels, "alertname", "database_slow_query");
    assert_member(labels, "node", "n1");
    assert_member(labels, "severity", "critical");
    assert_member(labels, "service", "turnout");
    assert_null(json_get(labels, "value"));
    assert_member(json_at(body, 0), "startsAt", "2026-09-21T14:13:20.000Z");
    assert_member(json_at(body, 0), "endsAt", "2026-09-21T14:17:25.000Z"); /* unless told again */
    assert_null(json_get(json_get(json_at(body, 1), "labels"), "node"));
    assert_member(json_at(body, 1), "endsAt", "2026-09-21T14:14:20.000Z");
}

static void a_webhook_gets_the_document_itself(void **state) {
    (void)state;
    add("database_slow_query", "", NOTICE_FIRING);
    (void)render(RECEIVER_WEBHOOK);
    assert_true(slice_eq(buf_slice(&rendered), buf_slice(&text)));
}

/* ---- mail ---- */

static void a_message_is_ascii_with_short_lines_and_whole_headers(void **state) {
    (void)state;
    struct buf message;
    buf_init(&message, MAIL_MAX);
    static const char subject[] =
        "[심각] 아주 긴 규칙 이름을 가진 경보가 발생했습니다: memory_usage_high\r\nBcc: a@b.c";
    static const char body[] = "가나다라마바사\nline two, which is long enough to be cut: "
                               "0123456789012345678901234567890123456789\n.\nQUIT\r\n";
    mail_write(&message, &(struct mail){.from = "turnout@example.org",
                                        .to = "a@example.org, b@example.org",
                                        .subject = slice_of(subject),
                                        .text = slice_of(body),
                                        .id = SLICE_LIT("n-00ff"),
                                        .at_ms = 1790000005000});
    buf_add_char(&message, '\0');
    assert_false(message.failed);
    assert_non_null(strstr(message.at, "From: <turnout@example.org>\r\nTo: <a@example.org>,\r\n"
                                       " <b@example.org>\r\nSubject: =?UTF-8?B?"));
    assert_non_null(strstr(message.at, "Date: Mon, 21 Sep 2026 14:13:25 +0000\r\n"));
    assert_non_null(strstr(message.at, "Message-ID: <n-00ff@example.org>\r\n"));
    assert_null(strstr(message.at, "Bcc")); /* it is in the encoded subject */
    assert_null(strstr(message.at, "\r\n."));
    size_t column = 0;
    for (const char *at = message.at; *at != '\0'; at++) {
        assert_true((unsigned char)*at < 0x80);
        assert_true(*at != '\n' || at[-1] == '\r');
        column = *at == '\n' ? 0 : column + 1;
        assert_true(column <= 79);
    }
    buf_fini(&message);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(a_document_says_what_fires_since_when_and_why),
        CLAIM(a_document_speaks_korean),
        CLAIM(what_ended_is_told_as_resolved),
        CLAIM(what_a_document_told_is_read_back),
        CLAIM(several_alerts_are_counted_in_the_title),
        CLAIM(a_full_notice_fits),
        CLAIM(slack_gets_one_text_in_which_nothing_is_markup),
        CLAIM(alertmanager_gets_labels_that_do_not_change),
        CLAIM(a_webhook_gets_the_document_itself),
        CLAIM(a_message_is_ascii_with_short_lines_and_whole_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
