/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a controller asks a node how it is, and how either knows the other:
 *
 *   GET /v1/status                                          200, a node_status as JSON
 *   turnout-ask: ASKER.TIME.NONCE.SEAL            ──►       turnout-seal: SEAL
 *     sealed: "turnout ask", the node's id,                   sealed: "turnout status",
 *             ASKER.TIME.NONCE                                        the whole ask, the body
 *
 * 1. An answer is to its ask alone: a recorded one fits no other nonce.
 * 2. A node answers an ask once: TIME grows with each ask of an asker, and lies within
 *    INQUIRY_WINDOW_MS of the node's own clock, for askers that it has forgotten.
 * 3. An ask names its node: it cannot be shown to another one.
 * 4. Who does not have the secret learns nothing, whatever it sends, but that it was refused.
 *
 * Neither side hides anything on the way: what a node says of itself is no secret there.
 * Thread: an asker one; a desk any (a lock is held for a table of some hundred entries).
 */
#ifndef TURNOUT_ACT_INQUIRY_H
#define TURNOUT_ACT_INQUIRY_H

#include "act/seal.h"
#include "base/clock.h"
#include "base/rng.h"
#include "control/status.h"

#define INQUIRY_PATH "/v1/status"
#define INQUIRY_ASK_FIELD "turnout-ask"
#define INQUIRY_SEAL_FIELD "turnout-seal"

enum {
    INQUIRY_ASK_SIZE = 160,
    INQUIRY_ASKERS_MAX = 256,   /* remembered; the one that asked longest ago is forgotten first */
    INQUIRY_WINDOW_MS = 600000,
    INQUIRY_SECRET_MAX = 512,   /* bytes */
};

/* ---- who asks ---- */

struct asker {
    struct slice secret; /* outlives the asker */
    struct clock *clock;
    struct rng *rng;
    char id[17];
    int64_t last_ms;
};
void asker_init(struct asker *asker, struct slice secret, struct clock *clock, struct rng *rng);
/* The field's value for one ask of this node. False without memory. */
bool asker_ask(struct asker *asker, struct slice node, char ret_ask[INQUIRY_ASK_SIZE]) MUST_CHECK;
/* Whether `body` is the answer to `ask`, from somebody with the secret. */
bool asker_believes(const struct asker *asker, const char *ask, struct slice body,
                    struct slice seal) MUST_CHECK;

/* ---- who answers ---- */

struct desk;
struct desk_options { /* all texts outlive the desk */
    struct slice secret;
    struct clock *clock;
    const char *id, *incarnation, *version;
};
struct desk *desk_create(const struct desk_options *options); /* NULL without memory */
void desk_destroy(struct desk *desk);                         /* NULL: nothing */
/* What it tells from now on; before the first time it knows no figures. */
void desk_put(struct desk *desk, const struct status_figures *figures);

struct desk_state { /* of this very moment */
    bool is_ready, drains;
    const char *reason; /* why it is not ready; "" when it is */
};
/* The answer, appended to `body`, and its seal. ERR_UNAUTHORIZED: the ask is none, or not from
 * here; it was asked before, or its time is too far from ours. ERR_NO_MEMORY. */
enum err_e desk_answer(struct desk *desk, struct slice ask, const struct desk_state *state,
                       struct buf *body, char ret_seal[SEAL_SIZE]) MUST_CHECK;

#endif
