/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of the deciders: sections [scaler], [balancer], [alert.NAME] and [notify.NAME].
 *
 * Four tables generate the structs, the validation, the help and the docs. A policy is filled line
 * by line by whatever reads the file; every mistake is reported with its place, not the first
 * alone. Percentages and factors are kept as exact integers: doubles put 7/10 of 90 nodes at 62.
 * Pure. Thread: filled by one, read-only afterwards.
 */
#ifndef TURNOUT_CONTROL_POLICY_H
#define TURNOUT_CONTROL_POLICY_H

#include "base/buf.h"
#include "control/snapshot.h"

#define SEVERITY_TABLE(X) X(INFO, "info") X(WARNING, "warning") X(CRITICAL, "critical")

/* In the order in which a decision lists them: what helps without taking anything away comes
 * first. */
#define ACTION_TABLE(X)                                                                            \
    X(NONE, "NONE")                                                                                \
    X(AUTO_SCALE, "AUTO_SCALE")                                                                    \
    X(OPTIMIZE_QUERIES, "OPTIMIZE_QUERIES")                                                        \
    X(INVALIDATE_CACHE, "INVALIDATE_CACHE")                                                        \
    X(RESTART_SERVICE, "RESTART_SERVICE")                                                          \
    X(SHED_LOAD, "SHED_LOAD")

#define OP_TABLE(X)                                                                                \
    X(ABOVE, ">")                                                                                  \
    X(AT_LEAST, ">=")                                                                              \
    X(BELOW, "<")                                                                                  \
    X(AT_MOST, "<=")                                                                               \
    X(EQUAL, "==")                                                                                 \
    X(NOT_EQUAL, "!=")

/* Who starts and stops nodes. */
#define PROVIDER_TABLE(X)                                                                          \
    X(NONE, "none")                                                                                \
    X(PROCESS, "process")                                                                          \
    X(SYSTEMD, "systemd")                                                                          \
    X(SWARM, "swarm")                                                                              \
    X(KUBERNETES, "kubernetes")                                                                    \
    X(NOMAD, "nomad")                                                                              \
    X(COMMAND, "command")

#define X(name, text) SEVERITY_##name,
enum severity_e { SEVERITY_TABLE(X) };
#undef X
#define X(name, text) ACTION_##name,
enum action_e { ACTION_TABLE(X) ACTION_COUNT };
#undef X
#define X(name, text) OP_##name,
enum op_e { OP_TABLE(X) };
#undef X
#define X(name, text) PROVIDER_##name,
enum provider_e { PROVIDER_TABLE(X) };
#undef X

const char *severity_text(enum severity_e severity);
const char *action_text(enum action_e action);
const char *op_text(enum op_e op);

/*
 * X(key, TYPE, default, lowest, highest, meaning); the values are written as in the file.
 *
 *   COUNT      whole number                         member key, int64_t
 *   PERCENT    per cent, up to 6 decimals           member key_micro, millionths
 *   RATIO      factor, up to 4 decimals             member key_e4, ten-thousandths
 *   NUMBER     any finite number                    member key, double
 *   DURATION   250ms, 10s, 5m, 1h                   member key_ms
 *   FLAG       yes or no                            member key, bool
 *   CHOICE     a word; `lowest` holds |one|two|…    member key, its index
 *   LADDER     actions parted by commas, or none    member key, struct ladder
 *   TEXT       up to `highest` bytes                member key, char[SETTING_TEXT_SIZE]
 *
 * The default "" means that there is none: of metric and threshold, that a rule must give it. A
 * text may hold a secret: messages never repeat it.
 */
#define POLICY_WORD(name, text) "|" text

#define SCALER_TABLE(X)                                                                            \
    X(min, COUNT, "2", "1", "1000",                                                                \
      "Fewest nodes. With fewer healthy ones the rest is started at once.")                        \
    X(max, COUNT, "10", "1", "1000", "Most nodes.")                                                \
    X(provider, CHOICE, "none", PROVIDER_TABLE(POLICY_WORD), "",                                   \
      "Who starts and stops nodes. none: decisions are reported and nothing is started.")          \
    X(up_cpu, PERCENT, "80", "0", "100",                                                           \
      "More nodes when the average CPU of the healthy ones is above this.")                        \
    X(up_memory, PERCENT, "85", "0", "100", "More nodes when the average memory is above this.")   \
    X(up_factor, RATIO, "1.5", "1.0001", "10", "Nodes are multiplied by this, rounded up.")        \
    X(hold_up, DURATION, "0s", "0s", "24h",                                                        \
      "Every decision this long must have asked for more nodes before some are added.")            \
    X(cooldown_up, DURATION, "60s", "0s", "24h",                                                   \
      "No more nodes are added for this long after some were.")                                    \
    X(down_cpu, PERCENT, "30", "0", "100",                                                         \
      "Fewer nodes when the average CPU is below this and memory below down_memory.")              \
    X(down_memory, PERCENT, "40", "0", "100",                                                      \
      "Fewer nodes when the average memory is below this and CPU below down_cpu.")                 \
    X(down_factor, RATIO, "0.7", "0", "0.9999", "Nodes are multiplied by this, rounded down.")     \
    X(hold_down, DURATION, "300s", "0s", "24h",                                                    \
      "Every decision this long must have allowed fewer nodes before some are taken away.")        \
    X(cooldown_down, DURATION, "300s", "0s", "24h",                                                \
      "No nodes are taken away for this long after the number was changed.")                       \
    X(max_step, COUNT, "0", "0", "1000", "Most nodes added or taken away at once. 0: no limit.")

#define BALANCER_TABLE(X)                                                                          \
    X(stale_after, DURATION, "10s", "100ms", "1h",                                                 \
      "Figures of a node that are older choose nothing and scale nothing.")                        \
    X(weight_cpu, COUNT, "40", "0", "1000", "Weight of CPU in the choice for general requests.")   \
    X(weight_memory, COUNT, "30", "0", "1000", "Weight of memory in the same choice.")             \
    X(weight_connections, COUNT, "30", "0", "1000",                                                \
      "Weight of connections, as a share of the busiest node's, in the same choice.")              \
    X(close, PERCENT, "5", "0", "100",                                                             \
      "Live choices: of the nodes this near to the best, the less connected of two is taken.")     \
    X(slow_start, DURATION, "30s", "0s", "1h",                                                     \
      "Live choices: a node that became healthy gets its full share after this long.")             \
    X(load_factor, RATIO, "1.25", "1.01", "10",                                                    \
      "Live choices by key: a node with this times the average connections is passed over.")

#define ALERT_TABLE(X)                                                                             \
    X(metric, CHOICE, "", METRIC_TABLE(POLICY_WORD), "",                                           \
      "What the rule looks at. One that begins with node_ is looked at for each node by itself.")  \
    X(per, CHOICE, "none", "|none" METRIC_TABLE(POLICY_WORD), "",                                  \
      "Look at the metric divided by this one.")                                                   \
    X(rate_over, DURATION, "0s", "0s", "24h",                                                      \
      "Look at the change a second over this time. 0s: at the value itself.")                      \
    X(op, CHOICE, ">", OP_TABLE(POLICY_WORD), "", "How it is compared with the threshold.")        \
    X(threshold, NUMBER, "", "", "", "What it is compared with.")                                  \
    X(clear, NUMBER, "", "", "",                                                                   \
      "A firing rule is compared with this instead, so that it does not flap. Empty: threshold.")  \
    X(for, DURATION, "0s", "0s", "24h", "True this long before the rule fires; 0s fires at once.") \
    X(keep_firing_for, DURATION, "0s", "0s", "24h", "False this long before the rule resolves.")   \
    X(absent_after, DURATION, "0s", "0s", "24h",                                                   \
      "Without a sample this long the rule's data is absent, which is told. 0s: it is not.")       \
    X(severity, CHOICE, "warning", SEVERITY_TABLE(POLICY_WORD), "", "How bad it is.")              \
    X(action, CHOICE, "NONE", ACTION_TABLE(POLICY_WORD), "", "What is done about it.")             \
    X(then, LADDER, "none", ACTION_TABLE(POLICY_WORD), "",                                         \
      "What is done when that did not help, one after the other.")                                 \
    X(cooldown, DURATION, "5m", "0s", "24h", "Time between two runs of the action.")               \
    X(disabled, FLAG, "no", "", "", "The rule is left out.")

/* What a receiver of notices is, and how it is written to. */
#define RECEIVER_TYPE_TABLE(X)                                                                     \
    X(WEBHOOK, "webhook") X(SLACK, "slack") X(ALERTMANAGER, "alertmanager") X(EMAIL, "email")
#define RECEIVER_TLS_TABLE(X) X(REQUIRED, "required") X(NONE, "none")
#define LANGUAGE_TABLE(X) X(EN, "en") X(KO, "ko")
#define GROUP_BY_TABLE(X) X(RULE, "rule") X(SEVERITY, "severity") X(ALL, "all")

#define RECEIVER_TABLE(X)                                                                          \
    X(type, CHOICE, "", RECEIVER_TYPE_TABLE(POLICY_WORD), "",                                      \
      "webhook: signed JSON. slack: a text, for Slack and what is like it. alertmanager: its API " \
      "v2. email: SMTP.")                                                                          \
    X(url, TEXT, "", "0", "511",                                                                   \
      "Where to: http(s)://…, smtp://HOST:PORT or smtps://HOST:PORT; or file:PATH or env:NAME, "   \
      "where it stands, for an address that is a secret.")                                         \
    X(secret, TEXT, "", "0", "511",                                                                \
      "webhook: the key of its signature. alertmanager: a bearer token. file:PATH or env:NAME.")   \
    X(user, TEXT, "", "0", "511", "email: who logs in. Empty: nobody does.")                       \
    X(password, TEXT, "", "0", "511", "email: its password, file:PATH or env:NAME.")               \
    X(from, TEXT, "", "0", "511", "email: the sender's address.")                                  \
    X(to, TEXT, "", "0", "511", "email: addresses, parted by commas.")                             \
    X(tls, CHOICE, "required", RECEIVER_TLS_TABLE(POLICY_WORD), "",                                \
      "email by smtp://: whether STARTTLS must succeed. none: nothing is encrypted.")              \
    X(ca_file, TEXT, "", "0", "511", "PEM file of who signs certificates. Empty: the system's.")   \
    X(severity, CHOICE, "info", SEVERITY_TABLE(POLICY_WORD), "", "Less severe rules are not told.")\
    X(lang, CHOICE, "en", LANGUAGE_TABLE(POLICY_WORD), "", "English or Korean.")                   \
    X(resolved, FLAG, "yes", "", "", "Tell when a rule resolves, too.")                            \
    X(group_by, CHOICE, "rule", GROUP_BY_TABLE(POLICY_WORD), "",                                   \
      "What comes in one notice: the alerts of a rule, of a severity, or all.")                    \
    X(group_wait, DURATION, "5s", "0s", "1h",                                                      \
      "Time after the first alert of a group for others to join it.")                              \
    X(group_interval, DURATION, "1m", "1s", "24h",                                                 \
      "Time between two notices of a group about what changed.")                                   \
    X(repeat_interval, DURATION, "4h", "10s", "24h",                                               \
      "Time until a group that fires unchanged is told again.")                                    \
    X(timeout, DURATION, "5s", "100ms", "1m", "Time for one try.")                                 \
    X(give_up, DURATION, "1h", "1s", "24h",                                                        \
      "Time from a notice's first try until it is given up. Tries are 1 s to 1 m apart.")          \
    X(disabled, FLAG, "no", "", "", "The receiver is left out.")

/* X(name, metric, op, threshold, for, severity, action, listed): the rules that are always there.
 * One that is listed WHEN_ACTIVE stays out of decisions until it has something to say. */
#define BUILTIN_RULE_TABLE(X)                                                                      \
    X(high_response_time, "avg_response_time_ms", ">", "2000", "30s", "warning", "AUTO_SCALE",     \
      ALWAYS)                                                                                      \
    X(database_slow_query, "slow_query_count", ">", "10", "0s", "critical", "OPTIMIZE_QUERIES",    \
      ALWAYS)                                                                                      \
    X(memory_usage_high, "memory_usage", ">", "90", "0s", "critical", "RESTART_SERVICE", ALWAYS)   \
    X(scaling_without_effect, "memory_ups_without_effect", ">=", "2", "0s", "warning", "NONE",     \
      WHEN_ACTIVE)

#define SETTING_TYPE_TABLE(X)                                                                      \
    X(COUNT, "integer")                                                                            \
    X(PERCENT, "per cent")                                                                         \
    X(RATIO, "factor")                                                                             \
    X(NUMBER, "number")                                                                            \
    X(DURATION, "duration")                                                                        \
    X(FLAG, "boolean")                                                                             \
    X(CHOICE, "choice")                                                                            \
    X(LADDER, "actions")                                                                           \
    X(TEXT, "text")
#define X(name, text) SETTING_##name,
enum setting_type_e { SETTING_TYPE_TABLE(X) };
#undef X

#define SETTING_MEMBER_COUNT(key) int64_t key;
#define SETTING_MEMBER_PERCENT(key) int64_t key##_micro;
#define SETTING_MEMBER_RATIO(key) int64_t key##_e4;
#define SETTING_MEMBER_NUMBER(key) double key;
#define SETTING_MEMBER_DURATION(key) int64_t key##_ms;
#define SETTING_MEMBER_FLAG(key) bool key;
#define SETTING_MEMBER_CHOICE(key) int key;
#define SETTING_MEMBER_LADDER(key) struct ladder key;
#define SETTING_MEMBER_TEXT(key) char key[SETTING_TEXT_SIZE];
enum { SETTING_TEXT_SIZE = 512 };

/* Actions in the order in which they are tried. */
enum { LADDER_MAX = 3 };
struct ladder {
    int at[LADDER_MAX]; /* enum action_e */
    size_t len;
};

#define X(key, type, preset, lowest, highest, meaning) SETTING_MEMBER_##type(key)
struct scaler_policy {
    SCALER_TABLE(X)
};
struct balancer_policy {
    BALANCER_TABLE(X)
};

enum {
    ALERT_NAME_SIZE = 64,    /* bytes with the NUL */
    ALERT_RULES_MAX = 256,   /* each costs a comparison per decision */
    RECEIVER_NAME_SIZE = 64,
    RECEIVERS_MAX = 8,       /* each has a thread */
    SETTINGS_PER_SECTION = 24,
};
enum listed_e { LISTED_ALWAYS, LISTED_WHEN_ACTIVE };

struct alert_rule {
    ALERT_TABLE(X)
    char name[ALERT_NAME_SIZE];
    enum listed_e listed;
    int lines[SETTINGS_PER_SECTION]; /* where each key was set; 0: nowhere */
    int line;                        /* the first of them */
};

struct receiver {
    RECEIVER_TABLE(X)
    char name[RECEIVER_NAME_SIZE];
    int lines[SETTINGS_PER_SECTION];
    int line;
};
#undef X

#define X(name, text) RECEIVER_##name,
enum receiver_type_e { RECEIVER_TYPE_TABLE(X) };
#undef X
#define X(name, text) RECEIVER_TLS_##name,
enum receiver_tls_e { RECEIVER_TLS_TABLE(X) };
#undef X
#define X(name, text) LANGUAGE_##name,
enum language_e { LANGUAGE_TABLE(X) };
#undef X
#define X(name, text) GROUP_BY_##name,
enum group_by_e { GROUP_BY_TABLE(X) };
#undef X
const char *receiver_type_text(enum receiver_type_e type);

static inline bool rule_is_per_node(const struct alert_rule *rule) {
    return metric_is_of_node((enum metric_e)rule->metric) ||
           (rule->per > 0 && metric_is_of_node((enum metric_e)(rule->per - 1)));
}
/* For so long what the rule looks at tells of the past as well. */
static inline int64_t rule_looks_back_ms(const struct alert_rule *rule) {
    bool is_of_window = metric_is_of_window((enum metric_e)rule->metric) ||
                        (rule->per > 0 && metric_is_of_window((enum metric_e)(rule->per - 1)));
    return rule->rate_over_ms > 0 ? rule->rate_over_ms : is_of_window ? METRIC_WINDOW_MS : 0;
}
/* Its action, and then those of its ladder; ACTION_NONE behind them. */
static inline enum action_e rule_action(const struct alert_rule *rule, size_t rung) {
    return rung == 0                 ? (enum action_e)rule->action
           : rung <= rule->then.len ? (enum action_e)rule->then.at[rung - 1]
                                     : ACTION_NONE;
}
/* "avg_query_time_ms", "node_connections / connections_total", "memory_max a second". */
enum { SUBJECT_SIZE = 96 };
void rule_subject(const struct alert_rule *rule, char ret_text[SUBJECT_SIZE]);

struct policy {
    const char *file; /* for messages; borrowed, NULL: none */
    struct scaler_policy scaler;
    struct balancer_policy balancer;
    int scaler_lines[SETTINGS_PER_SECTION];
    int balancer_lines[SETTINGS_PER_SECTION];
    struct alert_rule rules[ALERT_RULES_MAX]; /* the built-in ones first, then as written */
    size_t rules_len;
    struct receiver receivers[RECEIVERS_MAX]; /* as written */
    size_t receivers_len;
};

/* The defaults and the built-in rules. */
void policy_init(struct policy *policy, const char *file);

struct policy_line {
    int line; /* in the file; 0: from the environment, which overrides the file */
    struct slice section;
    struct slice key;
    struct slice value;
};
/* One setting. When it is wrong, one line is appended to `errors` and ERR_CONFIG returned; further
 * lines may still be set, to find all mistakes, but the policy is not to be used. */
enum err_e policy_set(struct policy *policy, const struct policy_line *line, struct buf *errors);

/* What no single line can tell: limits that contradict each other, rules without a metric. */
enum err_e policy_check(const struct policy *policy, struct buf *errors) MUST_CHECK;

/* One row of the tables, for help and documentation. */
struct policy_row {
    const char *section; /* "scaler", "balancer", "alert.NAME", "notify.NAME" */
    const char *key;
    enum setting_type_e type;
    const char *preset;
    const char *lowest;
    const char *highest;
    const char *meaning;
    size_t offset; /* of the member in its struct */
};
size_t policy_rows(const struct policy_row **ret_rows);
const char *setting_type_text(enum setting_type_e type);
/* "1 to 1000", "yes or no", "> or >= or …": what a value of this row may be. */
void policy_row_range(const struct policy_row *row, struct buf *to);

#endif
