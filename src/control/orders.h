/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people, and controllers, told all nodes: silences, whether anything may be done, what is
 * refused for a while. Every node reads the same rows of the store; here they become what they
 * mean. Pure. Thread: any.
 *
 *   name           value, a JSON object                          until
 *   acting         {"stopped":true,"reason":…}                   it is ended
 *   silence/ID     {"rule":…,"node":…,"severity":…,"reason":…}   its time is over, or it is ended
 *   shed           {"rule":…}                                    likewise
 *   restart/NODE   {"started_at_ms":…,"action":…,"rule":…,…}     likewise
 *
 * A name that is not known is left for newer versions, and so is a value that cannot be read: but
 * an order to stop is obeyed whatever its value says.
 */
#ifndef TURNOUT_CONTROL_ORDERS_H
#define TURNOUT_CONTROL_ORDERS_H

#include "base/json.h"
#include "control/notice.h"

enum {
    ORDER_REASON_MAX = 200,  /* bytes */
    ORDER_PATTERN_MAX = 128, /* of a rule or a node */
    ORDER_NAME_SIZE = 160,   /* "restart/" and the id of a node */
    SILENCE_ID_MAX = 32,
};
#define ORDER_ACTING "acting"
#define ORDER_SILENCE "silence/"
#define ORDER_SHED "shed"
#define ORDER_RESTART "restart/"

/* A row as it stands in the store. */
struct order_row {
    struct slice name, value, author;
    int64_t at_ms, until_ms; /* TIME_NONE: until it is ended */
};

/* An order that stands. */
struct standing_order {
    struct slice id; /* of a silence; else empty */
    struct slice author, reason;
    int64_t at_ms, until_ms;
};
struct standing_silence {
    struct standing_order order;
    struct silence covers;
};
/* A process that is to let a new one take over. */
struct standing_restart {
    struct standing_order order;
    struct slice node;
    int64_t started_at_ms; /* of the process that is meant, by its own clock: no other obeys */
    int64_t action_id;     /* in the journal */
    struct slice rule;     /* that asked */
    double before;         /* its figure then; FIGURE_MISSING: not known */
    bool is_own;           /* the controller that told so is part of this very process */
};
struct orders {
    struct standing_restart *restarts;
    size_t restarts_len;
    bool is_stopped; /* nothing may be done */
    struct standing_order stop;
    struct standing_silence *silences;
    size_t silences_len;
    bool is_shedding; /* analytics are refused */
    struct standing_order shed;
    struct slice shed_rule; /* that asked for it */
};

/* Everything lives in the arena. ERR_NO_MEMORY. */
enum err_e orders_read(struct arena *arena, const struct order_row *rows, size_t len,
                       struct orders *ret_orders) MUST_CHECK;

bool order_stands(const struct standing_order *order, int64_t now_ms);

/* What a silence is made of: a pattern is a text, or the beginning of one and a star. */
bool silence_pattern_is_good(struct slice pattern);
bool silence_severity(struct slice word, int *ret_severity);

/* The values of rows. */
void order_write_stop(struct json_writer *w, struct slice reason);
void order_write_silence(struct json_writer *w, const struct standing_silence *silence);
void order_write_shed(struct json_writer *w, struct slice rule);
void order_write_restart(struct json_writer *w, const struct standing_restart *restart);

/* As the API shows them: whether anything may be done, and a silence with its id. */
void order_show_acting(struct json_writer *w, const struct orders *orders); /* NULL: not known */
void order_show_silence(struct json_writer *w, const struct standing_silence *silence);
/* null when nothing is shed, or nothing is known. */
void order_show_shedding(struct json_writer *w, const struct orders *orders, int64_t now_ms);

#endif
