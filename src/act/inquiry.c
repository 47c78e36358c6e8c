/* SPDX-License-Identifier: Apache-2.0 */
/* Asks and answers, sealed. */
#include "act/inquiry.h"

#include "base/assert.h"
#include "base/text.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ASKER_CHARS = 16, NONCE_SIZE = 16, NONCE_CHARS = 32, AGE_MAX_MS = 86400000 };

static const char ask_label[] = "turnout ask", status_label[] = "turnout status";

/* ---- who asks ---- */

void asker_init(struct asker *asker, struct slice secret, struct clock *clock, struct rng *rng) {
    unsigned char id[ASKER_CHARS / 2];
    *asker = (struct asker){.secret = secret, .clock = clock, .rng = rng, .last_ms = INT64_MIN};
    rng_fill(rng, id, sizeof id);
    text_to_hex(id, sizeof id, asker->id);
}

bool asker_ask(struct asker *asker, struct slice node, char ret_ask[INQUIRY_ASK_SIZE]) {
    unsigned char nonce[NONCE_SIZE];
    char nonce_text[NONCE_CHARS + 1], seal[SEAL_SIZE];
    int64_t now_ms = clock_wall_ms(asker->clock);
    now_ms = now_ms > asker->last_ms ? now_ms : asker->last_ms + 1;
    asker->last_ms = now_ms;
    rng_fill(asker->rng, nonce, sizeof nonce);
    text_to_hex(nonce, sizeof nonce, nonce_text);
    int len = snprintf(ret_ask, INQUIRY_ASK_SIZE, "%s.%lld.%s", asker->id, (long long)now_ms,
                       nonce_text);
    ASSERT(len > 0 && len + SEAL_SIZE < INQUIRY_ASK_SIZE);
    const struct slice parts[] = {slice_of(ask_label), node, slice_from(ret_ask, (size_t)len)};
    if (!seal_make(asker->secret, parts, 3, seal)) {
        return false;
    }
    snprintf(ret_ask + len, (size_t)(INQUIRY_ASK_SIZE - len), ".%s", seal);
    return true;
}

bool asker_believes(const struct asker *asker, const char *ask, struct slice body,
                    struct slice seal) {
    const struct slice parts[] = {slice_of(status_label), slice_of(ask), body};
    return seal_fits(asker->secret, parts, 3, seal);
}

/* ---- who answers ---- */

struct known_asker {
    char id[ASKER_CHARS]; /* all NUL: the place is free */
    int64_t last_ms;      /* by the asker's clock */
    int64_t seen_us;
};

struct desk {
    struct desk_options options;
    pthread_mutex_t lock; /* of what follows */
    struct known_asker askers[INQUIRY_ASKERS_MAX];
    bool has_figures;
    int64_t figures_us;
    struct status_figures figures;
};

struct desk *desk_create(const struct desk_options *options) {
    struct desk *desk = calloc(1, sizeof *desk);
    if (desk == NULL) {
        return NULL;
    }
    desk->options = *options;
    status_figures_init(&desk->figures);
    ASSERT(pthread_mutex_init(&desk->lock, NULL) == 0);
    return desk;
}

void desk_destroy(struct desk *desk) {
    if (desk != NULL) {
        pthread_mutex_destroy(&desk->lock);
        free(desk);
    }
}

void desk_put(struct desk *desk, const struct status_figures *figures) {
    pthread_mutex_lock(&desk->lock);
    desk->has_figures = true;
    desk->figures_us = clock_mono_us(desk->options.clock);
    desk->figures = *figures;
    pthread_mutex_unlock(&desk->lock);
}

struct ask_parts {
    struct slice sealed; /* all but the seal */
    struct slice asker, nonce, seal;
    int64_t time_ms;
};

static bool is_hex(struct slice text, size_t len) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return text.len == len;
}

static bool take_apart(struct slice ask, struct ask_parts *ret_parts) {
    struct slice rest = ask, time;
    if (ask.len >= INQUIRY_ASK_SIZE || !slice_next(&rest, '.', &ret_parts->asker) ||
        !slice_next(&rest, '.', &time) || !slice_next(&rest, '.', &ret_parts->nonce) ||
        !slice_next(&rest, '.', &ret_parts->seal) || rest.len > 0) {
        return false;
    }
    ret_parts->sealed = slice_from(ask.at, ask.len - ret_parts->seal.len - 1);
    return is_hex(ret_parts->asker, ASKER_CHARS) && is_hex(ret_parts->nonce, NONCE_CHARS) &&
           is_hex(ret_parts->seal, SEAL_SIZE - 1) &&
           slice_to_int(time, 0, TIME_MAX_MS, &ret_parts->time_ms);
}

/* The asker's place, or the one that is given up for it. */
static struct known_asker *place_of_locked(struct desk *desk, struct slice asker) {
    struct known_asker *oldest = &desk->askers[0];
    for (size_t i = 0; i < INQUIRY_ASKERS_MAX; i++) {
        struct known_asker *place = &desk->askers[i];
        if (memcmp(place->id, asker.at, ASKER_CHARS) == 0) {
            return place;
        }
        oldest = place->seen_us < oldest->seen_us ? place : oldest;
    }
    memcpy(oldest->id, asker.at, ASKER_CHARS);
    oldest->last_ms = INT64_MIN;
    return oldest;
}

/* Whether this is the first time; from now on it is not. */
static bool is_fresh(struct desk *desk, const struct ask_parts *parts) {
    int64_t ahead_ms = parts->time_ms - clock_wall_ms(desk->options.clock);
    if (ahead_ms > INQUIRY_WINDOW_MS || ahead_ms < -INQUIRY_WINDOW_MS) {
        return false;
    }
    pthread_mutex_lock(&desk->lock);
    struct known_asker *place = place_of_locked(desk, parts->asker);
    bool is_later = parts->time_ms > place->last_ms;
    place->last_ms = is_later ? parts->time_ms : place->last_ms;
    place->seen_us = clock_mono_us(desk->options.clock);
    pthread_mutex_unlock(&desk->lock);
    return is_later;
}

/* A server's message may be cut in the middle of a character already. */
static struct slice cut_text(struct slice text) {
    text.len = text.len < STATUS_TEXT_MAX ? text.len : STATUS_TEXT_MAX;
    for (int i = 0; i < 3 && text.len > 0 && !slice_is_utf8(text); i++) {
        text.len--;
    }
    return slice_is_utf8(text) ? text : SLICE_LIT("it does not say why in UTF-8");
}

static struct node_status see_status(struct desk *desk, const struct desk_state *state) {
    struct clock *clock = desk->options.clock;
    struct node_status status = {
        .id = slice_of(desk->options.id),
        .incarnation = slice_of(desk->options.incarnation),
        .version = slice_of(desk->options.version),
        .reason = slice_of(state->reason),
        .wall_ms = clock_wall_ms(clock),
        .is_ready = state->is_ready,
        .drains = state->drains,
    };
    status.reason = cut_text(status.reason);
    pthread_mutex_lock(&desk->lock);
    int64_t age_ms = (clock_mono_us(clock) - desk->figures_us) / 1000;
    status.age_ms = desk->has_figures && age_ms < AGE_MAX_MS ? age_ms : AGE_MAX_MS;
    status.figures = desk->figures;
    pthread_mutex_unlock(&desk->lock);
    return status;
}

enum err_e desk_answer(struct desk *desk, struct slice ask, const struct desk_state *state,
                       struct buf *body, char ret_seal[SEAL_SIZE]) {
    struct ask_parts parts;
    struct slice secret = desk->options.secret;
    if (!take_apart(ask, &parts)) {
        return ERR_UNAUTHORIZED;
    }
    const struct slice asked[] = {slice_of(ask_label), slice_of(desk->options.id), parts.sealed};
    if (!seal_fits(secret, asked, 3, parts.seal) || !is_fresh(desk, &parts)) {
        return ERR_UNAUTHORIZED;
    }
    const struct node_status status = see_status(desk, state);
    size_t before = body->len;
    status_write(&status, body);
    const struct slice answered[] = {slice_of(status_label), ask,
                                     slice_from(body->at + before, body->len - before)};
    return !body->failed && seal_make(secret, answered, 3, ret_seal) ? ERR_OK : ERR_NO_MEMORY;
}
