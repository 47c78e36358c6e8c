/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue between threads: how threads talk, together with counters and nothing else.
 *
 * Messages are intrusive, so posting allocates nothing. The reader takes all that wait in one go,
 * oldest first: a writer thread turns that into one transaction, a loop into one turn.
 * Thread: post and close from any; take and wait from the one reader.
 * Ownership: a posted message belongs to the reader until it hands it on.
 */
#ifndef TURNOUT_IO_MAILBOX_H
#define TURNOUT_IO_MAILBOX_H

#include "base/err.h"

#include <stdint.h>
#include <threads.h>

struct message {
    struct message *next;
};

typedef void (*mailbox_wake_fn)(void *data);

struct mailbox {
    mtx_t lock;
    cnd_t filled;
    struct message *first;
    struct message **last;
    size_t count;
    size_t limit;
    bool closed;
    mailbox_wake_fn wake; /* called outside the lock when the box stops being empty; may be NULL */
    void *wake_data;
};

/* `limit` messages may wait; SIZE_MAX where the senders bound themselves (answers to requests). */
void mailbox_init(struct mailbox *box, size_t limit, mailbox_wake_fn wake, void *wake_data);
void mailbox_fini(struct mailbox *box); /* must be empty */

/* False when it is full or closed: the message stays the caller's. */
bool mailbox_post(struct mailbox *box, struct message *message) MUST_CHECK;
/* Refuses posts from now on and wakes the reader; what waits can still be taken. */
void mailbox_close(struct mailbox *box);

/* All that wait as a list, oldest first, or NULL. Never blocks. */
struct message *mailbox_take(struct mailbox *box);
/* The same, waiting up to `timeout_ms` for the first; NULL on time-out or when closed and empty. */
MAY_BLOCK struct message *mailbox_wait(struct mailbox *box, int64_t timeout_ms);
/* The oldest alone; several threads may share one box this way. */
MAY_BLOCK struct message *mailbox_wait_one(struct mailbox *box, int64_t timeout_ms);
/* The oldest, at most `most` of them, as a list; the rest stays for other readers of the box. */
MAY_BLOCK struct message *mailbox_wait_some(struct mailbox *box, size_t most, int64_t timeout_ms);
/* Those that `wants` names, oldest first; the rest stays in its order. `wants` runs under the lock.
 * Never blocks. */
typedef bool (*mailbox_wants_fn)(const struct message *message, void *data);
struct message *mailbox_take_if(struct mailbox *box, mailbox_wants_fn wants, void *data);
bool mailbox_is_closed(struct mailbox *box);
size_t mailbox_count(struct mailbox *box);

#endif
