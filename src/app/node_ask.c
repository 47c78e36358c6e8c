/* SPDX-License-Identifier: Apache-2.0 */
/* A question to a running node, with the flags that say where it is and who asks. */
#include "app/node_ask.h"

#include "app/fetch.h"
#include "app/node.h"
#include "base/json.h"

#include <stdio.h>

enum { TIMEOUT_S = 5, KEY_SIZE = 256, DOCUMENT_MEMORY = 1 << 20 };

static enum err_e read_key(const char *given, char ret_key[KEY_SIZE], struct problem *problem) {
    struct slice key = slice_of(given);
    char line[KEY_SIZE] = "";
    if (given[0] == '@') {
        FILE *file = fopen(given + 1, "r");
        bool is_read = file != NULL && fgets(line, sizeof line, file) != NULL;
        if (file != NULL) {
            fclose(file);
        }
        if (!is_read) {
            return problem_set(problem, ERR_IO, "--key", "%s cannot be read", given + 1);
        }
        key = slice_from(line, strcspn(line, "\r\n"));
    }
    for (size_t i = 0; i < key.len; i++) {
        if (key.at[i] <= ' ' || key.at[i] > '~') { /* it becomes part of a header line */
            return problem_set(problem, ERR_USAGE, "--key", "is not a key: tk_ID.SECRET");
        }
    }
    return slice_to_cstr(key, ret_key, KEY_SIZE)
               ? ERR_OK
               : problem_set(problem, ERR_USAGE, "--key", "is too long to be a key");
}

static void find_url(const struct config *config, char ret_url[NODE_URL_SIZE]) {
    struct slice listen = slice_of(config->server_listen);
    size_t colon = listen.len;
    while (colon > 0 && listen.at[colon - 1] != ':') {
        colon--;
    }
    int64_t port = 0;
    (void)slice_to_int(slice_skip(listen, colon), 0, 65535, &port); /* checked with the config */
    node_url(listen, (int)port, ret_url);
}

/* The node's own words for what it refuses. */
static enum err_e refuse(int status, struct slice body, struct problem *problem) {
    struct arena arena;
    struct json_t *document;
    struct problem ignored;
    arena_init(&arena, DOCUMENT_MEMORY);
    if (json_parse(&arena, body, &document, &ignored) != ERR_OK) {
        document = NULL;
    }
    struct slice code = json_text_at(document, "code", SLICE_NONE);
    struct slice field = json_text_at(document, "field", SLICE_NONE);
    struct slice words = json_text_at(document, "detail", SLICE_NONE);
    words = words.len == 0 ? json_text_at(document, "title", SLICE_NONE) : words;
    bool is_known = code.len > 0 && words.len > 0;
    problem_set(problem, ERR_IO, "", "the node answers %d%s%.*s%s%.*s%s%.*s", status,
                is_known ? " " : "", SLICE_ARG(code), is_known ? ": " : "", SLICE_ARG(field),
                field.len > 0 ? " " : "", SLICE_ARG(words));
    arena_fini(&arena);
    return ERR_UNAVAILABLE;
}

MAY_BLOCK static enum err_e exchange(const struct args *args, const struct config *config,
                                     struct fetch fetch, struct buf *ret_body,
                                     struct problem *problem) {
    char url[NODE_URL_SIZE], key[KEY_SIZE];
    const char *given_key = args_value(args, "--key");
    find_url(config, url);
    fetch.url = args_value(args, "--url");
    fetch.url = fetch.url == NULL ? url : fetch.url;
    fetch.timeout_s = TIMEOUT_S;
    if (given_key != NULL) {
        TRY(read_key(given_key, key, problem));
        fetch.key = key;
    }
    int status;
    TRY(fetch_get(&fetch, &status, ret_body, problem));
    return status / 100 == 2 ? ERR_OK : refuse(status, buf_slice(ret_body), problem);
}

MAY_BLOCK enum err_e node_ask(const struct args *args, const struct config *config,
                              const char *path, struct buf *ret_body, struct problem *problem) {
    return exchange(args, config, (struct fetch){.path = path}, ret_body, problem);
}

MAY_BLOCK enum err_e node_tell(const struct args *args, const struct config *config,
                               const struct node_order_text *order, struct buf *ret_body,
                               struct problem *problem) {
    const struct fetch fetch = {.path = order->path,
                                .method = order->method == NULL ? "POST" : order->method,
                                .body = order->body};
    return exchange(args, config, fetch, ret_body, problem);
}
