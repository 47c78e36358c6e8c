/* SPDX-License-Identifier: Apache-2.0 */
/* A thread and a condition on the monotonic clock. */
#include "io/pacer.h"

#include "base/assert.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct pacer {
    struct pacer_options options;
    pthread_t thread;
    pthread_mutex_t lock; /* of the flags */
    pthread_cond_t woken;
    bool is_woken;
    bool ends;
};

/* False when it is to end. */
MAY_BLOCK static bool rest_until(struct pacer *pacer, int64_t until_us) {
    struct timespec end = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_mutex_lock(&pacer->lock);
    while (!pacer->ends && !pacer->is_woken &&
           pthread_cond_timedwait(&pacer->woken, &pacer->lock, &end) == 0) {
    }
    pacer->is_woken = false;
    bool ends = pacer->ends;
    pthread_mutex_unlock(&pacer->lock);
    return !ends;
}

MAY_BLOCK static void *pacer_main(void *data) {
    struct pacer *pacer = data;
    int64_t next_us;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), pacer->options.name);
    do {
        next_us = clock_mono_us(clock_system()) + pacer->options.every_ms * 1000;
        pacer->options.turn(pacer->options.data);
    } while (rest_until(pacer, next_us));
    return NULL;
}

static void init_lock(struct pacer *pacer) {
    pthread_condattr_t attributes;
    ASSERT(pthread_mutex_init(&pacer->lock, NULL) == 0);
    ASSERT(pthread_condattr_init(&attributes) == 0);
    ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&pacer->woken, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

static void free_pacer(struct pacer *pacer) {
    pthread_cond_destroy(&pacer->woken);
    pthread_mutex_destroy(&pacer->lock);
    free(pacer);
}

struct pacer *pacer_start(const struct pacer_options *options) {
    struct pacer *pacer = calloc(1, sizeof *pacer);
    if (pacer == NULL) {
        return NULL;
    }
    pacer->options = *options;
    init_lock(pacer);
    if (pthread_create(&pacer->thread, NULL, pacer_main, pacer) != 0) {
        free_pacer(pacer);
        return NULL;
    }
    return pacer;
}

static void tell(struct pacer *pacer, bool *flag) {
    pthread_mutex_lock(&pacer->lock);
    *flag = true;
    pthread_cond_signal(&pacer->woken);
    pthread_mutex_unlock(&pacer->lock);
}

void pacer_wake(struct pacer *pacer) {
    tell(pacer, &pacer->is_woken);
}

MAY_BLOCK void pacer_stop(struct pacer *pacer) {
    if (pacer != NULL) {
        tell(pacer, &pacer->ends);
        ASSERT(pthread_join(pacer->thread, NULL) == 0);
        free_pacer(pacer);
    }
}
