/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way an operation can fail, in one table.
 *
 * The table generates the enum, the look-ups below and the error page of the documentation
 * (tools/check-docs compares). A refused person is a verdict, never an error; a programmer's
 * mistake is an ASSERT. Thread: any. Nothing here allocates.
 */
#ifndef TURNOUT_BASE_ERR_H
#define TURNOUT_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* X(NAME, HTTP status, retryable, stable code, what to do about it) */
#define ERR_TABLE(X)                                                                               \
    X(OK, 200, false, "ok", "Nothing to do.")                                                      \
    X(MALFORMED_JSON, 400, false, "malformed_json", "Send one well-formed UTF-8 JSON document.")   \
    X(MALFORMED_CSV, 400, false, "malformed_csv",                                                  \
      "Send RFC 4180 text in UTF-8 with a header row that names a token column.")                  \
    X(MALFORMED_REQUEST, 400, false, "malformed_request",                                          \
      "Send one unambiguous HTTP/1.1 request as RFC 9112 asks.")                                   \
    X(INVALID_FIELD, 400, false, "invalid_field", "Correct the named field and send it again.")    \
    X(INVALID_CURSOR, 400, false, "invalid_cursor",                                                \
      "Use the cursor of the previous page unchanged, or start without one.")                      \
    X(UNAUTHORIZED, 401, false, "unauthorized",                                                    \
      "Send Authorization: Bearer tk_ID.SECRET with a key that is not revoked.")                   \
    X(WRONG_SCOPE, 403, false, "wrong_scope", "Use a key whose scope allows this route.")          \
    X(CROSS_SITE, 403, false, "cross_site",                                                        \
      "A page of another site may not do this: send it from this node's own page.")                \
    X(NOT_FOUND, 404, false, "not_found", "See /openapi.json for the routes there are.")           \
    X(UNKNOWN_EVENT, 404, false, "unknown_event", "Check the event's code, or create the event.")  \
    X(UNKNOWN_GATE, 404, false, "unknown_gate", "Check the gate's code, or create the gate.")      \
    X(UNKNOWN_PARTICIPANT, 404, false, "unknown_participant",                                      \
      "Check the id; an erased participant is unknown too.")                                       \
    X(UNKNOWN_RECORD, 404, false, "unknown_record", "Check the record_id and the event.")          \
    X(UNKNOWN_KEY, 404, false, "unknown_key", "List the keys and use one of their ids.")           \
    X(METHOD_NOT_ALLOWED, 405, false, "method_not_allowed",                                        \
      "Use one of the methods in the Allow header.")                                               \
    X(CONFLICT, 409, false, "conflict", "The code or token exists: choose another, or PATCH it.")  \
    X(BUSY, 409, true, "busy", "Another run is under way: retry after Retry-After.")               \
    X(NONCE_CONFLICT, 409, false, "nonce_conflict",                                                \
      "A nonce belongs to one scan: use a new one for another token, gate or direction.")          \
    X(NOT_ANNULLABLE, 409, false, "not_annullable",                                                \
      "Only an admission or exit that still stands can be annulled, once.")                        \
    X(TOO_LARGE, 413, false, "too_large", "Send less in one request, or split it.")                \
    X(UNSUPPORTED_TYPE, 415, false, "unsupported_media_type",                                      \
      "Send the body in one of the media types that the route takes.")                             \
    X(RATE_LIMITED, 429, true, "rate_limited", "Wait as long as Retry-After says.")                \
    X(INTERNAL, 500, false, "internal", "Report it with the request id: this is a defect.")        \
    X(OVERLOADED, 503, true, "overloaded",                                                         \
      "The queue is full: retry after Retry-After, with the same nonce.")                          \
    X(UNAVAILABLE, 503, true, "store_unavailable",                                                 \
      "The store cannot take writes or reads now: see /readyz for the reason, then retry.")        \
    X(COMMIT_UNKNOWN, 503, true, "commit_unknown",                                                 \
      "The outcome is unknown: retry with the same nonce, which finds the truth.")                 \
    X(DEADLINE, 503, true, "deadline_exceeded", "It took too long: retry after Retry-After.")      \
    X(DRAINING, 503, true, "draining", "This node is stopping: retry, another node answers.")      \
    X(LOAD_SHED, 503, true, "load_shed",                                                           \
      "Analytics are refused for a while, so that doors stay fast: retry after Retry-After.")      \
    X(NO_NODES, 503, true, "no_healthy_nodes", "Start a node, or mend one: see /v1/nodes.")        \
    X(NO_MEMORY, 503, true, "no_memory", "Memory ran out: lower the limits or add memory.")        \
    X(NO_SPACE, 503, true, "no_space",                                                             \
      "The disk is full: free space; writes resume by themselves.")                                \
    X(IO, 503, true, "io_error", "Reading or writing failed: check the disk and its log.")         \
    X(NEWER_SCHEMA, 503, false, "newer_schema",                                                    \
      "The store was written by a newer turnout: run that version or restore a backup.")           \
    X(BAD_STORE, 503, false, "bad_store",                                                          \
      "The store is not turnout's or is damaged: check its path, or restore a backup.")            \
    X(CONFIG, 500, false, "bad_configuration", "Correct the named setting: turnout help config.")  \
    X(USAGE, 500, false, "usage", "See the command's --help.")

enum err_e {
#define X(name, status, retryable, code, remedy) ERR_##name,
    ERR_TABLE(X)
#undef X
    ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define MAY_BLOCK /* never called on a loop thread: tools/check-blocking */
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* The only macro that returns: hands a failure to the caller. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err_e try_err_ = (expr);                                                              \
        if (try_err_ != ERR_OK) {                                                                  \
            return try_err_;                                                                       \
        }                                                                                          \
    } while (0)

int err_status(enum err_e err);         /* HTTP status, 200..503 */
bool err_is_retryable(enum err_e err);  /* true: the same request may succeed later */
const char *err_code(enum err_e err);   /* stable identifier, e.g. "unknown_gate" */
const char *err_remedy(enum err_e err); /* one English sentence: what to do */

/* The code as people read it: "Unknown gate". */
enum { ERR_TITLE_SIZE = 32 };
void err_title(enum err_e err, char ret_title[ERR_TITLE_SIZE]);

/* What was wrong and where; filled beside a failing err_e. Empty strings mean "not said". */
struct problem {
    char field[64];   /* JSON field, CSV column, query parameter or header */
    char detail[256]; /* one sentence, no secrets, no personal data */
};

/* Fills `ret_problem` (may be NULL) and returns `err`, so that a check is one line. */
enum err_e problem_set(struct problem *ret_problem, enum err_e err, const char *field,
                       const char *format, ...) PRINTF_LIKE(4, 5);

#endif
