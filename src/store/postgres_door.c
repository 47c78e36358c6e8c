/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the threads of a store reach for a server: one at a time, and after a failure none of them
 * until a while has passed. A server that has just come back so meets one connection of each node
 * at first, and the others one after another when that one holds.
 */
#include "store/postgres_priv.h"

#include <time.h>

/* A thread waits no longer for another that connects: its own operations would be late. */
enum { PATIENCE_MS = 1000 };

static int64_t real_us(void) {
    return clock_mono_us(clock_system());
}

void pg_door_init(struct pg_door *door, int64_t first_ms, int64_t most_ms) {
    *door = (struct pg_door){.first_ms = first_ms, .most_ms = most_ms};
    ASSERT(mtx_init(&door->lock, mtx_timed) == thrd_success);
    ASSERT(cnd_init(&door->left) == thrd_success);
}

void pg_door_fini(struct pg_door *door) {
    cnd_destroy(&door->left);
    mtx_destroy(&door->lock);
}

/* Under the lock: until nobody is in the door, or patience ends. */
MAY_BLOCK static void wait_turn(struct pg_door *door) {
    struct timespec until;
    timespec_get(&until, TIME_UTC);
    until.tv_sec += PATIENCE_MS / 1000;
    while (door->busy && cnd_timedwait(&door->left, &door->lock, &until) == thrd_success) {
    }
}

MAY_BLOCK bool pg_door_enter(struct pg_door *door) {
    mtx_lock(&door->lock);
    wait_turn(door);
    bool may = !door->busy && real_us() >= door->next_us;
    door->busy = door->busy || may;
    mtx_unlock(&door->lock);
    return may;
}

bool pg_door_try(struct pg_door *door) {
    mtx_lock(&door->lock);
    bool may = !door->busy && real_us() >= door->next_us;
    door->busy = door->busy || may;
    mtx_unlock(&door->lock);
    return may;
}

/* Half of the wait is certain, half is random: nodes do not come back in step. */
static void wait_longer(struct pg_door *door) {
    int64_t wait_ms = door->wait_ms == 0 ? door->first_ms : 2 * door->wait_ms;
    door->wait_ms = wait_ms < door->most_ms ? wait_ms : door->most_ms;
    int64_t half_us = door->wait_ms * 500;
    door->next_us = real_us() + half_us + (int64_t)rng_below(rng_system(), (uint64_t)half_us);
}

void pg_door_leave(struct pg_door *door, enum err_e err) {
    mtx_lock(&door->lock);
    ASSERT(door->busy);
    door->busy = false;
    if (err == ERR_OK) {
        door->wait_ms = 0;
        door->next_us = 0;
    } else {
        wait_longer(door);
    }
    cnd_broadcast(&door->left);
    mtx_unlock(&door->lock);
}
