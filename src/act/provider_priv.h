/* SPDX-License-Identifier: Apache-2.0 */
/* What the providers share: the table each fills in, an answer that is read into an arena, and the
 * sentences for answers that nobody wants. Inside act. */
#ifndef TURNOUT_ACT_PROVIDER_PRIV_H
#define TURNOUT_ACT_PROVIDER_PRIV_H

#include "act/provider.h"
#include "act/web.h"
#include "base/json.h"

struct provider_vtable {
    const char *name;
    enum err_e (*look)(struct provider *provider, struct provider_state *ret_state,
                       struct problem *problem);
    enum err_e (*scale)(struct provider *provider, const struct provider_change *change,
                        struct problem *problem);
    bool (*instance)(struct provider *provider, const struct provider_node *node,
                     char ret_name[PROVIDER_NAME_MAX + 1]); /* NULL: it can tell of none */
    void (*close)(struct provider *provider);
};
struct provider {
    const struct provider_vtable *vtable;
};

/* 1 to PROVIDER_NAME_MAX of a-z A-Z 0-9 . _ @ - : needs no encoding in a path, is no option. */
bool provider_name_is_good(const char *name);
enum err_e provider_check_name(const char *name, const char *field,
                               struct problem *problem) MUST_CHECK;

/* A conversation in JSON over the web. */
struct talk {
    struct web *web;
    const char *server;  /* as people call it: "Kubernetes" */
    struct buf body;     /* of the last answer */
    struct buf path;
    struct arena arena;  /* of the last document */
    int status;          /* of the last answer */
};
/* False without memory: then nothing is left to fini. */
bool talk_init(struct talk *talk, const struct web_options *options, const char *server);
void talk_fini(struct talk *talk);

/* What was asked must be answered by 2xx; anything else is ERR_CONFLICT (409), ERR_UNAUTHORIZED
 * (401, 403), ERR_CONFIG (404) or ERR_UNAVAILABLE, with the beginning of the server's own words.
 * `talk->status` tells more. The path is in talk->path. */
enum err_e talk_send(struct talk *talk, const struct web_request *request,
                     struct problem *problem) MUST_CHECK;
/* GET, and the answer as a document; ERR_IO when it is none. */
enum err_e talk_get(struct talk *talk, const struct json_t **ret_document,
                    struct problem *problem) MUST_CHECK;

/* Whether the last answer has these words in it. */
bool talk_says(const struct talk *talk, struct slice words);

/* A whole number at the end of a path of members; `missing` when there is none. */
int64_t json_int_at(const struct json_t *value, const char *const *path, int64_t missing);
#define JSON_PATH(...) (const char *const[]){__VA_ARGS__, NULL}
const struct json_t *json_at_path(const struct json_t *value, const char *const *path);

#endif
