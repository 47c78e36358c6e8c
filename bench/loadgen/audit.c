/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ── an index over the ledger: open addressing, half full at most ── */

static size_t slot_of(const struct index *index, int64_t key) {
    return (size_t)((uint64_t)key * 0x9E3779B97F4A7C15U >> 20) & index->mask;
}

static void index_init(struct index *index, size_t count) {
    size_t size = 64;
    while (size < 2 * count) {
        size *= 2;
    }
    index->slots = malloc(size * sizeof *index->slots);
    ASSERT(index->slots != NULL);
    memset(index->slots, 0xff, size * sizeof *index->slots);
    index->mask = size - 1;
}

static int64_t record_of(const struct audit *audit, uint32_t number) {
    return audit->run->ledger.scans[number].record_id;
}

/* The scan with this record; SCAN_NONE: none. `ret_slot` is where it is or would be. */
static uint32_t index_find(const struct audit *audit, int64_t record_id, size_t *ret_slot) {
    const struct index *index = &audit->by_record;
    size_t at = slot_of(index, record_id);
    while (index->slots[at] != SCAN_NONE && record_of(audit, index->slots[at]) != record_id) {
        at = (at + 1) & index->mask;
    }
    *ret_slot = at;
    return index->slots[at];
}

/* ── the records ── */

static void index_ledger(struct audit *audit) {
    struct ledger *ledger = &audit->run->ledger;
    index_init(&audit->by_record, ledger->len);
    size_t slot;
    for (uint32_t number = 0; number < ledger->len; number++) {
        ledger->scans[number].seen = 0;
        if (!ledger_is_acknowledged(ledger, number)) {
            continue;
        }
        uint32_t other = index_find(audit, ledger->scans[number].record_id, &slot);
        if (other != SCAN_NONE) {
            ledger_fault(ledger, FAULT_LOST, "scans %" PRIu32 " and %" PRIu32
                         " were both acknowledged with record %" PRId64,
                         other, number, record_of(audit, number));
            ledger->scans[number].seen = 1;
            continue;
        }
        audit->by_record.slots[slot] = number;
    }
}

void audit_begin(struct audit *audit, struct run *run, const char *source) {
    *audit = (struct audit){.run = run, .source = source};
    audit->counts.participants = (int64_t)run->load.people;
    index_ledger(audit);
}

void audit_free(struct audit *audit) {
    free(audit->by_record.slots);
    free(audit->stays);
    free(audit->strays);
}

/* Room for one more of something. */
static void *grown(void *at, size_t len, size_t *size, size_t each) {
    if (len < *size) {
        return at;
    }
    *size = *size == 0 ? 1024 : 2 * *size;
    at = realloc(at, *size * each);
    ASSERT(at != NULL);
    return at;
}

static bool is_same(const struct sent *sent, const struct record *record, int64_t participant) {
    return sent->verdict == record->verdict && sent->reason == record->reason &&
           sent->gate == record->gate && sent->direction == record->direction &&
           sent->method == record->method && sent->scanned_ms == record->scanned_ms &&
           (sent->expect == EXPECT_UNKNOWN_TOKEN ? 0 : participant) == record->participant &&
           !record->is_annulled;
}

static void check_record(struct audit *audit, uint32_t number, const struct record *record) {
    struct ledger *ledger = &audit->run->ledger;
    struct sent *sent = &ledger->scans[number];
    int64_t participant = sent->person == PERSON_NONE ? 0 : ledger->ids[sent->person];
    if (sent->seen++ > 0) {
        sent->seen = UINT8_MAX;
        ledger_fault(ledger, FAULT_DOUBLED, "%s: record %" PRId64 " of scan %" PRIu32 " twice",
                     audit->source, record->id, number);
        return;
    }
    bool is_own = record->nonce.len == 0 || ledger_number(ledger, record->nonce) == number;
    if (!is_own || !is_same(sent, record, participant)) {
        ledger_fault(ledger, FAULT_CHANGED,
                     "%s: record %" PRId64 " of scan %" PRIu32 " is %s, %s, gate %" PRId64
                     ", participant %" PRId64, audit->source, record->id, number,
                     verdict_text(record->verdict), reason_text(record->reason), record->gate,
                     record->participant);
    }
}

static void count_record(struct audit *audit, const struct record *record) {
    static struct gate_counts nowhere;
    struct gate_counts *gate =
        record->gate < 0 ? &nowhere : &audit->counts.gates[record->gate];
    audit->counts.scans++;
    audit->counts.methods[record->method]++;
    if (record->verdict == VERDICT_REFUSED) {
        audit->counts.refused++;
        gate->refused++;
        return;
    }
    if (record->is_annulled) {
        return;
    }
    bool comes_in = record->verdict == VERDICT_ADMITTED;
    gate->admitted += comes_in;
    gate->exited += !comes_in;
    audit->stays = grown(audit->stays, audit->stays_len, &audit->stays_size, sizeof *audit->stays);
    audit->stays[audit->stays_len++] =
        (struct stay){record->participant, record->scanned_ms, record->id, comes_in};
}

void audit_record(struct audit *audit, const struct record *record) {
    size_t slot;
    audit->records++;
    count_record(audit, record);
    uint32_t number = index_find(audit, record->id, &slot);
    if (number != SCAN_NONE) {
        check_record(audit, number, record);
        return;
    }
    audit->strays = grown(audit->strays, audit->strays_len, &audit->strays_size,
                          sizeof *audit->strays);
    struct stray *stray = &audit->strays[audit->strays_len++];
    *stray = (struct stray){.record = *record,
                            .named = ledger_number(&audit->run->ledger, record->nonce)};
    stray->record.nonce = SLICE_NONE; /* its bytes are the source's */
}

/* ── what is left over ── */

static bool is_open(const struct sent *sent) {
    return sent->record_id == 0 && sent->seen == 0;
}

/* Whose participant is not known yet may be anybody's. */
static bool may_be_of(const struct ledger *ledger, const struct sent *sent,
                      const struct record *record) {
    if (sent->expect == EXPECT_UNKNOWN_TOKEN) {
        return record->participant == 0;
    }
    int64_t id = ledger->ids[sent->person];
    return id == record->participant || (id == 0 && is_open(sent));
}

/* A scan that says what the record says; one without an answer before one with. */
static uint32_t find_cause(const struct ledger *ledger, const struct record *record) {
    uint32_t found = SCAN_NONE;
    for (uint32_t number = 0; number < ledger->len; number++) {
        const struct sent *sent = &ledger->scans[number];
        bool is_like = sent->scanned_ms == record->scanned_ms && sent->gate == record->gate &&
                       sent->direction == record->direction && may_be_of(ledger, sent, record);
        if (is_like && is_open(sent)) {
            return number;
        }
        found = is_like ? number : found;
    }
    return found;
}

enum { STRAYS_MAX = 1000 }; /* looked at one by one: beyond that all is told as phantoms */

static void tell_stray(struct audit *audit, const struct stray *stray) {
    struct ledger *ledger = &audit->run->ledger;
    const struct record *record = &stray->record;
    uint32_t number = stray->named;
    if (number == SCAN_NONE && audit->strays_len <= STRAYS_MAX) {
        number = find_cause(ledger, record);
    }
    if (number == SCAN_NONE) {
        ledger_fault(ledger, FAULT_PHANTOM,
                     "%s: record %" PRId64 " (%s) is of no scan that was sent", audit->source,
                     record->id, verdict_text(record->verdict));
    } else if (is_open(&ledger->scans[number])) {
        ledger->scans[number].seen = 1; /* decided; its answer reached nobody */
    } else {
        ledger_fault(ledger, FAULT_DOUBLED,
                     "%s: record %" PRId64 " is a second one of scan %" PRIu32, audit->source,
                     record->id, number);
    }
}

static int compare_stays(const void *a, const void *b) {
    const struct stay *one = a, *other = b;
    if (one->participant != other->participant) {
        return one->participant < other->participant ? -1 : 1;
    }
    if (one->at_ms != other->at_ms) {
        return one->at_ms < other->at_ms ? -1 : 1;
    }
    return (one->id > other->id) - (one->id < other->id);
}

/* One person's stays, in order: in and out in turn, as the event's rule of coming again has it. */
static void check_stays(struct audit *audit, const struct stay *stays, size_t len) {
    enum reentry_e reentry = audit->run->load.reentry;
    int64_t admissions = 0;
    bool is_inside = false;
    for (size_t i = 0; i < len; i++) {
        bool is_in_the_way = (reentry == REENTRY_AFTER_EXIT && is_inside) ||
                             (reentry == REENTRY_NONE && admissions > 0);
        if (stays[i].comes_in && is_in_the_way) {
            ledger_fault(&audit->run->ledger, FAULT_DOUBLED,
                         "%s: record %" PRId64 " let participant %" PRId64 " in a second time",
                         audit->source, stays[i].id, stays[i].participant);
        }
        admissions += stays[i].comes_in;
        is_inside = stays[i].comes_in;
    }
    audit->counts.admitted += admissions > 0;
    audit->counts.inside += is_inside;
}

static void check_everybody(struct audit *audit) {
    qsort(audit->stays, audit->stays_len, sizeof *audit->stays, compare_stays);
    for (size_t i = 0, next; i < audit->stays_len; i = next) {
        for (next = i + 1; next < audit->stays_len; next++) {
            if (audit->stays[next].participant != audit->stays[i].participant) {
                break;
            }
        }
        check_stays(audit, &audit->stays[i], next - i);
    }
}

void audit_end(struct audit *audit) {
    struct ledger *ledger = &audit->run->ledger;
    for (size_t i = 0; i < audit->strays_len; i++) {
        tell_stray(audit, &audit->strays[i]);
    }
    for (uint32_t number = 0; number < ledger->len; number++) {
        if (ledger_is_acknowledged(ledger, number) && ledger->scans[number].seen == 0) {
            ledger_fault(ledger, FAULT_LOST, "%s: scan %" PRIu32 ", record %" PRId64
                         ", is not there", audit->source, number, record_of(audit, number));
        }
    }
    if (audit->stays_len > 0) {
        check_everybody(audit);
    }
    if (audit->run->load.capacity >= 0 &&
        (double)audit->counts.inside > audit->run->load.capacity) {
        ledger_fault(ledger, FAULT_OCCUPANCY, "%s: %" PRId64 " are inside", audit->source,
                     audit->counts.inside);
    }
}

/* ── counts ── */

struct figure {
    const char *name;
    size_t number; /* of the gate or method */
    int64_t said, seen;
    enum fault_e fault;
};

static void compare(struct audit *audit, const char *what, const struct figure *figure) {
    if (figure->said >= 0 && figure->said != figure->seen) {
        ledger_fault(&audit->run->ledger, figure->fault,
                     "%s: %s %zu is %" PRId64 ", by the records %" PRId64, what, figure->name,
                     figure->number, figure->said, figure->seen);
    }
}

/* X(member) */
#define TOTALS(X) X(participants) X(admitted) X(scans) X(refused)
#define GATE_TOTALS(X) X(admitted) X(exited) X(refused)

void audit_counts(struct audit *audit, const struct counts *said, const char *what) {
    const struct counts *seen = &audit->counts;
    compare(audit, what,
            &(struct figure){"inside", 0, said->inside, seen->inside, FAULT_OCCUPANCY});
#define X(member)                                                                                  \
    compare(audit, what, &(struct figure){#member, 0, said->member, seen->member, FAULT_COUNTS});
    TOTALS(X)
#undef X
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        compare(audit, what, &(struct figure){"method", i, said->methods[i], seen->methods[i],
                                              FAULT_COUNTS});
    }
    for (size_t i = 0; i < (size_t)audit->run->load.gates; i++) {
#define X(member)                                                                                  \
    compare(audit, what, &(struct figure){#member " at gate", i + 1, said->gates[i].member,        \
                                          seen->gates[i].member, FAULT_COUNTS});
        GATE_TOTALS(X)
#undef X
    }
}

struct counts counts_unknown(void) {
    struct counts counts;
    memset(&counts, 0xff, sizeof counts); /* every member is -1 */
    return counts;
}

int64_t audit_gate(const struct run *run, struct slice code) {
    int64_t number;
    bool is_ours = code.len >= 3 && code.at[0] == 'g' &&
                   slice_to_int(slice_skip(code, 1), 1, (int64_t)run->load.gates, &number);
    return is_ours ? number - 1 : -1;
}
