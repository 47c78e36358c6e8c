/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long reads take through the PostgreSQL store, one at a time: the critical queries, stats and
 * timeline, each with parameters drawn anew. Prints one JSON object: per query p50_us and p99_us;
 * of stats and timeline p50_us, for which a quarter of the reads is enough.
 * Every answer is looked at: an error, or one without rows, ends with 1.
 *
 *   store_reads URL COUNT PEOPLE FIRST_PERSON END_MS
 *
 * The event is `demo`, its people have the tokens demo-000001 and so on with ids from FIRST_PERSON,
 * and its last scans were in the hour before END_MS (a whole hour).
 */
#include "base/clock.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MINUTE_MS = 60000,
    HOUR_MS = 60 * MINUTE_MS,
    PAGE = 20,
    COUNT_MAX = 1000000,
    WARM_UP = 50, /* reads before those that count, of each kind */
};

static struct {
    struct store *store;
    long count, people, first_person, end_ms;
    uint64_t random;
    char token[32];
} reads;

static long draw(long below) {
    reads.random = reads.random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (long)((reads.random >> 33) % (uint64_t)below);
}

static void ask_history(struct store_op *op) {
    op->attendance.filter = (struct attendance_filter){
        .participant_id = reads.first_person + draw(reads.people), .method = -1, .verdict = -1,
        .since_ms = TIME_NONE, .until_ms = TIME_NONE, .recorded_since_ms = TIME_NONE};
    op->attendance.after_at_ms = TIME_NONE;
    op->attendance.limit = PAGE;
}

static bool see_history(const struct store_op *op) {
    return op->attendance.len > 0;
}

static void ask_token(struct store_op *op) {
    snprintf(reads.token, sizeof reads.token, "demo-%06ld", 1 + draw(reads.people));
    op->participants.token = slice_of(reads.token);
    op->participants.limit = PAGE;
}

static bool see_token(const struct store_op *op) {
    return op->participants.len == 1;
}

static void ask_counts(struct store_op *op, int64_t since_ms, int64_t step_ms) {
    op->timeline.since_ms = since_ms;
    op->timeline.until_ms = reads.end_ms;
    op->timeline.step_ms = step_ms;
}

/* Since a quarter of an hour ago; the answer has every gate's count, the one asked for too. */
static void ask_gate_count(struct store_op *op) {
    ask_counts(op, reads.end_ms - 15 * MINUTE_MS, 15 * MINUTE_MS);
}

static void ask_gate_counts(struct store_op *op) {
    ask_counts(op, reads.end_ms - HOUR_MS, HOUR_MS);
}

static void ask_timeline(struct store_op *op) {
    ask_counts(op, reads.end_ms - HOUR_MS, MINUTE_MS);
}

static bool see_timeline(const struct store_op *op) {
    return op->timeline.len > 0;
}

static void ask_stats(struct store_op *op) {
    (void)op;
}

static bool see_stats(const struct store_op *op) {
    return op->stats.scans > 0 && op->stats.gates_len > 0;
}

/* X(name, operation, what fills it, what looks at the answer, what is told) */
#define READ_TABLE(X)                                                                              \
    X("history", LIST_ATTENDANCE, ask_history, see_history, TAIL)                                  \
    X("gate_count", READ_TIMELINE, ask_gate_count, see_timeline, TAIL)                             \
    X("token", LIST_PARTICIPANTS, ask_token, see_token, TAIL)                                      \
    X("gate_counts", READ_TIMELINE, ask_gate_counts, see_timeline, TAIL)                           \
    X("stats", READ_STATS, ask_stats, see_stats, MEDIAN)                                           \
    X("timeline", READ_TIMELINE, ask_timeline, see_timeline, MEDIAN)

enum told_e { TOLD_TAIL, TOLD_MEDIAN };
struct read_row {
    const char *name;
    enum store_op_e kind;
    void (*ask)(struct store_op *op);
    bool (*see)(const struct store_op *op);
    enum told_e told;
};
static const struct read_row rows[] = {
#define X(name, kind, ask, see, told) {name, STORE_##kind, ask, see, TOLD_##told},
    READ_TABLE(X)
#undef X
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "store_reads: %s: %s\n", what, why);
    exit(1);
}

static int64_t read_once(const struct read_row *row) {
    struct store_op op;
    store_op_init(&op, row->kind);
    op.event = SLICE_LIT("demo");
    row->ask(&op);
    int64_t begun_us = clock_mono_us(clock_system());
    enum err_e err = store_run(reads.store, &op);
    int64_t took_us = clock_mono_us(clock_system()) - begun_us;
    if (err != ERR_OK) {
        fail(row->name, err_code(err));
    }
    if (!row->see(&op)) {
        fail(row->name, "not the answer that the data has");
    }
    store_op_fini(&op);
    return took_us;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure(const struct read_row *row, int64_t *times_us) {
    for (long i = 0; i < WARM_UP; i++) {
        read_once(row);
    }
    long count = row->told == TOLD_MEDIAN ? (reads.count + 3) / 4 : reads.count;
    for (long i = 0; i < count; i++) {
        times_us[i] = read_once(row);
    }
    qsort(times_us, (size_t)count, sizeof *times_us, compare);
    printf("%s\"%s\":{\"p50_us\":%lld", row == rows ? "{" : ",", row->name,
           (long long)times_us[count / 2]);
    if (row->told == TOLD_TAIL) {
        printf(",\"p99_us\":%lld", (long long)times_us[count * 99 / 100]);
    }
    printf("}");
}

static long number(const char *text, long lowest, long highest) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*end != '\0' || end == text || value < lowest || value > highest) {
        fail(text, "not a number in range");
    }
    return value;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fputs("usage: store_reads URL COUNT PEOPLE FIRST_PERSON END_MS\n", stderr);
        return 2;
    }
    struct problem problem = {.detail = ""};
    const struct postgres_options options = {
        .url = argv[1], .clock = clock_system(), .rng = rng_system(),
        .queue_max = 16, .group_max = 16, .writers = 1, .readers = 1,
    };
    reads.count = number(argv[2], 1, COUNT_MAX);
    reads.people = number(argv[3], 1, INT32_MAX);
    reads.first_person = number(argv[4], 1, INT64_MAX);
    reads.end_ms = number(argv[5], 1, INT64_MAX);
    reads.random = 1;
    int64_t *times_us = calloc((size_t)reads.count, sizeof *times_us);
    if (times_us == NULL || postgres_open(&options, &reads.store, &problem) != ERR_OK) {
        fail(argv[1], problem.detail);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        measure(&rows[i], times_us);
    }
    puts("}");
    store_close(reads.store);
    free(times_us);
    return 0;
}
