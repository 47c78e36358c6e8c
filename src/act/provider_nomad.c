/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nomad. There is no compare-and-set for a count, so it is read just before it is written; what
 * remains is the moment between the two. Nomad itself refuses while a deployment runs.
 */
#include "act/provider_priv.h"

#include <inttypes.h>
#include <stdlib.h>

struct nomad {
    struct provider base;
    struct nomad_options options;
    struct talk talk;
    struct buf body; /* of the request */
};

static void begin_path(struct nomad *nomad) {
    buf_clear(&nomad->talk.path);
    buf_printf(&nomad->talk.path, "/v1/job/%s/scale?namespace=%s", nomad->options.job,
               nomad->options.space == NULL ? "default" : nomad->options.space);
}

static enum err_e look(struct provider *provider, struct provider_state *ret_state,
                       struct problem *problem) {
    struct nomad *nomad = (struct nomad *)provider;
    const struct json_t *document;
    begin_path(nomad);
    TRY(talk_get(&nomad->talk, &document, problem));
    const struct json_t *group =
        json_at_path(document, JSON_PATH("TaskGroups", nomad->options.group));
    if (group == NULL) {
        return problem_set(problem, ERR_CONFIG, "group", "the job %s has no task group %s",
                           nomad->options.job, nomad->options.group);
    }
    if (json_is_true_at(document, "JobStopped")) {
        return problem_set(problem, ERR_CONFIG, "job", "the job %s is stopped",
                           nomad->options.job);
    }
    ret_state->desired = json_int_at(group, JSON_PATH("Desired"), 0);
    ret_state->running = json_int_at(group, JSON_PATH("Running"), 0);
    ret_state->ready = json_int_at(group, JSON_PATH("Healthy"), 0);
    return ERR_OK;
}

static void write_request(struct nomad *nomad, const struct provider_change *change) {
    struct json_writer w;
    buf_clear(&nomad->body);
    json_writer_init(&w, &nomad->body);
    json_begin_object(&w);
    json_put_int(&w, "Count", change->to);
    json_key(&w, "Target");
    json_begin_object(&w);
    json_put_cstr(&w, "Group", nomad->options.group);
    json_end_object(&w);
    json_put_text(&w, "Message",
                  change->reason.len == 0 ? SLICE_LIT("turnout") : change->reason);
    json_end_object(&w);
}

static enum err_e scale(struct provider *provider, const struct provider_change *change,
                        struct problem *problem) {
    struct nomad *nomad = (struct nomad *)provider;
    struct provider_state state;
    TRY(look(provider, &state, problem));
    if (state.desired != change->from) {
        return problem_set(problem, ERR_CONFLICT, "",
                           "%s no longer has a count of %" PRId64 ": somebody else changed it",
                           nomad->options.group, change->from);
    }
    write_request(nomad, change);
    begin_path(nomad);
    struct web_request request = {.method = "POST",
                                  .content_type = "application/json",
                                  .body = buf_slice(&nomad->body)};
    enum err_e err = talk_send(&nomad->talk, &request, problem);
    /* "job scaling blocked due to active deployment": wait, it ends by itself */
    if (err != ERR_OK && nomad->talk.status == 400 &&
        talk_says(&nomad->talk, SLICE_LIT("active deployment"))) {
        return problem_set(problem, ERR_CONFLICT, "",
                           "a deployment of %s is under way: Nomad scales after it",
                           nomad->options.job);
    }
    return err;
}

static void close_it(struct provider *provider) {
    struct nomad *nomad = (struct nomad *)provider;
    talk_fini(&nomad->talk);
    buf_fini(&nomad->body);
    free(nomad);
}

enum err_e provider_open_nomad(const struct nomad_options *options, struct provider **ret_provider,
                               struct problem *problem) {
    static const struct provider_vtable vtable = {"nomad", look, scale, NULL, close_it};
    TRY(provider_check_name(options->job, "job", problem));
    TRY(provider_check_name(options->group, "group", problem));
    TRY(options->space == NULL ? ERR_OK
                               : provider_check_name(options->space, "namespace", problem));
    struct nomad *nomad = calloc(1, sizeof *nomad);
    struct web_options web = {
        .base_url = options->url == NULL ? "http://127.0.0.1:4646" : options->url,
        .secret_file = options->token_file,
        .secret_field = "X-Nomad-Token: ",
        .timeout_ms = options->timeout_ms,
    };
    if (nomad == NULL || !talk_init(&nomad->talk, &web, "Nomad")) {
        free(nomad);
        return ERR_NO_MEMORY;
    }
    nomad->base.vtable = &vtable;
    nomad->options = *options;
    buf_init(&nomad->body, 4096);
    *ret_provider = &nomad->base;
    return ERR_OK;
}
