/* SPDX-License-Identifier: Apache-2.0 */
/* Running the checks over a plan and putting their findings in order. */
#include "optimizer/explain.h"

#include "base/assert.h"
#include "optimizer/explain_priv.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    TEXT_LIMIT = 1 << 20,  /* of one finding: names and conditions in it are clipped */
    CLIP_BYTES = 400,      /* of a condition */
    MESSAGE_BYTES = 2048,
};

typedef void (*node_check_fn)(struct finder *f, const struct plan_node *node);
typedef void (*statement_check_fn)(struct finder *f, const struct plan_statement *statement);

static const node_check_fn node_checks[] = {
#define X(name) name,
    EXPLAIN_NODE_CHECKS(X)
#undef X
};

static const statement_check_fn statement_checks[] = {
#define X(name) name,
    EXPLAIN_STATEMENT_CHECKS(X)
#undef X
};

struct json_writer *finding_begin(struct finder *f, enum rule_e rule, const struct plan_node *node,
                                  double figure) {
    int severity = rule_judge(rule, figure);
    if (severity < 0 || f->failed || f->count >= EXPLAIN_FINDINGS_MAX) {
        return NULL;
    }
    f->draft = arena_zalloc(f->arena, sizeof *f->draft);
    if (f->draft == NULL) {
        f->failed = true;
        return NULL;
    }
    f->draft->rule = rule;
    f->draft->severity = (enum finding_severity_e)severity;
    f->draft->node = node;
    buf_clear(&f->text);
    json_writer_init(&f->evidence, &f->text);
    json_begin_object(&f->evidence);
    return &f->evidence;
}

/* What the buffer holds goes to the arena; the buffer is free for the next part. */
static struct slice keep_text(struct finder *f) {
    struct slice kept = arena_copy(f->arena, buf_slice(&f->text));
    f->failed = f->failed || f->text.failed || kept.at == NULL;
    buf_clear(&f->text);
    return kept;
}

void finding_put(struct json_writer *evidence, const char *key, double figure, int decimals) {
    static const double most = 9e18;
    json_put_real(evidence, key, figure < most ? figure : most, decimals);
}

void finding_where(struct finder *f, const char *format, ...) {
    char where[1024]; /* two clipped names and a few words */
    va_list args;
    va_start(args, format);
    vsnprintf(where, sizeof where, format, args);
    va_end(args);
    f->draft->where = arena_copy(f->arena, slice_of(where));
}

/* Partitions of one table, scanned alike, are one finding: the worst of them speaks. */
static struct finding *same_among_partitions(const struct finder *f, const struct finding *draft) {
    struct finding *last = f->last_of[draft->rule];
    if (last == NULL || last->node == NULL || draft->node == NULL ||
        draft->node->parent == NULL || draft->node->role != PLAN_ROLE_MEMBER) {
        return NULL;
    }
    return last->node->parent == draft->node->parent ? last : NULL;
}

static void append(struct finder *f, struct finding *finding) {
    finding->next = NULL;
    *f->link[finding->severity] = finding;
    f->link[finding->severity] = &finding->next;
    f->last_of[finding->rule] = finding;
    f->count++;
}

static void unlink_finding(struct finder *f, struct finding *finding) {
    struct finding **link = &f->first[finding->severity];
    while (*link != finding) {
        link = &(*link)->next;
    }
    *link = finding->next;
    if (f->link[finding->severity] == &finding->next) {
        f->link[finding->severity] = link;
    }
    f->count--;
}

static void add_or_merge(struct finder *f, struct finding *draft) {
    struct finding *same = same_among_partitions(f, draft);
    if (same == NULL) {
        append(f, draft);
        return;
    }
    if (draft->severity <= same->severity) {
        same->similar++;
        return;
    }
    draft->similar = same->similar + 1;
    unlink_finding(f, same);
    append(f, draft);
}

void finding_end(struct finder *f, const char *message, ...) {
    f->draft->evidence = keep_text(f); /* its brace is closed when the similar ones are counted */
    if (f->draft->where.at == NULL) {
        plan_path(&f->text, f->draft->node);
        f->draft->where = keep_text(f);
    }
    char sentence[MESSAGE_BYTES];
    va_list args;
    va_start(args, message);
    int len = vsnprintf(sentence, sizeof sentence, message, args);
    va_end(args);
    ASSERT(len > 0);
    f->draft->message = arena_copy(f->arena, slice_of(sentence));
    if (f->draft->message.at == NULL) {
        f->failed = true;
    }
    if (!f->failed) {
        add_or_merge(f, f->draft);
    }
    f->draft = NULL;
}

struct slice finding_clip(struct slice text) {
    if (text.len <= CLIP_BYTES) {
        return text;
    }
    text.len = CLIP_BYTES;
    while (text.len > 0 && ((unsigned char)text.at[text.len] & 0xC0) == 0x80) {
        text.len--;
    }
    return text;
}

double node_ms(const struct plan_node *node) {
    if (node->total_ms < 0 || node->loops < 0) {
        return PLAN_ABSENT;
    }
    return node->total_ms * node->loops / plan_processes(node);
}

double node_time_percent(const struct finder *f, const struct plan_node *node) {
    double ms = node_ms(node);
    return ms < 0 || f->statement->execution_ms <= 0 ? PLAN_ABSENT
                                                     : 100 * ms / f->statement->execution_ms;
}

bool node_is_unpruned(const struct finder *f, const struct plan_node *node) {
    return f->unpruned != NULL && (node == f->unpruned || node->parent == f->unpruned);
}

static void judge_statement(struct finder *f, const struct plan_statement *statement) {
    f->statement = statement;
    f->unpruned = NULL;
    memset(f->last_of, 0, sizeof f->last_of);
    rank_misses(statement);
    for (const struct plan_node *node = statement->root; node != NULL; node = node->next) {
        for (size_t i = 0; i < sizeof node_checks / sizeof node_checks[0]; i++) {
            node_checks[i](f, node);
        }
    }
    for (size_t i = 0; i < sizeof statement_checks / sizeof statement_checks[0]; i++) {
        statement_checks[i](f, statement);
    }
}

static void close_evidence(struct finder *f, struct finding *finding) {
    buf_clear(&f->text);
    buf_add(&f->text, finding->evidence);
    if (finding->similar > 0) {
        buf_printf(&f->text, ",\"similar_partitions\":%u", finding->similar);
    }
    buf_add_char(&f->text, '}');
    finding->evidence = keep_text(f);
}

static void gather_findings(struct finder *f, struct explain_report *report) {
    struct finding **link = &report->findings;
    for (int severity = FINDING_COUNT - 1; severity >= 0; severity--) {
        *link = f->first[severity];
        while (*link != NULL) {
            close_evidence(f, *link);
            link = &(*link)->next;
        }
    }
    report->finding_count = f->count;
}

static enum err_e run_checks(struct arena *arena, const struct plan_statement *statements,
                             struct explain_report *report) {
    struct finder finder = {.arena = arena};
    for (int severity = 0; severity < FINDING_COUNT; severity++) {
        finder.link[severity] = &finder.first[severity];
    }
    buf_init(&finder.text, TEXT_LIMIT);
    for (const struct plan_statement *s = statements; s != NULL; s = s->next) {
        judge_statement(&finder, s);
    }
    gather_findings(&finder, report);
    buf_fini(&finder.text);
    return finder.failed ? ERR_NO_MEMORY : ERR_OK;
}

/* A set of names: open addressing, at most half full. */
struct names {
    struct slice *slots;
    size_t mask;
    struct slice *list;
    size_t count;
};

static void names_add(struct names *names, struct slice name) {
    size_t at = (size_t)slice_hash(name) & names->mask;
    while (names->slots[at].at != NULL) {
        if (slice_eq(names->slots[at], name)) {
            return;
        }
        at = (at + 1) & names->mask;
    }
    names->slots[at] = name;
    names->list[names->count++] = name;
}

/* INSERT … ON CONFLICT looks its arbiters up in the index, though no node reads them. */
static size_t arbiters_of(const struct plan_node *node, const struct json_t **ret_list) {
    *ret_list = json_get(node->json, "Conflict Arbiter Indexes");
    bool is_list = *ret_list != NULL && json_kind(*ret_list) == JSON_KIND_ARRAY;
    return is_list ? json_count(*ret_list) : 0;
}

static size_t count_index_names(const struct plan_statement *statements) {
    size_t count = 0;
    for (const struct plan_statement *s = statements; s != NULL; s = s->next) {
        for (const struct plan_node *node = s->root; node != NULL; node = node->next) {
            const struct json_t *list;
            count += arbiters_of(node, &list) + (node->index.len > 0);
        }
    }
    return count;
}

static void add_index_names(struct names *names, const struct plan_node *node) {
    const struct json_t *list;
    size_t arbiters = arbiters_of(node, &list);
    for (size_t i = 0; i < arbiters; i++) {
        const struct json_t *name = json_at(list, i);
        if (json_kind(name) == JSON_KIND_STRING && json_text(name).len > 0) {
            names_add(names, json_text(name));
        }
    }
    if (node->index.len > 0) {
        names_add(names, node->index);
    }
}

static enum err_e list_indexes(struct arena *arena, const struct plan_statement *statements,
                               struct explain_report *report) {
    size_t most = count_index_names(statements);
    struct names names = {.mask = 1};
    while (names.mask < 2 * most) {
        names.mask = 2 * names.mask + 1;
    }
    names.slots = arena_zalloc(arena, (names.mask + 1) * sizeof *names.slots);
    names.list = arena_zalloc(arena, (most + 1) * sizeof *names.list);
    if (names.slots == NULL || names.list == NULL) {
        return ERR_NO_MEMORY;
    }
    for (const struct plan_statement *s = statements; s != NULL; s = s->next) {
        for (const struct plan_node *node = s->root; node != NULL; node = node->next) {
            add_index_names(&names, node);
        }
    }
    report->indexes = names.list;
    report->index_count = names.count;
    return ERR_OK;
}

static double execution_ms(const struct plan_statement *statements) {
    double sum = PLAN_ABSENT;
    for (const struct plan_statement *s = statements; s != NULL; s = s->next) {
        if (s->execution_ms >= 0) {
            sum = (sum >= 0 ? sum : 0) + s->execution_ms;
        }
    }
    return sum;
}

enum err_e explain_judge(struct arena *arena, const struct plan_statement *statements,
                         struct explain_report *ret_report) {
    *ret_report = (struct explain_report){.execution_ms = execution_ms(statements)};
    TRY(list_indexes(arena, statements, ret_report));
    return run_checks(arena, statements, ret_report);
}

static void write_finding(struct json_writer *w, const struct finding *finding) {
    json_begin_object(w);
    json_put_cstr(w, "rule", rule_of(finding->rule)->id);
    json_put_cstr(w, "severity", finding_severity_word(finding->severity));
    json_put_text(w, "node", finding->where);
    json_put_text(w, "message", finding->message);
    json_key(w, "evidence");
    json_add_raw(w, finding->evidence);
    json_end_object(w);
}

void explain_write(struct json_writer *w, const struct explain_report *report) {
    json_begin_object(w);
    /* json_put_real writes null for what is not finite */
    json_put_real(w, "execution_ms",
                  report->execution_ms >= 0 ? report->execution_ms : __builtin_nan(""), 3);
    json_key(w, "findings");
    json_begin_array(w);
    for (const struct finding *f = report->findings; f != NULL; f = f->next) {
        write_finding(w, f);
    }
    json_end_array(w);
    json_key(w, "indexes");
    json_begin_array(w);
    for (size_t i = 0; i < report->index_count; i++) {
        json_add_text(w, report->indexes[i]);
    }
    json_end_array(w);
    json_end_object(w);
}
