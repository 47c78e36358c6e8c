/* SPDX-License-Identifier: Apache-2.0 */
/* A turn, and what is told of it. */
#include "act/fleet_priv.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

enum { TEXT_MAX_BYTES = 16384 };
#define TELL_AGAIN_US (600 * 1000000LL)

struct fleet *fleet_create(const struct fleet_options *options) {
    struct fleet *fleet = calloc(1, sizeof *fleet);
    if (fleet == NULL) {
        return NULL;
    }
    fleet->options = *options;
    fleet->looked_us = TIME_NONE;
    fleet->scaling.rested_us = TIME_NONE;
    buf_init(&fleet->text, TEXT_MAX_BYTES);
    if (options->haproxy_socket != NULL) {
        fleet->haproxy = haproxy_create(&(struct haproxy_options){
            .socket = {options->haproxy_socket, HAPROXY_TIMEOUT_MS_DEFAULT},
            .clock = options->clock,
            .tell = fleet_note,
            .tell_data = fleet});
        if (fleet->haproxy == NULL) {
            fleet_destroy(fleet);
            return NULL;
        }
    }
    return fleet;
}

void fleet_destroy(struct fleet *fleet) {
    if (fleet == NULL) {
        return;
    }
    haproxy_destroy(fleet->haproxy);
    buf_fini(&fleet->text);
    free(fleet);
}

MAY_BLOCK void fleet_turn(struct fleet *fleet, const struct fleet_view *view) {
    members_take(fleet, view);
    fleet_round(fleet, view);
    scaling_step(fleet, view);
}

bool fleet_is_leaving(const struct fleet *fleet, struct slice id) {
    char text[NODE_ID_MAX + 1];
    return slice_to_cstr(id, text, sizeof text) && scaling_takes(fleet, text);
}

bool fleet_name(struct slice id, char ret_name[HAPROXY_NAME_MAX + 1]) {
    if (!slice_to_cstr(id, ret_name, HAPROXY_NAME_MAX + 1)) {
        return false;
    }
    for (char *at = ret_name; *at != '\0'; at++) {
        *at = *at == ':' ? '_' : *at;
    }
    return haproxy_name_is_good(slice_of(ret_name));
}

/* ---- telling ---- */

static uint64_t hash_of(const struct fleet_event *event) {
    return slice_hash(slice_of(event->what)) * 31 + slice_hash(event->target) * 7 +
           (uint64_t)event->err;
}

/* True when the same failure was told a short while ago. A success ends it. */
static bool is_old_news(struct fleet *fleet, const struct fleet_event *event) {
    int64_t now_us = clock_mono_us(fleet->options.clock);
    uint64_t hash = hash_of(event);
    if (event->err == ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < FLEET_TOLD_MAX; i++) {
        struct told *told = &fleet->told[i];
        if (told->hash == hash && now_us - told->at_us < TELL_AGAIN_US) {
            return true;
        }
    }
    fleet->told[fleet->told_len++ % FLEET_TOLD_MAX] = (struct told){hash, now_us};
    return false;
}

void fleet_tell(struct fleet *fleet, const struct fleet_event *event) {
    if (is_old_news(fleet, event)) {
        return;
    }
    log_event(event->err == ERR_OK ? LOG_INFO : LOG_WARN, "fleet",
              "what=%s target=%.*s err=%s detail=\"%s\"", event->what, SLICE_ARG(event->target),
              err_code(event->err), event->detail);
    if (fleet->options.tell != NULL) {
        fleet->options.tell(fleet->options.tell_data, event);
    }
}
