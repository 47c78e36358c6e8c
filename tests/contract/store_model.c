/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories against the model: late scans, exits, force, repeated nonces, annulments,
 * changed people, gates and rules, restarts; alone and from many threads at once, where the order
 * of record ids is the order of decision. The seed is printed; TURNOUT_SEED repeats a run,
 * TURNOUT_ROUNDS lengthens it.
 */
#include "model.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t env_number(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static uint64_t first_seed(void) {
    return env_number("TURNOUT_SEED", rng_u64(rng_system()) % 1000000);
}

struct world {
    struct rig rig;
    struct model model;
    struct seeded_rng rng;
    uint64_t nonces;
};

static uint64_t below(struct world *w, uint64_t bound) {
    return rng_below(&w->rng.base, bound);
}

static void begin_world(struct world *w, uint64_t seed) {
    printf("seed %llu\n", (unsigned long long)seed);
    seeded_rng_init(&w->rng, seed);
    w->nonces = 0;
    rig_begin(&w->rig);
    model_begin(&w->model);
    rig_event(&w->rig, "e", w->model.reentry, w->model.capacity);
    rig_gate(&w->rig, "e", "g1");
    rig_gate(&w->rig, "e", "g2");
    rig_gate(&w->rig, "e", "g3");
    for (int i = 0; i < MODEL_PEOPLE; i++) {
        struct model_person *person = &w->model.people[i];
        snprintf(person->token, sizeof person->token, "t%d", i);
        person->valid_from_ms = person->valid_until_ms = TIME_NONE;
        person->id = rig_person(&w->rig, "e", person->token, person->token, "");
    }
}

static void end_world(struct world *w) {
    model_end(&w->model);
    rig_end(&w->rig);
}

/* ── one random scan ── */

struct attempt {
    int person; /* MODEL_PEOPLE: a token that nobody has */
    int gate;
    char token[16], code[16], nonce[24];
    struct scan scan;
};

/* The scan's texts are the attempt's own: pointed at anew after a copy. */
static void point_texts(struct attempt *a) {
    a->scan.token = slice_of(a->token);
    a->scan.gate = slice_of(a->code);
    a->scan.nonce = slice_of(a->nonce);
}

static void random_attempt(struct world *w, struct attempt *a) {
    a->person = (int)below(w, MODEL_PEOPLE + 1);
    a->gate = (int)below(w, MODEL_GATES);
    snprintf(a->token, sizeof a->token, "t%d", a->person);
    snprintf(a->code, sizeof a->code, "g%d", a->gate + 1);
    a->nonce[0] = '\0';
    if (below(w, 3) == 0) {
        snprintf(a->nonce, sizeof a->nonce, "n%llu",
                 (unsigned long long)(below(w, 4) == 0 ? below(w, w->nonces + 1) : w->nonces++));
    }
    int64_t late_ms = below(w, 3) == 0 ? (int64_t)below(w, 200) * 1000 : 0;
    a->scan = (struct scan){
        .method = (enum method_e)below(w, METHOD_COUNT),
        .direction = below(w, 3) == 0 ? DIRECTION_EXIT : DIRECTION_ENTRY,
        .scanned_at_ms =
            below(w, 2) == 0 ? TIME_NONE : w->rig.clock.now_wall_ms - late_ms,
        .force = below(w, 8) == 0,
    };
    point_texts(a);
}

static void check_attempt(struct world *w, const struct attempt *a,
                          const struct scan_result *seen) {
    const struct model_scan asked = {.person = a->person == MODEL_PEOPLE ? -1 : a->person,
                                     .gate = a->gate,
                                     .scan = &a->scan,
                                     .now_ms = w->rig.clock.now_wall_ms};
    model_check_scan(&w->model, &asked, seen);
}

static void scan_once(struct world *w) {
    struct attempt a;
    random_attempt(w, &a);
    struct scan_result seen = rig_scan(&w->rig, "e", a.scan);
    check_attempt(w, &a, &seen);
}

static void annul_once(struct world *w) {
    if (w->model.len == 0) {
        return;
    }
    struct model_record *record = &w->model.records[below(w, w->model.len)];
    bool can = !record->annulled && record->verdict != VERDICT_REFUSED;
    enum err_e err = rig_annul(&w->rig, "e", record->id, NULL);
    assert_int_equal(err, can ? ERR_OK : ERR_NOT_ANNULLABLE);
    record->annulled = record->annulled || can;
}

static void change_person(struct world *w) {
    struct model_person *person = &w->model.people[below(w, MODEL_PEOPLE)];
    if (person->erased) {
        return;
    }
    static const char *const lists[] = {"", "g1", "g2", "g1 g2", "g3", "g1 g3", "g2 g3"};
    person->status = (enum participant_status_e)(below(w, 4) == 0 ? 1 + below(w, 2) : 0);
    person->gates = below(w, 4) == 0 ? (unsigned)below(w, 7) : 0;
    person->valid_from_ms =
        below(w, 5) == 0 ? w->rig.clock.now_wall_ms - (int64_t)below(w, 60000) : TIME_NONE;
    struct participant values = {.status = person->status,
                                 .gates = slice_of(lists[person->gates]),
                                 .valid_from_ms = person->valid_from_ms,
                                 .valid_until_ms = TIME_NONE};
    assert_int_equal(rig_patch(&w->rig, "e", person->id,
                               PARTICIPANT_STATUS | PARTICIPANT_GATES | PARTICIPANT_VALID_FROM |
                                   PARTICIPANT_VALID_UNTIL,
                               &values),
                     ERR_OK);
}

static void change_rules(struct world *w) {
    w->model.reentry = (enum reentry_e)below(w, 3);
    w->model.capacity = below(w, 3) == 0 ? CAPACITY_NONE : (int64_t)below(w, MODEL_PEOPLE);
    rig_set_event(&w->rig, "e", w->model.reentry, w->model.capacity);
    int gate = (int)below(w, MODEL_GATES);
    char code[16];
    snprintf(code, sizeof code, "g%d", gate + 1);
    w->model.gates[gate] = below(w, 3) == 0 ? GATE_CLOSED : GATE_OPEN;
    rig_set_gate(&w->rig, "e", code, w->model.gates[gate]);
}

static void erase_once(struct world *w) {
    struct model_person *person = &w->model.people[MODEL_PEOPLE - 1 - below(w, 2)];
    enum err_e err = rig_erase(&w->rig, "e", person->id);
    assert_int_equal(err, person->erased ? ERR_UNKNOWN_PARTICIPANT : ERR_OK);
    person->erased = true;
}

static void step(struct world *w) {
    uint64_t dice = below(w, 1000);
    if (dice < 40) {
        annul_once(w);
    } else if (dice < 60) {
        change_person(w);
    } else if (dice < 75) {
        change_rules(w);
    } else if (dice < 76) {
        erase_once(w);
    } else if (dice < 78) {
        rig_reopen(&w->rig);
    } else if (dice < 90) {
        model_check_reads(&w->model, &w->rig);
    } else {
        scan_once(w);
    }
    virtual_clock_advance(&w->rig.clock, (int64_t)below(w, 2000));
}

static void random_histories_agree_with_the_model(void **state) {
    (void)state;
    uint64_t rounds = env_number("TURNOUT_ROUNDS", 6);
    for (uint64_t seed = first_seed(), last = seed + rounds; seed < last; seed++) {
        static struct world w;
        begin_world(&w, seed);
        for (int i = 0; i < 1500; i++) {
            step(&w);
        }
        model_check_reads(&w.model, &w.rig);
        assert_true(w.model.len > 500);
        end_world(&w);
    }
}

/* ── many threads ── */

enum { THREADS = 8, SCANS_PER_THREAD = 400 };

struct decided {
    struct attempt attempt;
    struct scan_result seen;
};

struct crowd {
    struct world *world;
    atomic_int next;
    struct decided decided[THREADS * SCANS_PER_THREAD];
};

static int crowd_member(void *data) {
    struct crowd *crowd = data;
    for (int i = 0; i < SCANS_PER_THREAD; i++) {
        struct decided *mine = &crowd->decided[atomic_fetch_add(&crowd->next, 1)];
        struct store_op op;
        store_op_init(&op, STORE_CHECK_IN);
        op.event = SLICE_LIT("e");
        op.check_in.scans = &mine->attempt.scan;
        op.check_in.results = &mine->seen;
        op.check_in.len = 1;
        enum err_e err = store_run(crowd->world->rig.store, &op);
        if (err != ERR_OK) {
            mine->seen.err = err;
        }
        /* Gate codes are few and known: keep the text beyond the operation's arena. */
        static const char *const codes[] = {"g1", "g2", "g3"};
        for (int g = 0; g < 3 && mine->seen.has_first; g++) {
            if (slice_eq_text(mine->seen.first_gate, codes[g])) {
                mine->seen.first_gate = slice_of(codes[g]);
                break;
            }
        }
        store_op_fini(&op);
    }
    return 0;
}

/* First verdicts by record id; a replay comes after the record that it repeats, whose state it
 * shows only as `inside`, so replays are compared for the verdict alone. */
static int by_record(const void *a, const void *b) {
    const struct decided *x = a, *y = b;
    if (x->seen.record_id != y->seen.record_id) {
        return x->seen.record_id < y->seen.record_id ? -1 : 1;
    }
    return (int)x->seen.replayed - (int)y->seen.replayed;
}

static void concurrent_scans_are_decided_one_after_another(void **state) {
    (void)state;
    static struct world w;
    static struct crowd crowd;
    begin_world(&w, first_seed());
    w.model.capacity = MODEL_PEOPLE / 2;
    rig_set_event(&w.rig, "e", w.model.reentry, w.model.capacity);
    crowd.world = &w;
    for (int i = 0; i < THREADS * SCANS_PER_THREAD; i++) {
        random_attempt(&w, &crowd.decided[i].attempt);
    }
    thrd_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(thrd_create(&threads[i], crowd_member, &crowd), thrd_success);
    }
    for (int i = 0; i < THREADS; i++) {
        thrd_join(threads[i], NULL);
    }
    qsort(crowd.decided, THREADS * SCANS_PER_THREAD, sizeof crowd.decided[0], by_record);
    int conflicts = 0, replays = 0;
    for (int i = 0; i < THREADS * SCANS_PER_THREAD; i++) {
        struct decided *d = &crowd.decided[i];
        point_texts(&d->attempt);
        conflicts += d->seen.err == ERR_NONCE_CONFLICT;
        replays += d->seen.replayed;
        if (d->seen.err == ERR_NONCE_CONFLICT || d->seen.replayed) {
            continue;
        }
        check_attempt(&w, &d->attempt, &d->seen);
    }
    model_check_reads(&w.model, &w.rig);
    assert_int_equal(w.model.len + (size_t)conflicts + (size_t)replays,
                     THREADS * SCANS_PER_THREAD);
    assert_true(conflicts + replays > 0);
    end_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories_agree_with_the_model),
        cmocka_unit_test(concurrent_scans_are_decided_one_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
