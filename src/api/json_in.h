/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people send, checked and made into the domain's structs: every rule about fields is here.
 * Pure; texts are borrowed from the document or live in the arena. Thread: any.
 */
#ifndef TURNOUT_API_JSON_IN_H
#define TURNOUT_API_JSON_IN_H

#include "api/fields.h"
#include "domain/scan.h"

/* A parsed body and how to read it. */
struct body {
    const struct json_t *document;
    enum fields_mode_e mode;
    struct arena *arena;
    struct problem *problem;
};

/* FIELDS_CREATE fills every field, with its default where nothing was said; FIELDS_PATCH only those
 * that were named. `ret_fields` says which were named (event_field_e and so on of store.h). In a
 * patch, `code` is the present one: naming it again is fine, another one is ERR_INVALID_FIELD. */
enum err_e event_read(const struct body *body, struct event *event,
                      unsigned *ret_fields) MUST_CHECK;
enum err_e gate_read(const struct body *body, struct gate *gate, unsigned *ret_fields) MUST_CHECK;
/* A token that was not given stays SLICE_NONE. */
enum err_e participant_read(const struct body *body, struct participant *participant,
                            unsigned *ret_fields) MUST_CHECK;
/* `now_ms` is the server's wall clock: a scan may not be further ahead of it than
 * SCAN_AHEAD_MAX_MS. */
enum err_e scan_read(const struct json_t *document, int64_t now_ms, struct scan *ret_scan,
                     struct problem *ret_problem) MUST_CHECK;

/* An end before its beginning is ERR_INVALID_FIELD for the field named `end`. */
enum err_e check_span(int64_t begin_ms, int64_t end_ms, const char *end,
                      struct problem *ret_problem) MUST_CHECK;

/* What is wrong with a value, in words that the importer uses too. */
#define TOKEN_RULE                                                                                 \
    "must be 1 to 256 characters without control characters or white space at the ends"
#define CODE_RULE "must be 1 to 64 of A-Z a-z 0-9 . _ -"
#define TEXT_RULE "must be at most %zu characters without control characters"
#define EMAIL_RULE "must be an e-mail address of at most 320 characters"
#define TIME_RULE "must be a time like 2026-11-24T18:30:00Z"

/* A light check of an e-mail address: something, one @ with something behind it, no white space. */
bool email_is_valid(struct slice email);

#endif
