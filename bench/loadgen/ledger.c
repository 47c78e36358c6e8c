/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define X(name, word, what) {word, what},
static const struct {
    const char *word, *meaning;
} fault_table[] = {FAULT_TABLE(X)};
#undef X

const char *fault_text(enum fault_e fault) {
    return fault_table[fault].word;
}

const char *fault_meaning(enum fault_e fault) {
    return fault_table[fault].meaning;
}

bool ledger_init(struct ledger *ledger, const struct load *load, const char *tag) {
    *ledger = (struct ledger){.load = load};
    snprintf(ledger->tag, sizeof ledger->tag, "%s", tag);
    buf_init(&ledger->told, 64 << 10);
    ledger->ids = calloc((size_t)load->people, sizeof *ledger->ids);
    return ledger->ids != NULL;
}

void ledger_fini(struct ledger *ledger) {
    free(ledger->scans);
    free(ledger->ids);
    buf_fini(&ledger->told);
}

uint32_t ledger_add(struct ledger *ledger, const struct sent *sent) {
    if (ledger->len == ledger->size) {
        uint32_t size = ledger->size == 0 ? 1 << 16 : ledger->size * 2;
        struct sent *grown = realloc(ledger->scans, size * sizeof *grown);
        if (grown == NULL || size >= SCAN_NONE / 2) {
            fprintf(stderr, "loadgen: no memory for %" PRIu32 " scans\n", size);
            exit(1);
        }
        ledger->scans = grown;
        ledger->size = size;
    }
    ledger->scans[ledger->len] = *sent;
    ledger->scans[ledger->len].pair = SCAN_NONE;
    return ledger->len++;
}

void ledger_pair(struct ledger *ledger, uint32_t one, uint32_t other) {
    ledger->scans[one].pair = other;
    ledger->scans[other].pair = one;
}

void ledger_nonce(const struct ledger *ledger, uint32_t number, char ret_nonce[NONCE_SIZE]) {
    snprintf(ret_nonce, NONCE_SIZE, "%s-%" PRIu32, ledger->tag, number);
}

uint32_t ledger_number(const struct ledger *ledger, struct slice nonce) {
    struct slice tag = slice_of(ledger->tag);
    int64_t number;
    if (!slice_starts_with(nonce, tag) || nonce.len <= tag.len || nonce.at[tag.len] != '-' ||
        !slice_to_int(slice_skip(nonce, tag.len + 1), 0, (int64_t)ledger->len - 1, &number)) {
        return SCAN_NONE;
    }
    return (uint32_t)number;
}

void ledger_token(const struct ledger *ledger, uint32_t person, char ret_token[NONCE_SIZE]) {
    snprintf(ret_token, NONCE_SIZE, "%s-p%06" PRIu32, ledger->tag, person);
}

void ledger_add_scan(const struct ledger *ledger, uint32_t number, struct buf *to) {
    const struct sent *sent = &ledger->scans[number];
    char token[NONCE_SIZE], at[TIME_TEXT_SIZE];
    if (sent->person == PERSON_NONE) {
        snprintf(token, sizeof token, "%s-x%06" PRIu32, ledger->tag, number);
    } else {
        ledger_token(ledger, sent->person, token);
    }
    time_format(sent->scanned_ms, at);
    buf_printf(to,
               "{\"token\":\"%s\",\"gate\":\"g%02u\",\"nonce\":\"%s-%" PRIu32
               "\",\"direction\":\"%s\",\"method\":\"%s\",\"scanned_at\":\"%s\"}",
               token, sent->gate + 1U, ledger->tag, number,
               direction_text((enum direction_e)sent->direction),
               method_text((enum method_e)sent->method), at);
}

void ledger_fault(struct ledger *ledger, enum fault_e fault, const char *format, ...) {
    if (ledger->faults[fault]++ >= SHOWN_MAX) {
        return;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_printf(&ledger->told, "%s: %s\n", fault_text(fault), text);
}

bool ledger_holds(const struct ledger *ledger) {
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        if (ledger->faults[fault] > 0) {
            return false;
        }
    }
    return ledger->acknowledged > 0;
}

/* ── judging ── */

static bool is_refused(const struct sent *sent, enum reason_e reason) {
    return sent->verdict == VERDICT_REFUSED && sent->reason == reason;
}

/* One of the two came in and the other was refused; said once both are answered. */
static bool pair_is_right(const struct ledger *ledger, const struct sent *sent) {
    if (sent->pair == SCAN_NONE || !ledger_is_acknowledged(ledger, sent->pair)) {
        return true;
    }
    const struct sent *other = &ledger->scans[sent->pair];
    int admitted = (sent->verdict == VERDICT_ADMITTED) + (other->verdict == VERDICT_ADMITTED);
    bool none_for_room = ledger->load->capacity >= 0 && is_refused(sent, REASON_CAPACITY_FULL) &&
                         is_refused(other, REASON_CAPACITY_FULL);
    return admitted == 1 || none_for_room;
}

static bool is_right(const struct ledger *ledger, const struct sent *sent) {
    bool is_full = ledger->load->capacity >= 0 && is_refused(sent, REASON_CAPACITY_FULL);
    switch ((enum expect_e)sent->expect) {
    case EXPECT_ADMITTED:
        return sent->verdict == VERDICT_ADMITTED;
    case EXPECT_ROOM:
        return sent->verdict == VERDICT_ADMITTED || is_full;
    case EXPECT_ONE:
        return (sent->verdict == VERDICT_ADMITTED || is_refused(sent, REASON_ALREADY_USED) ||
                is_full) && pair_is_right(ledger, sent);
    case EXPECT_EXITED:
        return sent->verdict == VERDICT_EXITED;
    case EXPECT_ALREADY_USED:
        return is_refused(sent, REASON_ALREADY_USED);
    case EXPECT_WRONG_GATE:
        return is_refused(sent, REASON_WRONG_GATE);
    case EXPECT_UNKNOWN_TOKEN:
        return is_refused(sent, REASON_UNKNOWN_TOKEN);
    }
    return false;
}

/* The same person is the same participant all the time. */
static void check_person(struct ledger *ledger, uint32_t number, const struct reply *reply) {
    const struct sent *sent = &ledger->scans[number];
    bool is_known = sent->expect != EXPECT_UNKNOWN_TOKEN;
    if (is_known != (reply->participant != 0)) {
        if (sent->verdict != VERDICT_REFUSED || sent->reason != REASON_UNKNOWN_TOKEN || !is_known) {
            ledger_fault(ledger, FAULT_BROKEN, "scan %" PRIu32 " is of participant %" PRId64,
                         number, reply->participant);
        }
        return; /* known and yet unknown: misjudged, and told so */
    }
    if (!is_known) {
        return;
    }
    int64_t *id = &ledger->ids[sent->person];
    if (*id != 0 && *id != reply->participant) {
        ledger_fault(ledger, FAULT_BROKEN,
                     "scan %" PRIu32 " is of participant %" PRId64 ", earlier ones of %" PRId64,
                     number, reply->participant, *id);
    }
    *id = reply->participant;
}

static void check_again(struct ledger *ledger, uint32_t number, const struct reply *reply) {
    const struct sent *sent = &ledger->scans[number];
    if (sent->record_id != reply->record_id || sent->verdict != reply->verdict ||
        sent->reason != reply->reason) {
        ledger_fault(ledger, FAULT_REPLAYED,
                     "scan %" PRIu32 " was %s (record %" PRId64 "), asked again %s (record %" PRId64
                     ")", number, verdict_text((enum verdict_e)sent->verdict), sent->record_id,
                     verdict_text(reply->verdict), reply->record_id);
    }
}

enum ledger_answer_e ledger_answer(struct ledger *ledger, uint32_t number,
                                   const struct reply *reply) {
    struct sent *sent = &ledger->scans[number];
    if (reply->record_id == 0) {
        ledger_fault(ledger, FAULT_BROKEN, "scan %" PRIu32 " has record 0", number);
        return LEDGER_AGAIN;
    }
    if (ledger->load->capacity >= 0 && (double)reply->inside > ledger->load->capacity) {
        ledger_fault(ledger, FAULT_OCCUPANCY, "scan %" PRIu32 " was told %" PRId64 " are inside",
                     number, reply->inside);
    }
    if (sent->record_id != 0) {
        check_again(ledger, number, reply);
        return LEDGER_AGAIN;
    }
    sent->record_id = reply->record_id;
    sent->verdict = (uint8_t)reply->verdict;
    sent->reason = (uint8_t)reply->reason;
    ledger->acknowledged++;
    ledger->verdicts[reply->verdict]++;
    ledger->reasons[reply->reason]++;
    if (reply->replayed && sent->tries <= 1) {
        ledger_fault(ledger, FAULT_REPLAYED, "scan %" PRIu32 " was sent once and is a replay",
                     number);
    }
    if (!is_right(ledger, sent)) {
        ledger_fault(ledger, FAULT_MISJUDGED, "scan %" PRIu32 " (%s) was %s, %s", number,
                     kind_text((enum kind_e)sent->kind), verdict_text(reply->verdict),
                     reason_text(reply->reason));
    }
    check_person(ledger, number, reply);
    return LEDGER_FIRST;
}
