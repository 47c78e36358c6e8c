/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict reading of a request's head, and what it says. Inside this unit only.
 * Thread: any; pure. Nothing is copied: the slices are parts of the head that was given.
 */
#ifndef TURNOUT_HTTP_HEAD_PRIV_H
#define TURNOUT_HTTP_HEAD_PRIV_H

#include "base/slice.h"

/* libh2o takes at most 100 (H2O_MAX_HEADERS), and nobody needs more. */
enum { HEAD_FIELDS_MAX = 100 };
/* Longer than any registered method. */
enum { HEAD_METHOD_MAX = 32 };

struct head_field {
    struct slice name;
    struct slice value; /* without white space at its ends */
};

enum expect_e { EXPECT_NOTHING, EXPECT_CONTINUE, EXPECT_UNKNOWN };

#define HEAD_NO_LENGTH (-1)

struct head {
    struct slice method;
    struct slice target; /* as sent */
    struct slice path;   /* begins with /; "/" for the target * */
    struct slice query;  /* without the ? */
    int minor;           /* HTTP/1.minor, 0 or 1 */
    int64_t content_length; /* HEAD_NO_LENGTH without one */
    bool chunked;
    bool closes; /* the client asks for the connection's end, or is too old to say otherwise */
    enum expect_e expect;
    struct slice expect_name; /* the field's name as sent */
    struct slice host;
    /* what the parser counts */
    int hosts;
    int lengths;
    int codings;
    bool keeps_alive;
    size_t field_count;
    struct head_field fields[HEAD_FIELDS_MAX];
};

/* `raw` is everything up to and with the empty line. ERR_MALFORMED_REQUEST as http_check_head. */
enum err_e head_parse(struct slice raw, struct head *ret_head,
                      struct problem *ret_problem) MUST_CHECK;

/* The first field of that name, in any case; empty if there is none. */
struct slice head_find(const struct head *head, struct slice name);

/* Looks for the end of a head in input that grows. `*scanned` is 0 at first and kept between
 * calls. */
enum head_end_e {
    HEAD_END_MISSING, /* more must come */
    HEAD_END_FOUND,   /* `*scanned` is the head's length */
    HEAD_END_NEVER,   /* a line ends without CR, or the first byte begins no method */
};
enum head_end_e head_find_end(struct slice input, size_t *scanned);

/* Characters of a field's name and of its value (RFC 9110, 5.6.2 and 5.5). */
bool head_is_token_char(unsigned char c);
bool head_is_text_char(unsigned char c);

#endif
