/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind every provider, the one that does nothing, and the conversation in JSON. */
#include "act/provider_priv.h"

#include "base/assert.h"

#include <stdlib.h>

enum { DOCUMENT_MAX = 64 << 20 };

enum err_e provider_look(struct provider *provider, struct provider_state *ret_state,
                         struct problem *ret_problem) {
    *ret_state = (struct provider_state){.busy = false};
    return provider->vtable->look(provider, ret_state, ret_problem);
}

enum err_e provider_scale(struct provider *provider, const struct provider_change *change,
                          struct problem *ret_problem) {
    ASSERT(change->from >= 0 && change->to >= 0 && change->to <= PROVIDER_NODES_MAX);
    for (size_t i = 0; i < change->victims_len; i++) {
        char name[PROVIDER_NAME_MAX + 1];
        if (!slice_to_cstr(change->victims[i], name, sizeof name) ||
            !provider_name_is_good(name)) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, "victims",
                               "an instance's name is 1 to %d of A-Za-z0-9._@-",
                               PROVIDER_NAME_MAX);
        }
    }
    return provider->vtable->scale(provider, change, ret_problem);
}

bool provider_instance(struct provider *provider, const struct provider_node *node,
                       char ret_name[PROVIDER_NAME_MAX + 1]) {
    return provider->vtable->instance != NULL &&
           provider->vtable->instance(provider, node, ret_name) && provider_name_is_good(ret_name);
}

void provider_close(struct provider *provider) {
    if (provider != NULL) {
        provider->vtable->close(provider);
    }
}

const char *provider_name(const struct provider *provider) {
    return provider->vtable->name;
}

bool provider_name_is_good(const char *name) {
    size_t len = name == NULL ? 0 : strlen(name);
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool is_letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && (i == 0 || strchr("._@-", c) == NULL)) {
            return false;
        }
    }
    return len >= 1 && len <= PROVIDER_NAME_MAX;
}

enum err_e provider_check_name(const char *name, const char *field, struct problem *problem) {
    return provider_name_is_good(name)
               ? ERR_OK
               : problem_set(problem, ERR_CONFIG, field,
                             "%s is needed: 1 to %d of A-Za-z0-9._@- that begins with a letter "
                             "or a digit",
                             field, PROVIDER_NAME_MAX);
}

/* --- none --- */

static enum err_e none_look(struct provider *provider, struct provider_state *ret_state,
                            struct problem *problem) {
    (void)provider;
    (void)ret_state;
    return problem_set(problem, ERR_CONFIG, "provider",
                       "no provider is configured, so nobody counts nodes here");
}

static enum err_e none_scale(struct provider *provider, const struct provider_change *change,
                             struct problem *problem) {
    (void)provider;
    return problem_set(problem, ERR_CONFIG, "provider",
                       "no provider is configured: advice only, go from %d to %d nodes by hand",
                       (int)change->from, (int)change->to);
}

static void none_close(struct provider *provider) {
    (void)provider;
}

enum err_e provider_open_none(struct provider **ret_provider, struct problem *problem) {
    static const struct provider_vtable vtable = {"none", none_look, none_scale, NULL, none_close};
    static struct provider none = {&vtable};
    (void)problem;
    *ret_provider = &none;
    return ERR_OK;
}

/* --- talking --- */

bool talk_init(struct talk *talk, const struct web_options *options, const char *server) {
    *talk = (struct talk){.web = web_create(options), .server = server};
    if (talk->web == NULL) {
        return false;
    }
    buf_init(&talk->body, WEB_BODY_MAX);
    buf_init(&talk->path, 4096);
    arena_init(&talk->arena, DOCUMENT_MAX);
    return true;
}

void talk_fini(struct talk *talk) {
    web_destroy(talk->web);
    buf_fini(&talk->body);
    buf_fini(&talk->path);
    arena_fini(&talk->arena);
}

static enum err_e err_of_status(int status) {
    switch (status) {
    case 401:
    case 403: return ERR_UNAUTHORIZED;
    case 404: return ERR_CONFIG;
    case 409: return ERR_CONFLICT;
    default: return ERR_UNAVAILABLE;
    }
}

static enum err_e refuse(const struct talk *talk, struct problem *problem) {
    enum { WORDS_MAX = 150 };
    struct slice words = buf_slice(&talk->body);
    words.len = words.len > WORDS_MAX ? WORDS_MAX : words.len;
    for (size_t i = 0; i < words.len; i++) {
        if (words.at[i] == '\n' || words.at[i] == '\r') {
            words.len = i;
        }
    }
    return problem_set(problem, err_of_status(talk->status), "", "%s answered %d: %.*s",
                       talk->server, talk->status, SLICE_ARG(words));
}

enum err_e talk_send(struct talk *talk, const struct web_request *request,
                     struct problem *problem) {
    struct web_request whole = *request;
    buf_add_char(&talk->path, '\0');
    if (talk->path.failed) {
        return problem_set(problem, ERR_TOO_LARGE, "", "a path to %s is too long", talk->server);
    }
    whole.path = talk->path.at;
    TRY(web_send(talk->web, &whole, &talk->status, &talk->body, problem));
    return talk->status >= 200 && talk->status < 300 ? ERR_OK : refuse(talk, problem);
}

enum err_e talk_get(struct talk *talk, const struct json_t **ret_document,
                    struct problem *problem) {
    /* other programs' documents: any integer, and a key twice is no reason to fail */
    static const struct json_rules rules = {64, JSON_INTEGERS_AS_REALS | JSON_DUPLICATE_KEYS};
    struct json_t *document;
    TRY(talk_send(talk, &(struct web_request){.method = "GET"}, problem));
    arena_reset(&talk->arena);
    if (json_parse_by(&talk->arena, buf_slice(&talk->body), &rules, &document, NULL) != ERR_OK) {
        return problem_set(problem, ERR_IO, "", "%s answered something that is no JSON",
                           talk->server);
    }
    *ret_document = document;
    return ERR_OK;
}

bool talk_says(const struct talk *talk, struct slice words) {
    return talk->body.len > 0 &&
           memmem(talk->body.at, talk->body.len, words.at, words.len) != NULL;
}

const struct json_t *json_at_path(const struct json_t *value, const char *const *path) {
    for (; value != NULL && *path != NULL; path++) {
        value = json_get(value, *path);
    }
    return value;
}

int64_t json_int_at(const struct json_t *value, const char *const *path, int64_t missing) {
    static const double exact_max = 9007199254740992.0; /* 2^53: a count, no id */
    value = json_at_path(value, path);
    if (!json_is_numeric(value)) {
        return missing;
    }
    double number = json_number(value);
    bool is_whole = number >= -exact_max && number <= exact_max &&
                    (double)(int64_t)number == number;
    return is_whole ? (int64_t)number : missing;
}
