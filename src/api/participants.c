/* SPDX-License-Identifier: Apache-2.0 */
/* Participants: one by one, by token, by search. Imports are in import_handler.c. */
#include "api/call_priv.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    TOKEN_RANDOM_BYTES = 20, /* 160 bits, so that nobody guesses one */
    SEARCH_MAX = 200,        /* characters of ?q= */
    SEARCH_WORD_MIN = 2,     /* characters that one word of it must have */
    SEARCH_SCANNER_MIN = 3,  /* for gate staff: enough to find one person, too much to list all */
};

static void reply_participant(struct call *call) {
    participant_write(call_begin_json(call), &call_op(call)->participant_write.values);
    call_reply_json(call, 200);
}

static void reply_created_participant(struct call *call) {
    struct store_op *op = call_op(call);
    char location[sizeof "/v1/events//participants/" + CODE_MAX + 20];
    snprintf(location, sizeof location, "/v1/events/%.*s/participants/%" PRId64,
             SLICE_ARG(call->params[0]), op->participant_write.values.id);
    http_add_field(call->request, "location", slice_of(location));
    participant_write(call_begin_json(call), &op->participant_write.values);
    call_reply_json(call, 201);
}

/* A token that nobody can guess; SLICE_NONE without memory. */
static struct slice make_token(struct call *call) {
    unsigned char bytes[TOKEN_RANDOM_BYTES];
    char text[TEXT_BASE64_LEN(TOKEN_RANDOM_BYTES) + 1];
    rng_fill(call->api->node->rng, bytes, sizeof bytes);
    text_to_base64(bytes, sizeof bytes, text);
    return arena_copy(call->arena, slice_of(text));
}

void handle_create_participant(struct call *call) {
    struct problem problem;
    struct body body;
    struct participant person;
    unsigned named;
    if (!call_read_body(call, FIELDS_CREATE, &problem, &body)) {
        return;
    }
    enum err_e err = participant_read(&body, &person, &named);
    if (err == ERR_OK && (named & PARTICIPANT_TOKEN) == 0) {
        person.token = make_token(call);
        err = person.token.at == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_CREATE_PARTICIPANT);
    if (op != NULL) {
        op->participant_write.values = person;
        op->participant_write.fields = PARTICIPANT_ALL_FIELDS;
        call_submit(call, reply_created_participant);
    }
}

/* An operation on the participant of the path; NULL when the call has been answered. */
static struct store_op *begin_person_op(struct call *call, enum store_op_e kind) {
    int64_t id;
    if (!call_read_id(call, ERR_UNKNOWN_PARTICIPANT, &id)) {
        return NULL;
    }
    struct store_op *op = call_begin_op(call, kind);
    if (op != NULL) {
        op->participant_write.values.id = id;
    }
    return op;
}

void handle_read_participant(struct call *call) {
    if (begin_person_op(call, STORE_LOAD_PARTICIPANT) != NULL) {
        call_submit(call, reply_participant);
    }
}

static void reply_erased(struct call *call) {
    call_reply_empty(call, 204);
}

void handle_erase_participant(struct call *call) {
    if (begin_person_op(call, STORE_ERASE_PARTICIPANT) != NULL) {
        call_submit(call, reply_erased);
    }
}

struct participant_patch {
    struct participant values;
    unsigned fields;
};

static void update_participant(struct call *call) {
    const struct participant_patch *patch = call->state;
    struct store_op *op = begin_person_op(call, STORE_UPDATE_PARTICIPANT);
    if (op != NULL) {
        int64_t id = op->participant_write.values.id;
        op->participant_write.values = patch->values;
        op->participant_write.values.id = id;
        op->participant_write.fields = patch->fields;
        call_submit(call, reply_participant);
    }
}

static void check_validity(struct call *call) {
    const struct participant_patch *patch = call->state;
    const struct participant *now = &call_op(call)->participant_write.values;
    bool has_from = (patch->fields & PARTICIPANT_VALID_FROM) != 0;
    struct problem problem;
    enum err_e err = check_span(has_from ? patch->values.valid_from_ms : now->valid_from_ms,
                                has_from ? now->valid_until_ms : patch->values.valid_until_ms,
                                "valid_until", &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    update_participant(call);
}

void handle_update_participant(struct call *call) {
    struct problem problem;
    struct body body;
    struct participant_patch *patch = arena_zalloc(call->arena, sizeof *patch);
    if (patch == NULL) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    if (!call_read_body(call, FIELDS_PATCH, &problem, &body)) {
        return;
    }
    enum err_e err = participant_read(&body, &patch->values, &patch->fields);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    call->state = patch;
    bool from = (patch->fields & PARTICIPANT_VALID_FROM) != 0;
    bool until = (patch->fields & PARTICIPANT_VALID_UNTIL) != 0;
    if (from == until) {
        update_participant(call);
    } else if (begin_person_op(call, STORE_LOAD_PARTICIPANT) != NULL) {
        call_submit(call, check_validity);
    }
}

/* --- the list --- */

static size_t chars_of(struct slice text) {
    size_t chars = 0;
    for (size_t i = 0; i < text.len; i++) {
        chars += ((unsigned char)text.at[i] & 0xC0) != 0x80;
    }
    return chars;
}

static size_t longest_word(struct slice text) {
    size_t longest = 0;
    struct slice word;
    while (slice_next(&text, ' ', &word)) {
        size_t chars = chars_of(word);
        longest = chars > longest ? chars : longest;
    }
    return longest;
}

struct people_filter {
    struct slice token, query;
};

static enum err_e read_search(const struct call *call, struct people_filter *ret,
                              struct problem *problem) {
    *ret = (struct people_filter){SLICE_NONE, SLICE_NONE};
    bool by_token = query_get(&call->query, "token", &ret->token);
    bool by_query = query_get(&call->query, "q", &ret->query);
    if (by_token && !token_is_valid(ret->token)) {
        return problem_set(problem, ERR_INVALID_FIELD, "token", "is no token");
    }
    size_t longest = longest_word(ret->query);
    if (by_query && (longest < SEARCH_WORD_MIN || !text_is_valid(ret->query, SEARCH_MAX))) {
        return problem_set(problem, ERR_INVALID_FIELD, "q",
                           "must be at most %d characters with a word of at least %d", SEARCH_MAX,
                           SEARCH_WORD_MIN);
    }
    if (call->scope == SCOPE_SCANNER && !by_token && longest < SEARCH_SCANNER_MIN) {
        return problem_set(problem, ERR_WRONG_SCOPE, by_query ? "q" : "",
                           "a scanner key finds people by token or by a word of at least %d "
                           "characters",
                           SEARCH_SCANNER_MIN);
    }
    return ERR_OK;
}

static uint32_t people_filter_hash(const struct call *call, const struct people_filter *filter) {
    return cursor_fold(cursor_fold(cursor_fold(0, call->params[0]), filter->token), filter->query);
}

static void reply_participants(struct call *call) {
    const struct store_op *op = call_op(call);
    struct json_writer *w = call_begin_items(call);
    for (size_t i = 0; i < op->participants.len; i++) {
        participant_write(w, &op->participants.items[i]);
    }
    const struct people_filter filter = {op->participants.token, op->participants.query};
    struct cursor next = {.list = CURSOR_PARTICIPANTS, .filter = people_filter_hash(call, &filter)};
    bool has_next = op->participants.more && op->participants.len > 0;
    if (has_next) {
        next.keys[0] = op->participants.items[op->participants.len - 1].id;
    }
    call_reply_items(call, has_next ? &next : NULL);
}

void handle_list_participants(struct call *call) {
    struct problem problem;
    struct people_filter filter;
    enum err_e err = read_search(call, &filter, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    struct page page = {
        .cursor = {.list = CURSOR_PARTICIPANTS, .filter = people_filter_hash(call, &filter)},
    };
    if (!call_read_page(call, &page)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_LIST_PARTICIPANTS);
    if (op != NULL) {
        op->participants.token = filter.token;
        op->participants.query = filter.query;
        op->participants.after = page.cursor.keys[0];
        op->participants.limit = page.limit;
        call_submit(call, reply_participants);
    }
}
