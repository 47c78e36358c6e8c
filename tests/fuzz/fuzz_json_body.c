/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A body that is taken as an event, gate, participant or scan keeps to the rules of the domain; one
 * that is refused says which field and why.
 */
#include "api/json_in.h"
#include "base/assert.h"
#include "fuzz.h"
#include "store/store.h"

enum { ARENA_LIMIT = 1 << 20 };

static void check_refusal(enum err_e err, const struct problem *problem) {
    ASSERT(err == ERR_INVALID_FIELD || err == ERR_NO_MEMORY);
    ASSERT(problem->field[0] != '\0' && problem->detail[0] != '\0');
}

static void read_event_and_gate(const struct body *body) {
    struct event event = {.code = SLICE_LIT("e")};
    struct gate gate = {.code = SLICE_LIT("e")};
    unsigned fields = 0;
    enum err_e err = event_read(body, &event, &fields);
    if (err == ERR_OK) {
        ASSERT(code_is_valid(event.code) && text_is_valid(event.name, NAME_MAX_CHARS));
        ASSERT(event.capacity >= CAPACITY_NONE && event.capacity <= CAPACITY_MAX);
    } else {
        check_refusal(err, body->problem);
    }
    err = gate_read(body, &gate, &fields);
    if (err == ERR_OK) {
        ASSERT(code_is_valid(gate.code) && text_is_valid(gate.name, NAME_MAX_CHARS));
    } else {
        check_refusal(err, body->problem);
    }
}

static void read_person(const struct body *body) {
    struct participant person = {.valid_from_ms = TIME_NONE, .valid_until_ms = TIME_NONE};
    unsigned fields = 0;
    enum err_e err = participant_read(body, &person, &fields);
    if (err != ERR_OK) {
        check_refusal(err, body->problem);
        return;
    }
    ASSERT((fields & PARTICIPANT_TOKEN) == 0 || token_is_valid(person.token));
    ASSERT(text_is_valid(person.attention, ATTENTION_MAX));
    size_t count = 0;
    struct slice gates = person.gates;
    struct slice code;
    while (slice_next(&gates, ' ', &code)) {
        ASSERT(code_is_valid(code) && ++count <= PARTICIPANT_GATES_MAX);
    }
}

static void read_scan(const struct json_t *document, struct problem *problem) {
    struct scan scan;
    const int64_t now_ms = 1764000000000;
    enum err_e err = scan_read(document, now_ms, &scan, problem);
    if (err != ERR_OK) {
        check_refusal(err, problem);
        return;
    }
    ASSERT(token_is_valid(scan.token) && code_is_valid(scan.gate));
    ASSERT(scan.nonce.len == 0 || nonce_is_valid(scan.nonce));
    ASSERT(scan.scanned_at_ms <= now_ms + SCAN_AHEAD_MAX_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct json_t *document;
    struct problem problem = {.field = ""};
    arena_init(&arena, ARENA_LIMIT);
    if (json_parse(&arena, slice_from((const char *)data, size), &document, &problem) == ERR_OK) {
        for (int mode = FIELDS_CREATE; mode <= FIELDS_PATCH; mode++) {
            const struct body body = {document, (enum fields_mode_e)mode, &arena, &problem};
            read_event_and_gate(&body);
            read_person(&body);
        }
        read_scan(document, &problem);
    }
    arena_fini(&arena);
    return 0;
}
