/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker Swarm over the engine's socket. A service is updated by its whole specification and the
 * version it was read at, so everything but the number of replicas goes back byte for byte: fields
 * that this program has never heard of too.
 */
#include "act/json_span.h"
#include "act/provider_priv.h"

#include <inttypes.h>
#include <stdlib.h>

#define API "/v1.41"

struct swarm {
    struct provider base;
    struct swarm_options options;
    struct talk talk;
    struct buf body; /* of the update */
};

static enum err_e read_service(struct swarm *swarm, const struct json_t **ret_service,
                               struct problem *problem) {
    buf_clear(&swarm->talk.path);
    buf_printf(&swarm->talk.path, API "/services/%s", swarm->options.service);
    TRY(talk_get(&swarm->talk, ret_service, problem));
    if (json_int_at(*ret_service, JSON_PATH("Spec", "Mode", "Replicated", "Replicas"), -1) < 0) {
        return problem_set(problem, ERR_CONFIG, "service", "the service %s is not replicated",
                           swarm->options.service);
    }
    return ERR_OK;
}

/* A resize during a rolling update can leave versions mixed. */
static bool is_updating(const struct json_t *service) {
    struct slice state = json_text_at(json_get(service, "UpdateStatus"), "State", SLICE_NONE);
    return slice_eq_text(state, "updating") || slice_eq_text(state, "rollback_started");
}

static enum err_e count_running(struct swarm *swarm, int64_t *ret_running,
                                struct problem *problem) {
    const struct json_t *tasks;
    buf_clear(&swarm->talk.path);
    buf_add_text(&swarm->talk.path, API "/tasks?filters=");
    web_encode(&swarm->talk.path, SLICE_LIT("{\"service\":[\""));
    buf_add_text(&swarm->talk.path, swarm->options.service);
    web_encode(&swarm->talk.path, SLICE_LIT("\"],\"desired-state\":[\"running\"]}"));
    TRY(talk_get(&swarm->talk, &tasks, problem));
    *ret_running = 0;
    for (size_t i = 0; i < json_count(tasks); i++) {
        const struct json_t *status = json_get(json_at(tasks, i), "Status");
        *ret_running += slice_eq_text(json_text_at(status, "State", SLICE_NONE), "running");
    }
    return ERR_OK;
}

static enum err_e look(struct provider *provider, struct provider_state *ret_state,
                       struct problem *problem) {
    struct swarm *swarm = (struct swarm *)provider;
    const struct json_t *service;
    TRY(read_service(swarm, &service, problem));
    ret_state->desired =
        json_int_at(service, JSON_PATH("Spec", "Mode", "Replicated", "Replicas"), 0);
    ret_state->busy = is_updating(service);
    TRY(count_running(swarm, &ret_state->running, problem));
    ret_state->ready = ret_state->running;
    return ERR_OK;
}

/* The specification with another number in it. */
static bool write_update(struct swarm *swarm, int64_t replicas) {
    struct slice spec, number;
    if (!json_span(buf_slice(&swarm->talk.body), JSON_PATH("Spec"), &spec) ||
        !json_span(spec, JSON_PATH("Mode", "Replicated", "Replicas"), &number)) {
        return false;
    }
    size_t before = (size_t)(number.at - spec.at);
    buf_clear(&swarm->body);
    buf_add(&swarm->body, slice_from(spec.at, before));
    buf_add_int(&swarm->body, replicas);
    buf_add(&swarm->body, slice_skip(spec, before + number.len));
    return !swarm->body.failed;
}

static enum err_e send_update(struct swarm *swarm, int64_t version, struct problem *problem) {
    buf_clear(&swarm->talk.path);
    buf_printf(&swarm->talk.path, API "/services/%s/update?version=%" PRId64,
               swarm->options.service, version);
    struct web_request request = {.method = "POST",
                                  .content_type = "application/json",
                                  .body = buf_slice(&swarm->body)};
    enum err_e err = talk_send(&swarm->talk, &request, problem);
    /* 500 "rpc error: … update out of sequence" is how it says that the version is an old one */
    if (err != ERR_OK && talk_says(&swarm->talk, SLICE_LIT("update out of sequence"))) {
        return problem_set(problem, ERR_CONFLICT, "", "the service %s was changed meanwhile",
                           swarm->options.service);
    }
    return err;
}

static enum err_e scale(struct provider *provider, const struct provider_change *change,
                        struct problem *problem) {
    struct swarm *swarm = (struct swarm *)provider;
    const struct json_t *service;
    TRY(read_service(swarm, &service, problem));
    int64_t now = json_int_at(service, JSON_PATH("Spec", "Mode", "Replicated", "Replicas"), 0);
    if (now != change->from || is_updating(service)) {
        return problem_set(problem, ERR_CONFLICT, "",
                           "the service %s has %" PRId64 " replicas%s, decided from %" PRId64,
                           swarm->options.service, now,
                           is_updating(service) ? " and is being updated" : "", change->from);
    }
    int64_t version = json_int_at(service, JSON_PATH("Version", "Index"), -1);
    if (!write_update(swarm, change->to)) {
        return problem_set(problem, ERR_IO, "", "the specification of %s cannot be edited",
                           swarm->options.service);
    }
    return send_update(swarm, version, problem);
}

static void close_it(struct provider *provider) {
    struct swarm *swarm = (struct swarm *)provider;
    talk_fini(&swarm->talk);
    buf_fini(&swarm->body);
    free(swarm);
}

enum err_e provider_open_swarm(const struct swarm_options *options, struct provider **ret_provider,
                               struct problem *problem) {
    static const struct provider_vtable vtable = {"swarm", look, scale, NULL, close_it};
    TRY(provider_check_name(options->service, "service", problem));
    struct swarm *swarm = calloc(1, sizeof *swarm);
    struct web_options web = {
        .base_url = "http://docker",
        .unix_socket = options->socket == NULL ? "/var/run/docker.sock" : options->socket,
        .timeout_ms = options->timeout_ms,
    };
    if (swarm == NULL || !talk_init(&swarm->talk, &web, "Docker")) {
        free(swarm);
        return ERR_NO_MEMORY;
    }
    swarm->base.vtable = &vtable;
    swarm->options = *options;
    buf_init(&swarm->body, WEB_BODY_MAX);
    *ret_provider = &swarm->base;
    return ERR_OK;
}
