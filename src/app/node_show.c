/* SPDX-License-Identifier: Apache-2.0 */
/* A node's document, from the question to the exit code. */
#include "app/node_show.h"

#include "app/fetch.h"

enum { DOCUMENT_MEMORY = 64 << 20 };

static bool is_ours(const struct json_t *document, const char *const *members) {
    for (; members != NULL && *members != NULL; members++) {
        if (json_get(document, *members) == NULL) {
            return false;
        }
    }
    return true;
}

static int print_json(struct slice body) {
    struct report_json report;
    report_json_begin(&report);
    json_add_raw(&report.json, body);
    return report_json_end(&report);
}

static int print(const struct args *args, const struct node_question *question, struct slice body) {
    struct arena arena;
    struct json_t *document;
    struct problem problem = {.field = ""};
    arena_init(&arena, DOCUMENT_MEMORY);
    int code;
    if (json_parse(&arena, body, &document, &problem) != ERR_OK ||
        !is_ours(document, question->members)) {
        problem_set(&problem, ERR_IO, "", "what answers there is not turnout");
        code = report_failure(args->form, ERR_UNAVAILABLE, &problem);
    } else if (args_has(args, "--json")) {
        code = print_json(body);
    } else {
        code = question->print(args, document);
    }
    arena_fini(&arena);
    return code;
}

static int refuse(const struct args *args, enum err_e err, const struct problem *problem) {
    if (err != ERR_USAGE && err != ERR_CONFIG) {
        return report_failure(args->form, err, problem);
    }
    return args_refuse(args->form, "%s%s%s", problem->field, problem->field[0] == '\0' ? "" : " ",
                       problem->detail);
}

MAY_BLOCK int node_show(const struct args *args, const struct config *config,
                        const struct node_question *question, enum err_e *ret_err) {
    struct problem problem = {.field = ""};
    struct buf body;
    buf_init(&body, FETCH_ANSWER_MAX);
    enum err_e err = question->order == NULL
                         ? node_ask(args, config, question->path, &body, &problem)
                         : node_tell(args, config, question->order, &body, &problem);
    int code = err == ERR_OK ? print(args, question, buf_slice(&body))
                             : refuse(args, err, &problem);
    buf_fini(&body);
    if (ret_err != NULL) {
        *ret_err = err;
    }
    return code;
}
