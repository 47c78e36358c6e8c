/* SPDX-License-Identifier: Apache-2.0 */
/* What of a changed configuration a running node can follow. */
#include "app/config_priv.h"

#include "base/assert.h"

/* What node_reload.c carries into a running node. */
#define LIVE_TABLE(X)                                                                              \
    X(server, trusted_proxies)                                                                     \
    X(server, head_max)                                                                            \
    X(server, body_max)                                                                            \
    X(server, body_budget)                                                                         \
    X(server, request_timeout)                                                                     \
    X(server, response_timeout)                                                                    \
    X(server, drain_timeout)                                                                       \
    X(server, takeover_timeout)                                                                    \
    X(store, deadline)                                                                             \
    X(database, partitions_ahead)                                                                  \
    X(database, retention_days)                                                                    \
    X(database, quarantine_days)                                                                   \
    X(database, slow_query)                                                                        \
    X(database, build_advised)                                                                     \
    X(database, budget)                                                                            \
    X(database, window)                                                                            \
    X(database, interval)                                                                          \
    X(checkin, scans_max)                                                                          \
    X(checkin, batches_max)                                                                        \
    X(checkin, chunk)                                                                              \
    X(cache, ttl)                                                                                  \
    X(cache, l2_ttl)                                                                               \
    X(auth, session)                                                                               \
    X(log, level)

/* What one process hands to the next as it is. */
#define RESTART_TABLE(X)                                                                           \
    X(server, listen)                                                                              \
    X(store, url)

static const enum config_change_e changes[CONFIG_COUNT] = {
#define X(section, key) [CONFIG_##section##_##key] = CONFIG_CHANGE_LIVE,
    LIVE_TABLE(X)
#undef X
#define X(section, key) [CONFIG_##section##_##key] = CONFIG_CHANGE_RESTART,
    RESTART_TABLE(X)
#undef X
};

static const struct {
    const char *text, *remedy;
} kinds[] = {
#define X(name, text, remedy) {text, remedy},
    CONFIG_CHANGE_TABLE(X)
#undef X
};

enum config_change_e config_change(enum config_key_e key) {
    ASSERT((unsigned)key < CONFIG_COUNT);
    return changes[key];
}

const char *config_change_text(enum config_change_e change) {
    return kinds[change].text;
}

const char *config_change_remedy(enum config_change_e change) {
    return kinds[change].remedy;
}

static size_t size_of(enum config_type_e type) {
    switch (type) {
    case CONFIG_TYPE_TEXT:
        return CONFIG_TEXT_SIZE;
    case CONFIG_TYPE_BOOL:
        return sizeof(bool);
    case CONFIG_TYPE_CHOICE:
        return sizeof(int);
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_DURATION:
    case CONFIG_TYPE_SIZE:
        return sizeof(int64_t);
    }
    UNREACHABLE();
}

static const void *member_of(const struct config *config, enum config_key_e key) {
    return config_member((struct config *)(uintptr_t)config, key);
}

bool config_differs(const struct config *a, const struct config *b, enum config_key_e key) {
    enum config_type_e type = config_row(key)->type;
    const void *left = member_of(a, key), *right = member_of(b, key);
    return type == CONFIG_TYPE_TEXT ? strcmp(left, right) != 0
                                    : memcmp(left, right, size_of(type)) != 0;
}

void config_copy(struct config *to, const struct config *from, enum config_key_e key) {
    memcpy(config_member(to, key), member_of(from, key), size_of(config_row(key)->type));
    to->origins[key] = from->origins[key];
    to->lines[key] = from->lines[key];
}

/* With the largest unit that loses nothing. */
static void show_duration(int64_t ms, struct buf *to) {
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t at = 0;
    while (ms == 0 ? at < 2 : ms % units[at].ms != 0) {
        at++;
    }
    buf_printf(to, "%lld%s", (long long)(ms / units[at].ms), units[at].unit);
}

static void show_size(int64_t bytes, struct buf *to) {
    static const char *const units[] = {"", "K", "M", "G"};
    size_t at = 0;
    while (at < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        at++;
    }
    buf_printf(to, "%lld%s", (long long)bytes, units[at]);
}

/* The word at `index` of those parted by |. */
static struct slice word_at(const char *words, int index) {
    struct slice rest = slice_of(words), word = SLICE_NONE;
    for (int i = 0; i <= index; i++) {
        bool found = slice_next(&rest, '|', &word);
        ASSERT(found);
    }
    return word;
}

void config_show(const struct config *config, enum config_key_e key, struct buf *to) {
    const struct config_row *row = config_row(key);
    const void *member = member_of(config, key);
    switch (row->type) {
    case CONFIG_TYPE_TEXT:
        buf_add_text(to, "(text)");
        return;
    case CONFIG_TYPE_BOOL:
        buf_add_text(to, *(const bool *)member ? "yes" : "no");
        return;
    case CONFIG_TYPE_CHOICE:
        buf_add(to, word_at(row->lowest, *(const int *)member));
        return;
    case CONFIG_TYPE_INT:
        buf_printf(to, "%lld", (long long)*(const int64_t *)member);
        return;
    case CONFIG_TYPE_DURATION:
        show_duration(*(const int64_t *)member, to);
        return;
    case CONFIG_TYPE_SIZE:
        show_size(*(const int64_t *)member, to);
        return;
    }
    UNREACHABLE();
}

bool config_control_differs(const struct config *a, const struct config *b) {
    bool differs = a->control_len != b->control_len;
    for (size_t i = 0; !differs && i < a->control_len; i++) {
        const struct config_line *left = &a->control[i], *right = &b->control[i];
        differs = !slice_eq(left->section, right->section) || !slice_eq(left->key, right->key) ||
                  !slice_eq(left->value, right->value);
    }
    return differs;
}
