/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of a receiver, its oldest notice first:
 *
 *   queued ──► written down ──► tried ──► DELIVERED, REFUSED
 *                                 │ ▲
 *                  failed ────────┘ └──── 1 s to 1 m later
 *                                 └─────► GIVEN_UP  `give_up` after the first try
 *
 * The pause doubles from try to try and is then drawn between half of it and all: receivers that
 * come back are not met by everybody at once.
 */
#include "act/notifier.h"

#include "base/assert.h"
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAUSE_FIRST_MS = 1000, PAUSE_MAX_MS = 60000, SECOND_US = 1000000 };

static const char *const delivery_words[] = {
#define X(name, text, meaning) text,
    DELIVERY_TABLE(X)
#undef X
};

const char *delivery_text(enum delivery_e delivery) {
    return delivery_words[delivery];
}

struct letter {
    char key[NOTICE_KEY_SIZE];
    char *body;
    size_t len;
    int64_t id;
    bool is_written; /* or it was tried */
    int64_t attempts;
    int64_t first_us; /* of the first try; TIME_NONE: there was none */
};

struct channel {
    struct notifier *notifier;
    size_t place;
    const struct receiver *receiver;
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t woken;
    bool ends;
    struct letter *queue[NOTIFIER_QUEUE_MAX]; /* oldest first; its first is the thread's alone */
    size_t queued;
    int64_t next_us; /* no try before */
    struct notifier_figures figures;
};

struct notifier {
    struct notifier_options options;
    atomic_bool cancel;
    size_t channels_len;
    struct channel channels[RECEIVERS_MAX];
};

/* ---- life ---- */

static void init_channel(struct notifier *notifier, size_t place) {
    struct channel *channel = &notifier->channels[place];
    pthread_condattr_t attributes;
    channel->notifier = notifier;
    channel->place = place;
    channel->receiver = &notifier->options.policy->receivers[place];
    channel->figures.delivered_at_ms = TIME_NONE;
    ASSERT(pthread_mutex_init(&channel->lock, NULL) == 0);
    ASSERT(pthread_condattr_init(&attributes) == 0);
    ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&channel->woken, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

struct notifier *notifier_create(const struct notifier_options *options) {
    struct notifier *notifier = calloc(1, sizeof *notifier);
    if (notifier == NULL) {
        return NULL;
    }
    notifier->options = *options;
    notifier->channels_len = options->policy->receivers_len;
    atomic_init(&notifier->cancel, false);
    for (size_t i = 0; i < notifier->channels_len; i++) {
        init_channel(notifier, i);
    }
    return notifier;
}

static void free_letter(struct letter *letter) {
    free(letter->body);
    free(letter);
}

MAY_BLOCK void notifier_destroy(struct notifier *notifier) {
    if (notifier == NULL) {
        return;
    }
    for (size_t i = 0; i < notifier->channels_len; i++) {
        struct channel *channel = &notifier->channels[i];
        ASSERT(!channel->is_running);
        for (size_t k = 0; k < channel->queued; k++) {
            free_letter(channel->queue[k]);
        }
        pthread_cond_destroy(&channel->woken);
        pthread_mutex_destroy(&channel->lock);
    }
    free(notifier);
}

/* ---- the queue ---- */

static struct letter *new_letter(const char *key, struct slice body, int64_t id) {
    struct letter *letter = calloc(1, sizeof *letter);
    char *copy = letter == NULL ? NULL : malloc(body.len + 1);
    if (copy == NULL) {
        free(letter);
        return NULL;
    }
    bool fits = slice_to_cstr(body, copy, body.len + 1);
    ASSERT(fits);
    *letter = (struct letter){
        .body = copy, .len = body.len, .id = id, .is_written = id != 0, .first_us = TIME_NONE};
    snprintf(letter->key, sizeof letter->key, "%s", key);
    return letter;
}

bool notifier_send(struct notifier *notifier, size_t receiver, const char *key, struct slice body,
                   int64_t id) {
    ASSERT(receiver < notifier->channels_len);
    struct channel *channel = &notifier->channels[receiver];
    struct letter *letter = new_letter(key, body, id);
    pthread_mutex_lock(&channel->lock);
    bool takes = letter != NULL && channel->queued < NOTIFIER_QUEUE_MAX && !channel->ends;
    if (takes) {
        channel->queue[channel->queued++] = letter;
        pthread_cond_signal(&channel->woken);
    } else {
        channel->figures.put_off++;
    }
    pthread_mutex_unlock(&channel->lock);
    if (!takes && letter != NULL) {
        free_letter(letter);
    }
    return takes;
}

/* The oldest, if its time has come; else until when. */
static struct letter *due_letter(struct channel *channel, int64_t *ret_next_us) {
    struct letter *letter = NULL;
    pthread_mutex_lock(&channel->lock);
    *ret_next_us = channel->queued == 0 ? INT64_MAX : channel->next_us;
    if (channel->queued > 0 &&
        channel->next_us <= clock_mono_us(channel->notifier->options.clock)) {
        letter = channel->queue[0];
    }
    pthread_mutex_unlock(&channel->lock);
    return letter;
}

static void drop_first(struct channel *channel) {
    pthread_mutex_lock(&channel->lock);
    struct letter *letter = channel->queue[0];
    channel->queued--;
    for (size_t i = 0; i < channel->queued; i++) {
        channel->queue[i] = channel->queue[i + 1];
    }
    channel->next_us = 0;
    pthread_mutex_unlock(&channel->lock);
    free_letter(letter);
}

/* ---- a try ---- */

static struct delivery delivery_of(const struct channel *channel, const struct letter *letter,
                                   enum delivery_e state, const char *detail) {
    return (struct delivery){.id = letter->id,
                             .key = letter->key,
                             .receiver = channel->place,
                             .state = state,
                             .attempts = letter->attempts,
                             .body = slice_from(letter->body, letter->len),
                             .detail = detail};
}

/* Without a log it is told all the same: what is down may be the very thing to tell of. */
MAY_BLOCK static void write_down(struct channel *channel, struct letter *letter) {
    const struct notifier_seams *seams = &channel->notifier->options.seams;
    if (letter->is_written) {
        return;
    }
    struct delivery delivery = delivery_of(channel, letter, DELIVERY_WAITING, "");
    enum err_e err = seams->log_add(seams->data, &delivery, &letter->id);
    letter->id = err == ERR_OK ? letter->id : 0;
    letter->is_written = true;
}

MAY_BLOCK static void write_end(struct channel *channel, const struct letter *letter,
                                enum delivery_e state, const char *detail) {
    const struct notifier_seams *seams = &channel->notifier->options.seams;
    struct delivery delivery = delivery_of(channel, letter, state, detail);
    enum err_e err = letter->id != 0 ? seams->log_end(seams->data, &delivery)
                     : state == DELIVERY_WAITING
                         ? ERR_OK /* with a later try */
                         : seams->log_add(seams->data, &delivery, &delivery.id);
    log_event(state == DELIVERY_DELIVERED ? LOG_INFO : LOG_WARN, "notice",
              "receiver=%s id=%s state=\"%s\" attempts=%lld log=%s detail=\"%s\"",
              channel->receiver->name, letter->key, delivery_text(state),
              (long long)letter->attempts, err == ERR_OK ? "written" : err_code(err), detail);
}

static int64_t pause_us(const struct notifier *notifier, int64_t attempts) {
    int64_t ms = PAUSE_FIRST_MS;
    for (int64_t i = 1; i < attempts && ms < PAUSE_MAX_MS; i++) {
        ms *= 2;
    }
    ms = ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
    return (ms / 2 + (int64_t)rng_below(notifier->options.rng, (uint64_t)ms / 2 + 1)) * 1000;
}

static void note_try(struct channel *channel, enum delivery_e state, const char *detail) {
    struct notifier_figures *figures = &channel->figures;
    pthread_mutex_lock(&channel->lock);
    figures->delivered += state == DELIVERY_DELIVERED;
    figures->refused += state == DELIVERY_REFUSED;
    figures->given_up += state == DELIVERY_GIVEN_UP;
    figures->tries_failed += state == DELIVERY_WAITING || state == DELIVERY_GIVEN_UP;
    if (state == DELIVERY_DELIVERED) {
        figures->delivered_at_ms = clock_wall_ms(channel->notifier->options.clock);
    }
    snprintf(figures->detail, sizeof figures->detail, "%s",
             state == DELIVERY_DELIVERED ? "" : detail);
    pthread_mutex_unlock(&channel->lock);
}

/* The row of what is tried again is written with the first failure, and at the end. */
MAY_BLOCK static void put_off(struct channel *channel, struct letter *letter, const char *detail) {
    struct notifier *notifier = channel->notifier;
    if (letter->attempts == 1) {
        write_end(channel, letter, DELIVERY_WAITING, detail);
    }
    pthread_mutex_lock(&channel->lock);
    channel->next_us =
        clock_mono_us(notifier->options.clock) + pause_us(notifier, letter->attempts);
    pthread_mutex_unlock(&channel->lock);
}

MAY_BLOCK static void try_letter(struct channel *channel, struct letter *letter) {
    struct notifier *notifier = channel->notifier;
    const struct notifier_seams *seams = &notifier->options.seams;
    char detail[NOTIFIER_DETAIL_SIZE] = "";
    write_down(channel, letter);
    int64_t now_us = clock_mono_us(notifier->options.clock);
    letter->first_us = letter->first_us == TIME_NONE ? now_us : letter->first_us;
    letter->attempts++;
    enum delivery_e state = seams->deliver(seams->data, channel->receiver,
                                           slice_from(letter->body, letter->len),
                                           &notifier->cancel, detail);
    if (state == DELIVERY_WAITING && atomic_load(&notifier->cancel)) {
        return; /* this node stops: the row says that it waits */
    }
    now_us = clock_mono_us(notifier->options.clock);
    if (state == DELIVERY_WAITING &&
        now_us - letter->first_us >= channel->receiver->give_up_ms * 1000) {
        state = DELIVERY_GIVEN_UP;
    }
    note_try(channel, state, detail);
    if (state == DELIVERY_WAITING) {
        put_off(channel, letter, detail);
        return;
    }
    write_end(channel, letter, state, detail);
    drop_first(channel);
}

MAY_BLOCK int64_t notifier_turn(struct notifier *notifier, size_t receiver) {
    int64_t next_us;
    struct channel *channel = &notifier->channels[receiver];
    struct letter *letter = due_letter(channel, &next_us);
    if (letter != NULL) {
        try_letter(channel, letter);
        (void)due_letter(channel, &next_us);
    }
    return next_us;
}

/* ---- the threads ---- */

/* Until then, or until something is new. False: the notifier stops. */
MAY_BLOCK static bool wait_for_work(struct channel *channel, int64_t next_us) {
    struct timespec end = {.tv_sec = next_us / SECOND_US,
                           .tv_nsec = next_us % SECOND_US * 1000};
    pthread_mutex_lock(&channel->lock);
    int code = 0;
    while (!channel->ends && code == 0 && (next_us != INT64_MAX || channel->queued == 0)) {
        code = next_us == INT64_MAX ? pthread_cond_wait(&channel->woken, &channel->lock)
                                    : pthread_cond_timedwait(&channel->woken, &channel->lock, &end);
    }
    bool goes_on = !channel->ends;
    pthread_mutex_unlock(&channel->lock);
    return goes_on;
}

MAY_BLOCK static void *channel_main(void *data) {
    struct channel *channel = data;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "notify");
    int64_t next_us;
    do {
        next_us = notifier_turn(channel->notifier, channel->place);
    } while (wait_for_work(channel, next_us));
    return NULL;
}

enum err_e notifier_start(struct notifier *notifier) {
    for (size_t i = 0; i < notifier->channels_len; i++) {
        struct channel *channel = &notifier->channels[i];
        if (channel->receiver->disabled) {
            continue;
        }
        if (pthread_create(&channel->thread, NULL, channel_main, channel) != 0) {
            return ERR_NO_MEMORY;
        }
        channel->is_running = true;
    }
    return ERR_OK;
}

MAY_BLOCK void notifier_stop(struct notifier *notifier) {
    if (notifier == NULL) {
        return;
    }
    atomic_store(&notifier->cancel, true);
    for (size_t i = 0; i < notifier->channels_len; i++) {
        struct channel *channel = &notifier->channels[i];
        pthread_mutex_lock(&channel->lock);
        channel->ends = true;
        pthread_cond_signal(&channel->woken);
        pthread_mutex_unlock(&channel->lock);
    }
    for (size_t i = 0; i < notifier->channels_len; i++) {
        if (notifier->channels[i].is_running) {
            ASSERT(pthread_join(notifier->channels[i].thread, NULL) == 0);
            notifier->channels[i].is_running = false;
        }
    }
}

void notifier_read(struct notifier *notifier, size_t receiver,
                   struct notifier_figures *ret_figures) {
    struct channel *channel = &notifier->channels[receiver];
    pthread_mutex_lock(&channel->lock);
    *ret_figures = channel->figures;
    ret_figures->queued = channel->queued;
    pthread_mutex_unlock(&channel->lock);
}
