/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of events, gates, participants and scans. */
#include "api/json_in.h"

#include "store/store.h"

static unsigned bit(bool named, unsigned field) {
    return named ? field : 0;
}

static bool take_plain_text(struct fields *fields, const char *name, size_t chars_max,
                            struct slice *ret) {
    if (!fields_text(fields, name, FIELDS_NULL_CLEARS, ret)) {
        return false;
    }
    if (!text_is_valid(*ret, chars_max)) {
        fields_fail(fields, name, TEXT_RULE, chars_max);
        return false;
    }
    return true;
}

static void take_code(struct fields *fields, struct slice *code) {
    struct slice given = SLICE_NONE;
    bool there = fields_text(fields, "code", FIELDS_NULL_IS_WRONG, &given);
    if (fields->mode == FIELDS_PATCH) {
        if (there && !slice_eq(given, *code)) {
            fields_fail(fields, "code", "cannot be changed");
        }
        return;
    }
    if (!there) {
        fields_fail(fields, "code", "is required");
    } else if (!code_is_valid(given)) {
        fields_fail(fields, "code", CODE_RULE);
    }
    *code = given;
}

static bool take_timezone(struct fields *fields, struct slice *ret) {
    if (!fields_text(fields, "timezone", FIELDS_NULL_IS_WRONG, ret)) {
        return false;
    }
    if (!timezone_is_valid(*ret)) {
        fields_fail(fields, "timezone", "must be an IANA name like Asia/Seoul");
    }
    return true;
}

static bool take_capacity(struct fields *fields, int64_t *ret) {
    const struct json_t *value;
    if (!fields_value(fields, "capacity", FIELDS_NULL_CLEARS, &value)) {
        return false;
    }
    if (json_kind(value) == JSON_KIND_NULL) {
        *ret = CAPACITY_NONE;
        return true;
    }
    if (json_kind(value) != JSON_KIND_INTEGER || json_int(value) < 0 ||
        json_int(value) > CAPACITY_MAX) {
        fields_fail(fields, "capacity", "must be a whole number from 0 to %d, or null",
                    CAPACITY_MAX);
        return false;
    }
    *ret = json_int(value);
    return true;
}

static bool take_reentry(struct fields *fields, enum reentry_e *ret) {
    struct slice word;
    if (!fields_text(fields, "reentry", FIELDS_NULL_IS_WRONG, &word)) {
        return false;
    }
    if (!reentry_parse(word, ret)) {
        fields_fail(fields, "reentry", FIELDS_ONE_OF(REENTRY_TABLE));
    }
    return true;
}

enum err_e check_span(int64_t begin_ms, int64_t end_ms, const char *end,
                      struct problem *ret_problem) {
    if (begin_ms != TIME_NONE && end_ms != TIME_NONE && end_ms < begin_ms) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, end, "must not be before the beginning");
    }
    return ERR_OK;
}

enum err_e event_read(const struct body *body, struct event *event, unsigned *ret_fields) {
    if (body->mode == FIELDS_CREATE) {
        *event = (struct event){
            .timezone = SLICE_LIT("UTC"),
            .starts_at_ms = TIME_NONE,
            .ends_at_ms = TIME_NONE,
            .capacity = CAPACITY_NONE,
            .reentry = REENTRY_AFTER_EXIT,
        };
    }
    struct fields fields;
    fields_begin(&fields, body->document, body->mode, body->problem);
    take_code(&fields, &event->code);
    bool named = take_plain_text(&fields, "name", NAME_MAX_CHARS, &event->name);
    *ret_fields = bit(named, EVENT_NAME) |
                  bit(take_timezone(&fields, &event->timezone), EVENT_TIMEZONE) |
                  bit(fields_time(&fields, "starts_at", &event->starts_at_ms), EVENT_STARTS_AT) |
                  bit(fields_time(&fields, "ends_at", &event->ends_at_ms), EVENT_ENDS_AT) |
                  bit(take_capacity(&fields, &event->capacity), EVENT_CAPACITY) |
                  bit(take_reentry(&fields, &event->reentry), EVENT_REENTRY);
    TRY(fields.err);
    if (body->mode == FIELDS_CREATE && !named) {
        event->name = event->code;
    }
    const unsigned span = EVENT_STARTS_AT | EVENT_ENDS_AT;
    bool both = body->mode == FIELDS_CREATE || (*ret_fields & span) == span;
    return both ? check_span(event->starts_at_ms, event->ends_at_ms, "ends_at", body->problem)
                : ERR_OK;
}

enum err_e gate_read(const struct body *body, struct gate *gate, unsigned *ret_fields) {
    if (body->mode == FIELDS_CREATE) {
        *gate = (struct gate){.status = GATE_OPEN};
    }
    struct fields fields;
    fields_begin(&fields, body->document, body->mode, body->problem);
    take_code(&fields, &gate->code);
    bool named = take_plain_text(&fields, "name", NAME_MAX_CHARS, &gate->name);
    struct slice word;
    bool has_status = fields_text(&fields, "status", FIELDS_NULL_IS_WRONG, &word);
    if (has_status && !gate_status_parse(word, &gate->status)) {
        fields_fail(&fields, "status", FIELDS_ONE_OF(GATE_STATUS_TABLE));
    }
    TRY(fields.err);
    if (body->mode == FIELDS_CREATE && !named) {
        gate->name = gate->code;
    }
    *ret_fields = bit(named, GATE_NAME) | bit(has_status, GATE_STATUS);
    return ERR_OK;
}

bool email_is_valid(struct slice email) {
    const char *at = email.len == 0 ? NULL : memchr(email.at, '@', email.len);
    if (at == NULL || at == email.at || at == email.at + email.len - 1 ||
        !text_is_valid(email, EMAIL_MAX)) {
        return false;
    }
    return memchr(email.at, ' ', email.len) == NULL && memchr(email.at, '\t', email.len) == NULL &&
           memchr(email.at, '\n', email.len) == NULL;
}

static bool take_token(struct fields *fields, struct slice *ret) {
    if (!fields_text(fields, "token", FIELDS_NULL_IS_WRONG, ret)) {
        return false;
    }
    if (!token_is_valid(*ret)) {
        fields_fail(fields, "token", TOKEN_RULE);
    }
    return true;
}

static bool take_email(struct fields *fields, struct slice *ret) {
    if (!fields_text(fields, "email", FIELDS_NULL_CLEARS, ret)) {
        return false;
    }
    if (ret->len > 0 && !email_is_valid(*ret)) {
        fields_fail(fields, "email", EMAIL_RULE);
    }
    return true;
}

static bool take_person_status(struct fields *fields, enum participant_status_e *ret) {
    struct slice word;
    if (!fields_text(fields, "status", FIELDS_NULL_IS_WRONG, &word)) {
        return false;
    }
    if (!participant_status_parse(word, ret)) {
        fields_fail(fields, "status", FIELDS_ONE_OF(PARTICIPANT_STATUS_TABLE));
    }
    return true;
}

/* Joins the codes with spaces, each once; what is wrong with them ends in `fields`. */
static struct slice join_gates(struct fields *fields, const struct json_t *array,
                               struct arena *arena) {
    char *to = arena_alloc(arena, json_count(array) * (CODE_MAX + 1) + 1);
    if (to == NULL) {
        fields->err = problem_set(fields->problem, ERR_NO_MEMORY, "gates", "takes too much memory");
        return SLICE_NONE;
    }
    size_t len = 0;
    for (size_t i = 0; i < json_count(array); i++) {
        const struct json_t *item = json_at(array, i);
        if (json_kind(item) != JSON_KIND_STRING || !code_is_valid(json_text(item))) {
            fields_fail(fields, "gates", "must be an array of gate codes; item %zu is none", i);
            return SLICE_NONE;
        }
        struct slice code = json_text(item);
        if (len > 0 && gates_allow(slice_from(to, len), code)) {
            continue;
        }
        if (len > 0) {
            to[len++] = ' ';
        }
        memcpy(to + len, code.at, code.len);
        len += code.len;
    }
    return slice_from(to, len);
}

static bool take_gates(struct fields *fields, struct arena *arena, struct slice *ret) {
    const struct json_t *value;
    if (!fields_value(fields, "gates", FIELDS_NULL_CLEARS, &value)) {
        return false;
    }
    *ret = SLICE_NONE;
    if (json_kind(value) == JSON_KIND_NULL) {
        return true;
    }
    if (json_kind(value) != JSON_KIND_ARRAY) {
        fields_fail(fields, "gates", "must be an array of gate codes");
    } else if (json_count(value) > PARTICIPANT_GATES_MAX) {
        fields_fail(fields, "gates", "must be at most %d gate codes", PARTICIPANT_GATES_MAX);
    } else {
        *ret = join_gates(fields, value, arena);
    }
    return true;
}

static bool take_attention(struct fields *fields, struct slice *ret) {
    if (!take_plain_text(fields, "attention", ATTENTION_MAX, ret)) {
        return false;
    }
    if (ret->len == 0) {
        *ret = SLICE_NONE; /* nothing to say is the same as no text */
    }
    return true;
}

enum err_e participant_read(const struct body *body, struct participant *person,
                            unsigned *ret_fields) {
    if (body->mode == FIELDS_CREATE) {
        *person = (struct participant){
            .status = PARTICIPANT_ACTIVE,
            .valid_from_ms = TIME_NONE,
            .valid_until_ms = TIME_NONE,
        };
    }
    const unsigned span = PARTICIPANT_VALID_FROM | PARTICIPANT_VALID_UNTIL;
    struct fields fields;
    fields_begin(&fields, body->document, body->mode, body->problem);
    *ret_fields =
        bit(take_token(&fields, &person->token), PARTICIPANT_TOKEN) |
        bit(take_plain_text(&fields, "name", NAME_MAX_CHARS, &person->name), PARTICIPANT_NAME) |
        bit(take_email(&fields, &person->email), PARTICIPANT_EMAIL) |
        bit(take_person_status(&fields, &person->status), PARTICIPANT_STATUS) |
        bit(fields_time(&fields, "valid_from", &person->valid_from_ms), PARTICIPANT_VALID_FROM) |
        bit(fields_time(&fields, "valid_until", &person->valid_until_ms),
            PARTICIPANT_VALID_UNTIL) |
        bit(take_gates(&fields, body->arena, &person->gates), PARTICIPANT_GATES) |
        bit(take_attention(&fields, &person->attention), PARTICIPANT_ATTENTION);
    TRY(fields.err);
    bool both = body->mode == FIELDS_CREATE || (*ret_fields & span) == span;
    return both ? check_span(person->valid_from_ms, person->valid_until_ms, "valid_until",
                             body->problem)
                : ERR_OK;
}

static void take_scan_texts(struct fields *fields, struct scan *scan) {
    if (!fields_text(fields, "token", FIELDS_NULL_IS_WRONG, &scan->token)) {
        fields_fail(fields, "token", "is required");
    } else if (!token_is_valid(scan->token)) {
        fields_fail(fields, "token", TOKEN_RULE);
    }
    if (!fields_text(fields, "gate", FIELDS_NULL_IS_WRONG, &scan->gate)) {
        fields_fail(fields, "gate", "is required");
    } else if (!code_is_valid(scan->gate)) {
        fields_fail(fields, "gate", CODE_RULE);
    }
    if (fields_text(fields, "nonce", FIELDS_NULL_IS_WRONG, &scan->nonce) &&
        !nonce_is_valid(scan->nonce)) {
        fields_fail(fields, "nonce", "must be 1 to %d characters without control characters",
                    NONCE_MAX);
    }
}

static void take_scan_words(struct fields *fields, struct scan *scan) {
    struct slice word;
    if (fields_text(fields, "method", FIELDS_NULL_IS_WRONG, &word) &&
        !method_parse(word, &scan->method)) {
        fields_fail(fields, "method", FIELDS_ONE_OF(METHOD_TABLE));
    }
    if (fields_text(fields, "direction", FIELDS_NULL_IS_WRONG, &word) &&
        !direction_parse(word, &scan->direction)) {
        fields_fail(fields, "direction", FIELDS_ONE_OF(DIRECTION_TABLE));
    }
}

enum err_e scan_read(const struct json_t *document, int64_t now_ms, struct scan *ret_scan,
                     struct problem *ret_problem) {
    *ret_scan = (struct scan){
        .method = METHOD_QR,
        .direction = DIRECTION_ENTRY,
        .scanned_at_ms = TIME_NONE,
    };
    struct fields fields;
    fields_begin(&fields, document, FIELDS_CREATE, ret_problem);
    take_scan_texts(&fields, ret_scan);
    take_scan_words(&fields, ret_scan);
    fields_time(&fields, "scanned_at", &ret_scan->scanned_at_ms);
    fields_bool(&fields, "force", &ret_scan->force);
    if (ret_scan->scanned_at_ms != TIME_NONE &&
        ret_scan->scanned_at_ms > now_ms + SCAN_AHEAD_MAX_MS) {
        fields_fail(&fields, "scanned_at", "is more than 5 minutes ahead of the server's clock");
    }
    return fields.err;
}
