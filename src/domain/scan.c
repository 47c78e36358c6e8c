/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of admission.
 *
 *            entry                                   exit
 *   token unknown ── refused                  token unknown ── refused
 *   first reason in the order of precedence   otherwise ────── exited, always
 *     none ─────────── admitted
 *     some, force ──── admitted, forced
 *     some ─────────── refused
 *
 * Invariants, kept by rule_scan and standing_add together (tests/simulation checks them):
 *   1. `inside` of an event is the number of participants whose standing is inside.
 *   2. No ruling without force lifts `inside` above the capacity.
 *   3. Under `none`, a participant without forced records has at most one standing admission.
 */
#include "domain/scan.h"

#include "domain/words.h"

WORDS(method, enum method_e, METHOD_TABLE)
WORDS(direction, enum direction_e, DIRECTION_TABLE)
WORDS(verdict, enum verdict_e, VERDICT_TABLE)
WORDS(reason, enum reason_e, REASON_TABLE)

/* A record at this time would be the participant's last: record ids grow, so an equal time wins. */
static bool would_be_last(const struct standing *standing, int64_t at_ms) {
    return standing->last_id == 0 || at_ms >= standing->last_at_ms;
}

/* Would an admission at this time make somebody come in who is not inside now? */
static bool would_come_in(const struct facts *facts, const struct scan *scan) {
    return !facts->standing->inside && would_be_last(facts->standing, scan->scanned_at_ms);
}

bool standing_in_the_way(const struct standing *standing, enum reentry_e reentry,
                         int64_t *ret_at_ms, int64_t *ret_gate) {
    switch (reentry) {
    case REENTRY_NONE:
        *ret_at_ms = standing->first_at_ms;
        *ret_gate = standing->first_gate;
        return standing->admissions > 0;
    case REENTRY_AFTER_EXIT:
        *ret_at_ms = standing->last_at_ms;
        *ret_gate = standing->last_gate;
        return standing->inside;
    case REENTRY_ALWAYS:
        return false;
    }
    UNREACHABLE();
}

static enum reason_e person_reason(const struct participant *person, int64_t at_ms) {
    switch (person->status) {
    case PARTICIPANT_CANCELLED:
        return REASON_CANCELLED;
    case PARTICIPANT_BLOCKED:
        return REASON_BLOCKED;
    case PARTICIPANT_ACTIVE:
        break;
    }
    if (person->valid_from_ms != TIME_NONE && at_ms < person->valid_from_ms) {
        return REASON_NOT_YET_VALID;
    }
    if (person->valid_until_ms != TIME_NONE && at_ms >= person->valid_until_ms) {
        return REASON_EXPIRED;
    }
    return REASON_NONE;
}

static bool is_full(const struct facts *facts) {
    return facts->event->capacity != CAPACITY_NONE && facts->inside >= facts->event->capacity;
}

/* The first reason against an entry, in the order of precedence. */
static enum reason_e entry_reason(const struct facts *facts, const struct scan *scan) {
    enum reason_e reason = person_reason(facts->participant, scan->scanned_at_ms);
    if (reason != REASON_NONE) {
        return reason;
    }
    if (!gates_allow(facts->participant->gates, facts->gate->code)) {
        return REASON_WRONG_GATE;
    }
    if (facts->gate->status == GATE_CLOSED) {
        return REASON_GATE_CLOSED;
    }
    int64_t at_ms, gate;
    if (standing_in_the_way(facts->standing, facts->event->reentry, &at_ms, &gate)) {
        return REASON_ALREADY_USED;
    }
    if (would_come_in(facts, scan) && is_full(facts)) {
        return REASON_CAPACITY_FULL;
    }
    return REASON_NONE;
}

static struct ruling rule_entry(const struct facts *facts, const struct scan *scan) {
    enum reason_e reason = entry_reason(facts, scan);
    if (reason != REASON_NONE && !scan->force) {
        return (struct ruling){.verdict = VERDICT_REFUSED, .reason = reason};
    }
    return (struct ruling){
        .verdict = VERDICT_ADMITTED,
        .forced = reason != REASON_NONE,
        .overrode = reason,
        .comes_in = would_come_in(facts, scan),
    };
}

static struct ruling rule_exit(const struct facts *facts, const struct scan *scan) {
    return (struct ruling){
        .verdict = VERDICT_EXITED,
        .goes_out =
            facts->standing->inside && would_be_last(facts->standing, scan->scanned_at_ms),
    };
}

struct ruling rule_scan(const struct facts *facts, const struct scan *scan) {
    ASSERT(scan->scanned_at_ms != TIME_NONE);
    if (facts->participant == NULL) {
        return (struct ruling){.verdict = VERDICT_REFUSED, .reason = REASON_UNKNOWN_TOKEN};
    }
    return scan->direction == DIRECTION_EXIT ? rule_exit(facts, scan) : rule_entry(facts, scan);
}

void standing_add(struct standing *standing, const struct ruling *ruling, int64_t at_ms, int64_t id,
                  int64_t gate) {
    if (ruling->verdict == VERDICT_REFUSED) {
        return;
    }
    if (would_be_last(standing, at_ms)) {
        standing->inside = ruling->verdict == VERDICT_ADMITTED;
        standing->last_at_ms = at_ms;
        standing->last_id = id;
        standing->last_gate = gate;
    }
    if (ruling->verdict == VERDICT_ADMITTED) {
        if (standing->admissions == 0 || at_ms < standing->first_at_ms) {
            standing->first_at_ms = at_ms;
            standing->first_gate = gate;
        }
        standing->admissions++;
    }
}
