/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: every scan that was asked for, what was answered first, and whether everything that
 * is there afterwards agrees. It counts anew from the records, and knows nothing of rule_scan.
 */
#include "cluster.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct ledger ledger;
struct tally tally;
static bool quietly;

void judge_begin(void) {
    memset(&ledger, 0, sizeof ledger);
    for (int i = 0; i < GATES; i++) {
        ledger.gates_us[i] = i < GATES_FIRST ? 0 : INT64_MAX;
    }
    for (int i = 0; i < PEOPLE; i++) {
        ledger.acked_versions_us[i][0] = 1;
    }
}

void judge_quietly(bool is_quiet) {
    quietly = is_quiet;
}

void mistake(const char *format, ...) {
    if (++tally.mistakes > 5 || quietly) {
        return;
    }
    va_list args;
    va_start(args, format);
    fprintf(stderr, "SEED=%" PRIu64 " at %" PRId64 " us: ", tally.seed, sim.now_us - 1000000000);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ── answers ── */

/* The very first answer may come late, behind that of another try. */
static void compare(struct ticket *ticket, const struct scan_result *result) {
    const struct scan_result *first = &ticket->answer;
    tally.replays++;
    if (result->record_id != first->record_id || (!result->replayed && ticket->was_decided)) {
        mistake("doubled: %s was decided again", ticket->nonce);
    } else if (result->verdict != first->verdict || result->reason != first->reason ||
               result->overrode != first->overrode) {
        mistake("replayed differently: %s was %s, and now %s", ticket->nonce,
                verdict_text(first->verdict), verdict_text(result->verdict));
    }
    ticket->was_decided = ticket->was_decided || !result->replayed;
}

void judge_answer(struct ticket *ticket, const struct scan_result *result, int64_t begun_us) {
    if (result->err == ERR_UNKNOWN_GATE) {
        int gate = db_gate_of(ticket->scan.gate);
        if (ledger.gates_us[gate] != INT64_MAX && ledger.gates_us[gate] + BOUND_US <= begun_us) {
            mistake("refused: gate %d is there, and %s was told it is not", gate, ticket->nonce);
        }
    } else if (result->err == ERR_NONCE_CONFLICT) {
        mistake("%s is said to be another's nonce", ticket->nonce);
    }
    if (result->err != ERR_OK) {
        tally.errors++;
        return;
    }
    if (ticket->is_acked) {
        compare(ticket, result);
        return;
    }
    ticket->is_acked = true;
    ticket->was_decided = !result->replayed;
    ticket->acked_us = sim.now_us;
    ticket->answer = *result;
    tally.scans++;
    tally.refused += result->verdict == VERDICT_REFUSED;
}

/* ── reads ── */

void judge_person(int person, const struct participant *seen, int64_t begun_us) {
    int64_t least = 0, version = -1;
    for (int64_t v = 0; v < VERSIONS_MAX; v++) {
        int64_t acked_us = ledger.acked_versions_us[person][v];
        least = acked_us != 0 && acked_us + BOUND_US <= begun_us ? v : least;
    }
    if (!slice_to_int(slice_skip(seen->name, 1), 0, VERSIONS_MAX, &version) ||
        version > db.versions[person]) {
        mistake("person %d is what nobody wrote: %.*s", person, SLICE_ARG(seen->name));
    } else if (version < least && !ledger.is_loose[person]) {
        mistake("stale: version %" PRId64 " of person %d, %" PRId64 " was acknowledged a second"
                " before", version, person, least);
    }
}

void judge_stats(const struct event_stats *stats, int64_t begun_us) {
    int64_t least = 0;
    for (size_t i = 0; i < ledger.len; i++) {
        const struct ticket *ticket = &ledger.tickets[i];
        least += ticket->is_acked && ticket->acked_us + BOUND_US <= begun_us;
    }
    if (stats->scans < least || stats->scans > (int64_t)ledger.len) {
        mistake("stats: %" PRId64 " scans, %" PRId64 " were acknowledged a second before, %zu asked"
                " for", stats->scans, least, ledger.len);
    }
}

/* ── records ── */

static struct ticket *ticket_of(const char *nonce) {
    for (size_t i = 0; i < ledger.len; i++) {
        if (strcmp(ledger.tickets[i].nonce, nonce) == 0) {
            return &ledger.tickets[i];
        }
    }
    return NULL;
}

static void judge_tickets(void) {
    size_t found[TICKETS_MAX] = {0};
    for (size_t i = 0; i < db.len; i++) {
        const struct db_record *record = &db.records[i];
        const struct ticket *ticket = ticket_of(record->nonce);
        if (ticket == NULL || !slice_eq(record->token, ticket->scan.token) ||
            record->direction != ticket->scan.direction) {
            mistake("phantom: record %" PRId64 " of %s", record->id, record->nonce);
        } else {
            found[ticket - ledger.tickets]++;
        }
    }
    for (size_t i = 0; i < ledger.len; i++) {
        const struct ticket *ticket = &ledger.tickets[i];
        if (ticket->is_acked && found[i] == 0) {
            mistake("lost: %s was acknowledged", ticket->nonce);
        } else if (found[i] > 1) {
            mistake("doubled: %s has %zu records", ticket->nonce, found[i]);
        } else if (!ticket->is_acked) {
            mistake("unanswered: %s", ticket->nonce);
        }
    }
}

/* Of the records up to `len`. */
static bool was_inside(int person, size_t len) {
    const struct db_record *last = NULL;
    for (size_t i = 0; i < len; i++) {
        const struct db_record *record = &db.records[i];
        bool counts = record->person == person && record->ruling.verdict != VERDICT_REFUSED;
        if (counts && (last == NULL || record->scanned_at_ms >= last->scanned_at_ms)) {
            last = record;
        }
    }
    return last != NULL && last->ruling.verdict == VERDICT_ADMITTED;
}

static bool was_admitted(int person, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (db.records[i].person == person &&
            db.records[i].ruling.verdict == VERDICT_ADMITTED) {
            return true;
        }
    }
    return false;
}

/* In the order of decision: nobody is admitted who was in, and never one too many. */
static int64_t judge_admissions(void) {
    int64_t inside = 0;
    bool in[PEOPLE] = {false};
    for (size_t i = 0; i < db.len; i++) {
        const struct db_record *record = &db.records[i];
        if (record->person < 0) {
            continue;
        }
        bool before = in[record->person];
        bool now = was_inside(record->person, i + 1);
        bool is_free = record->ruling.forced || db.event.reentry == REENTRY_ALWAYS;
        bool admits = record->ruling.verdict == VERDICT_ADMITTED;
        bool is_again = before || (db.event.reentry == REENTRY_NONE &&
                                   was_admitted(record->person, i));
        if (admits && !is_free && is_again) {
            mistake("admitted twice: person %d by %s", record->person, record->nonce);
        }
        if (admits && !before && now && !record->ruling.forced &&
            record->capacity != CAPACITY_NONE && inside >= record->capacity) {
            mistake("one too many: %s with %" PRId64 " inside", record->nonce, inside);
        }
        in[record->person] = now;
        inside += (int)now - (int)before;
    }
    return inside;
}

void judge_records(void) {
    judge_tickets();
    int64_t inside = judge_admissions();
    if (db.inside != inside) {
        mistake("occupancy: %" PRId64 " inside, by the records %" PRId64, db.inside, inside);
    }
}
