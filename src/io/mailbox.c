/* SPDX-License-Identifier: Apache-2.0 */
/* A locked list with a condition; the lock is held for a few instructions only. */
#include "io/mailbox.h"

#include "base/assert.h"

#include <time.h>

void mailbox_init(struct mailbox *box, size_t limit, mailbox_wake_fn wake, void *wake_data) {
    *box = (struct mailbox){.limit = limit, .wake = wake, .wake_data = wake_data};
    ASSERT(mtx_init(&box->lock, mtx_plain) == thrd_success);
    ASSERT(cnd_init(&box->filled) == thrd_success);
    box->last = &box->first;
}

void mailbox_fini(struct mailbox *box) {
    ASSERT(box->count == 0);
    cnd_destroy(&box->filled);
    mtx_destroy(&box->lock);
}

bool mailbox_post(struct mailbox *box, struct message *message) {
    mtx_lock(&box->lock);
    if (box->closed || box->count >= box->limit) {
        mtx_unlock(&box->lock);
        return false;
    }
    message->next = NULL;
    *box->last = message;
    box->last = &message->next;
    bool was_empty = box->count++ == 0;
    if (was_empty) {
        cnd_signal(&box->filled);
    }
    mtx_unlock(&box->lock);
    if (was_empty && box->wake != NULL) {
        box->wake(box->wake_data);
    }
    return true;
}

void mailbox_close(struct mailbox *box) {
    mtx_lock(&box->lock);
    box->closed = true;
    cnd_broadcast(&box->filled);
    mtx_unlock(&box->lock);
    if (box->wake != NULL) {
        box->wake(box->wake_data);
    }
}

static struct message *take_locked(struct mailbox *box) {
    struct message *all = box->first;
    box->first = NULL;
    box->last = &box->first;
    box->count = 0;
    return all;
}

struct message *mailbox_take(struct mailbox *box) {
    mtx_lock(&box->lock);
    struct message *all = take_locked(box);
    mtx_unlock(&box->lock);
    return all;
}

static struct timespec time_in(int64_t timeout_ms) {
    struct timespec until;
    timespec_get(&until, TIME_UTC);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return until;
}

static MAY_BLOCK void wait_locked(struct mailbox *box, int64_t timeout_ms) {
    struct timespec until = time_in(timeout_ms);
    while (box->count == 0 && !box->closed) {
        if (cnd_timedwait(&box->filled, &box->lock, &until) == thrd_timedout) {
            return;
        }
    }
}

MAY_BLOCK struct message *mailbox_wait(struct mailbox *box, int64_t timeout_ms) {
    mtx_lock(&box->lock);
    wait_locked(box, timeout_ms);
    struct message *all = take_locked(box);
    mtx_unlock(&box->lock);
    return all;
}

MAY_BLOCK struct message *mailbox_wait_some(struct mailbox *box, size_t most, int64_t timeout_ms) {
    mtx_lock(&box->lock);
    wait_locked(box, timeout_ms);
    struct message *list = NULL;
    struct message **end = &list;
    for (size_t i = 0; i < most && box->first != NULL; i++) {
        *end = box->first;
        end = &box->first->next;
        box->first = *end;
        box->count--;
    }
    *end = NULL;
    if (box->first == NULL) {
        box->last = &box->first;
    } else {
        cnd_signal(&box->filled); /* another reader may sleep while some are left */
    }
    mtx_unlock(&box->lock);
    return list;
}

MAY_BLOCK struct message *mailbox_wait_one(struct mailbox *box, int64_t timeout_ms) {
    return mailbox_wait_some(box, 1, timeout_ms);
}

struct message *mailbox_take_if(struct mailbox *box, mailbox_wants_fn wants, void *data) {
    struct message *list = NULL;
    struct message **end = &list;
    mtx_lock(&box->lock);
    struct message **place = &box->first;
    while (*place != NULL) {
        struct message *message = *place;
        if (wants(message, data)) {
            *place = message->next;
            *end = message;
            end = &message->next;
            box->count--;
        } else {
            place = &message->next;
        }
    }
    box->last = place;
    *end = NULL;
    mtx_unlock(&box->lock);
    return list;
}

bool mailbox_is_closed(struct mailbox *box) {
    mtx_lock(&box->lock);
    bool closed = box->closed;
    mtx_unlock(&box->lock);
    return closed;
}

size_t mailbox_count(struct mailbox *box) {
    mtx_lock(&box->lock);
    size_t count = box->count;
    mtx_unlock(&box->lock);
    return count;
}
