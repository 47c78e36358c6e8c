/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes. The scale subresource is patched with a test in front, so the change lands only on
 * the count that was decided from; a plain merge patch would overwrite whatever was there.
 *
 * Whoever else writes the count (an autoscaler, a manifest that is applied with `replicas:`) and
 * this would pull at each other for ever, hence the look for an autoscaler before each change.
 */
#include "act/provider_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"

struct kubernetes {
    struct provider base;
    struct kubernetes_options options;
    struct talk talk;
};

static bool is_deployment(const struct kubernetes *kubernetes) {
    return strcmp(kubernetes->options.kind, "deployment") == 0;
}

static void begin_path(struct kubernetes *kubernetes, const char *behind) {
    buf_clear(&kubernetes->talk.path);
    buf_printf(&kubernetes->talk.path, "/apis/apps/v1/namespaces/%s/%ss/%s%s",
               kubernetes->options.space, kubernetes->options.kind, kubernetes->options.name,
               behind);
}

static bool text_is(const struct json_t *object, const char *key, const char *text) {
    return slice_eq_nocase(json_text_at(object, key, SLICE_NONE), slice_of(text));
}

/* An autoscaler of the same target owns the count. */
static enum err_e check_autoscaler(struct kubernetes *kubernetes, struct problem *problem) {
    const struct json_t *list;
    buf_clear(&kubernetes->talk.path);
    buf_printf(&kubernetes->talk.path,
               "/apis/autoscaling/v1/namespaces/%s/horizontalpodautoscalers",
               kubernetes->options.space);
    enum err_e err = talk_get(&kubernetes->talk, &list, problem);
    if (err == ERR_UNAUTHORIZED) {
        return problem_set(problem, err, "",
                           "Kubernetes does not let this account list horizontalpodautoscalers, so "
                           "it cannot be seen whether one scales %s: grant list",
                           kubernetes->options.name);
    }
    TRY(err);
    const struct json_t *items = json_get(list, "items");
    for (size_t i = 0; i < json_count(items); i++) {
        const struct json_t *target =
            json_at_path(json_at(items, i), JSON_PATH("spec", "scaleTargetRef"));
        if (text_is(target, "kind", kubernetes->options.kind) &&
            text_is(target, "name", kubernetes->options.name)) {
            return problem_set(problem, ERR_CONFIG, "provider",
                               "a HorizontalPodAutoscaler scales %s %s already: remove it, or set "
                               "provider = none",
                               kubernetes->options.kind, kubernetes->options.name);
        }
    }
    return ERR_OK;
}

static enum err_e look(struct provider *provider, struct provider_state *ret_state,
                       struct problem *problem) {
    struct kubernetes *kubernetes = (struct kubernetes *)provider;
    const struct json_t *object;
    begin_path(kubernetes, "");
    TRY(talk_get(&kubernetes->talk, &object, problem));
    int64_t generation = json_int_at(object, JSON_PATH("metadata", "generation"), 0);
    int64_t observed = json_int_at(object, JSON_PATH("status", "observedGeneration"), 0);
    ret_state->desired = json_int_at(object, JSON_PATH("spec", "replicas"), 1);
    ret_state->running = json_int_at(object, JSON_PATH("status", "replicas"), 0);
    ret_state->ready = json_int_at(object, JSON_PATH("status", "readyReplicas"), 0);
    int64_t updated = json_int_at(object, JSON_PATH("status", "updatedReplicas"), 0);
    ret_state->busy = observed < generation || updated < ret_state->running;
    return ERR_OK;
}

/* The pods that go first; a StatefulSet knows only its highest ordinals. */
static enum err_e mark_victims(struct kubernetes *kubernetes, const struct provider_change *change,
                               struct problem *problem) {
    static const char mark[] = "{\"metadata\":{\"annotations\":{"
                               "\"controller.kubernetes.io/pod-deletion-cost\":\"-1000\"}}}";
    for (size_t i = 0; i < change->victims_len && is_deployment(kubernetes); i++) {
        buf_clear(&kubernetes->talk.path);
        buf_printf(&kubernetes->talk.path, "/api/v1/namespaces/%s/pods/%.*s",
                   kubernetes->options.space, SLICE_ARG(change->victims[i]));
        struct web_request request = {.method = "PATCH",
                                      .content_type = "application/merge-patch+json",
                                      .body = slice_of(mark)};
        enum err_e err = talk_send(&kubernetes->talk, &request, problem);
        if (err != ERR_OK && kubernetes->talk.status != 404) { /* 404: it is gone by itself */
            return err;
        }
    }
    return ERR_OK;
}

static enum err_e scale(struct provider *provider, const struct provider_change *change,
                        struct problem *problem) {
    struct kubernetes *kubernetes = (struct kubernetes *)provider;
    char patch[256];
    TRY(check_autoscaler(kubernetes, problem));
    TRY(change->to < change->from ? mark_victims(kubernetes, change, problem) : ERR_OK);
    int len = snprintf(patch, sizeof patch,
                       "[{\"op\":\"test\",\"path\":\"/spec/replicas\",\"value\":%" PRId64 "},"
                       "{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":%" PRId64 "}]",
                       change->from, change->to);
    begin_path(kubernetes, "/scale?fieldManager=turnout");
    struct web_request request = {.method = "PATCH",
                                  .content_type = "application/json-patch+json",
                                  .body = slice_from(patch, (size_t)len)};
    enum err_e err = talk_send(&kubernetes->talk, &request, problem);
    if (err != ERR_OK && kubernetes->talk.status == 422) { /* the test did not hold */
        return problem_set(problem, ERR_CONFLICT, "",
                           "%s no longer has %" PRId64 " replicas: somebody else changed it",
                           kubernetes->options.name, change->from);
    }
    return err;
}

/* A pod's host name is the pod's. A StatefulSet drops its highest ordinal, whoever is named. */
static bool instance(struct provider *provider, const struct provider_node *node,
                     char ret_name[PROVIDER_NAME_MAX + 1]) {
    const struct kubernetes *kubernetes = (struct kubernetes *)provider;
    struct slice rest = node->id;
    struct slice host;
    return strcmp(kubernetes->options.kind, "deployment") == 0 && slice_next(&rest, ':', &host) &&
           slice_to_cstr(host, ret_name, PROVIDER_NAME_MAX + 1);
}

static void close_it(struct provider *provider) {
    struct kubernetes *kubernetes = (struct kubernetes *)provider;
    talk_fini(&kubernetes->talk);
    free(kubernetes);
}

static enum err_e check(const struct kubernetes_options *options, struct problem *problem) {
    TRY(provider_check_name(options->space, "namespace", problem));
    TRY(provider_check_name(options->name, "name", problem));
    if (options->kind == NULL || (strcmp(options->kind, "deployment") != 0 &&
                                  strcmp(options->kind, "statefulset") != 0)) {
        return problem_set(problem, ERR_CONFIG, "kind", "kind is deployment or statefulset");
    }
    return ERR_OK;
}

enum err_e provider_open_kubernetes(const struct kubernetes_options *options,
                                    struct provider **ret_provider, struct problem *problem) {
    static const struct provider_vtable vtable = {"kubernetes", look, scale, instance, close_it};
    TRY(check(options, problem));
    struct kubernetes *kubernetes = calloc(1, sizeof *kubernetes);
    struct web_options web = {
        .base_url = options->url == NULL ? "https://kubernetes.default.svc" : options->url,
        .ca_file = options->ca_file == NULL && options->url == NULL ? SERVICE_ACCOUNT "ca.crt"
                                                                     : options->ca_file,
        .secret_file = options->token_file == NULL ? SERVICE_ACCOUNT "token" : options->token_file,
        .secret_field = "Authorization: Bearer ",
        .timeout_ms = options->timeout_ms,
    };
    if (kubernetes == NULL || !talk_init(&kubernetes->talk, &web, "Kubernetes")) {
        free(kubernetes);
        return ERR_NO_MEMORY;
    }
    kubernetes->base.vtable = &vtable;
    kubernetes->options = *options;
    *ret_provider = &kubernetes->base;
    return ERR_OK;
}
