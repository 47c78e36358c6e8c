/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivers notices. Each receiver has a thread and a short queue of its own, so that one that hangs
 * or is gone holds up nothing else; a notice is tried again with growing pauses until it is taken,
 * refused for good or given up. What is tried is written down before, so that it is told at least
 * once also over a restart; a receiver knows a notice that comes twice by its id.
 *
 * Thread: create, start, stop and destroy from main; send and read from any.
 */
#ifndef TURNOUT_ACT_NOTIFIER_H
#define TURNOUT_ACT_NOTIFIER_H

#include "act/notice_document.h"
#include "base/rng.h"

#include <stdatomic.h>

enum {
    NOTIFIER_QUEUE_MAX = 8,      /* notices that wait for a receiver; further ones are made later */
    NOTIFIER_DETAIL_SIZE = 256,
};

/* X(NAME, word, meaning): of a row of the log. */
#define DELIVERY_TABLE(X)                                                                          \
    X(WAITING, "waiting", "It is tried, or tried again.")                                          \
    X(DELIVERED, "delivered", "The receiver took it.")                                             \
    X(REFUSED, "refused", "The receiver will never take it: `detail` says why.")                   \
    X(GIVEN_UP, "given up", "It was tried for as long as `give_up` says.")
#define X(name, text, meaning) DELIVERY_##name,
enum delivery_e { DELIVERY_TABLE(X) };
#undef X
const char *delivery_text(enum delivery_e delivery);

/* A notice on its way. */
struct delivery {
    int64_t id; /* in the log; 0: it could not be written */
    const char *key;
    size_t receiver; /* its place in the policy */
    enum delivery_e state;
    int64_t attempts;
    struct slice body; /* the document */
    const char *detail;
};

/* All are called on the receivers' threads. */
struct notifier_seams {
    /* One try. WAITING: it failed and may be tried again. `ret_detail` never has a secret. */
    MAY_BLOCK enum delivery_e (*deliver)(void *data, const struct receiver *receiver,
                                         struct slice body, const atomic_bool *cancel,
                                         char ret_detail[NOTIFIER_DETAIL_SIZE]);
    MAY_BLOCK enum err_e (*log_add)(void *data, const struct delivery *delivery, int64_t *ret_id);
    MAY_BLOCK enum err_e (*log_end)(void *data, const struct delivery *delivery);
    void *data;
};

struct notifier_options {
    struct clock *clock;
    struct rng *rng;             /* for pauses; any thread */
    const struct policy *policy; /* lives as long as the notifier */
    struct notifier_seams seams;
};

struct notifier;
struct notifier *notifier_create(const struct notifier_options *options); /* NULL: no memory */
MAY_BLOCK void notifier_destroy(struct notifier *notifier); /* not running; NULL: nothing */
enum err_e notifier_start(struct notifier *notifier) MUST_CHECK;
/* Ends tries soon; what was not taken stays "waiting" in the log. */
MAY_BLOCK void notifier_stop(struct notifier *notifier);

/* A copy of the document is sent. `id`: of its row when it has one already, else 0. False: the
 * queue of this receiver is full, or it has none. */
bool notifier_send(struct notifier *notifier, size_t receiver, const char *key, struct slice body,
                   int64_t id) MUST_CHECK;

/* One try of what is due at this receiver, for tests without threads: until when nothing is, in
 * microseconds of the clock; INT64_MAX: nothing waits. */
MAY_BLOCK int64_t notifier_turn(struct notifier *notifier, size_t receiver);

/* Since the start. */
struct notifier_figures {
    uint64_t delivered, refused, given_up, tries_failed, put_off;
    size_t queued;
    int64_t delivered_at_ms; /* the last one; TIME_NONE: none yet */
    char detail[NOTIFIER_DETAIL_SIZE]; /* of the last try that failed; empty: none did since the
        last that was taken */
};
void notifier_read(struct notifier *notifier, size_t receiver,
                   struct notifier_figures *ret_figures);

#endif
