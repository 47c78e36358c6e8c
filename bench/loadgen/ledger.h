/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that was sent and what was acknowledged of it: the load's own book, which the server's
 * is compared with. A scan is known by its number, from which its nonce is made; a person by
 * theirs, from which the token is made.
 *
 *   sent ──first verdict──► acknowledged ──the same verdict──► acknowledged
 *                                        └─another one───────► fault: replayed
 *
 * What a verdict must be is known when a scan is sent (crowd.h), so a wrong one is a fault at once.
 * Thread: one.
 */
#ifndef LOADGEN_LEDGER_H
#define LOADGEN_LEDGER_H

#include "base/buf.h"
#include "crowd.h"
#include "reply.h"

/* What may never be. X(NAME, word, what it means) */
#define FAULT_TABLE(X)                                                                             \
    X(LOST, "lost", "acknowledged and not in the store")                                           \
    X(CHANGED, "changed", "in the store otherwise than acknowledged")                              \
    X(DOUBLED, "doubled", "one scan with two records, or somebody let in twice")                   \
    X(PHANTOM, "phantom", "a record that nobody caused")                                           \
    X(REPLAYED, "replayed", "a nonce answered in two ways, or as a replay that was none")          \
    X(OCCUPANCY, "occupancy", "people inside counted wrongly, or above the capacity")              \
    X(COUNTS, "counts", "other counts that are not those of the records")                          \
    X(MISJUDGED, "misjudged", "a verdict that the rules cannot give")                              \
    X(BROKEN, "broken", "an answer that the API does not give")                                    \
    X(UNANSWERED, "unanswered", "no verdict, however often it was asked")

#define X(name, word, what) FAULT_##name,
enum fault_e { FAULT_TABLE(X) FAULT_COUNT };
#undef X
const char *fault_text(enum fault_e fault);
const char *fault_meaning(enum fault_e fault);

enum expect_e {
    EXPECT_ADMITTED,
    EXPECT_ROOM, /* admitted, or refused because it is full */
    EXPECT_ONE,  /* admitted or already_used: one each of the pair */
    EXPECT_EXITED,
    EXPECT_ALREADY_USED,
    EXPECT_WRONG_GATE,
    EXPECT_UNKNOWN_TOKEN,
};

#define SCAN_NONE UINT32_MAX

struct sent { /* one scan, known by its number: many, so kept small */
    int64_t planned_ns; /* when it should have been sent */
    int64_t scanned_ms; /* what it says, milliseconds since 1970 */
    int64_t record_id;  /* acknowledged: of the first verdict; 0 before */
    uint32_t person;    /* or PERSON_NONE */
    uint32_t pair;      /* the other one of a double tap; or SCAN_NONE */
    uint16_t gate;      /* from 0 */
    uint8_t kind, direction, method, expect;
    uint8_t verdict, reason;
    uint8_t tries;      /* requests that it was in, up to 255 */
    uint8_t seen;       /* records that an audit found of it, up to 255 */
};

enum { LEDGER_TAG_SIZE = 24, NONCE_SIZE = 48, SHOWN_MAX = 3 /* faults of a kind that are told */ };

struct ledger {
    char tag[LEDGER_TAG_SIZE]; /* start of this run's nonces and tokens */
    const struct load *load;
    struct sent *scans;
    uint32_t len, size;
    uint32_t acknowledged;
    uint64_t verdicts[VERDICT_COUNT], reasons[REASON_COUNT];
    int64_t *ids;              /* by person: the participant's id, 0 while unknown */
    uint64_t faults[FAULT_COUNT];
    struct buf told;           /* the first faults of each kind, a line each */
};

bool ledger_init(struct ledger *ledger, const struct load *load, const char *tag);
void ledger_fini(struct ledger *ledger);

/* Notes a scan that is about to be sent, and gives its number. Without memory the run ends here. */
uint32_t ledger_add(struct ledger *ledger, const struct sent *sent);
/* Both of a double tap, once both are noted. */
void ledger_pair(struct ledger *ledger, uint32_t one, uint32_t other);

enum ledger_answer_e { LEDGER_FIRST, LEDGER_AGAIN };
/* A verdict of a scan arrived. */
enum ledger_answer_e ledger_answer(struct ledger *ledger, uint32_t number,
                                   const struct reply *reply);

static inline bool ledger_is_acknowledged(const struct ledger *ledger, uint32_t number) {
    return ledger->scans[number].record_id != 0;
}

void ledger_nonce(const struct ledger *ledger, uint32_t number, char ret_nonce[NONCE_SIZE]);
/* The number in a nonce of this run; SCAN_NONE for another's. */
uint32_t ledger_number(const struct ledger *ledger, struct slice nonce);
void ledger_token(const struct ledger *ledger, uint32_t person, char ret_token[NONCE_SIZE]);

/* Appends a scan as the API takes it. */
void ledger_add_scan(const struct ledger *ledger, uint32_t number, struct buf *to);

void ledger_fault(struct ledger *ledger, enum fault_e fault, const char *format, ...)
    PRINTF_LIKE(3, 4);
bool ledger_holds(const struct ledger *ledger); /* no fault, and something was acknowledged */

#endif
