/* SPDX-License-Identifier: Apache-2.0 */
/* A program of the operator's: for every platform that has no provider of its own. */
#include "act/child.h"
#include "act/provider_priv.h"

#include <stdlib.h>

enum { EXIT_CONFLICT = 75, COMPLAINT_MAX = 4096, REQUEST_MAX = 1 << 20, DOCUMENT_MAX = 8 << 20 };

struct command {
    struct provider base;
    struct command_options options;
    struct buf request, output, complaint;
    struct arena arena;
};

static struct slice first_line(const struct buf *text) {
    struct slice rest = buf_slice(text);
    struct slice line = SLICE_LIT("it says nothing on standard error");
    slice_next(&rest, '\n', &line);
    line.len = line.len > 150 ? 150 : line.len;
    return line;
}

static enum err_e run(struct command *command, struct problem *problem) {
    int code;
    struct child_run run = {.argv = (const char *const[]){command->options.program, NULL},
                            .input = buf_slice(&command->request),
                            .timeout_ms = command->options.timeout_ms,
                            .output = &command->output,
                            .complaint = &command->complaint};
    TRY(child_run(&run, &code, problem));
    struct slice why = first_line(&command->complaint);
    if (code == 0) {
        return ERR_OK;
    }
    return problem_set(problem, code == EXIT_CONFLICT ? ERR_CONFLICT : ERR_UNAVAILABLE, "",
                       "%.60s ended with %d: %.*s", command->options.program, code,
                       SLICE_ARG(why));
}

/* Counts that make sense, and `busy` if it is there. */
static enum err_e read_state(struct command *command, struct provider_state *ret_state,
                             struct problem *problem) {
    struct json_t *document;
    arena_reset(&command->arena);
    enum err_e err =
        json_parse(&command->arena, buf_slice(&command->output), &document, NULL);
    if (err == ERR_OK) {
        ret_state->desired = json_int_at(document, JSON_PATH("desired"), -1);
        ret_state->running = json_int_at(document, JSON_PATH("running"), -1);
        ret_state->ready = json_int_at(document, JSON_PATH("ready"), -1);
        ret_state->busy = json_is_true_at(document, "busy");
    }
    if (err != ERR_OK || ret_state->desired < 0 || ret_state->running < 0 ||
        ret_state->ready < 0) {
        return problem_set(problem, ERR_IO, "",
                           "%.60s must answer {\"desired\":n,\"running\":n,\"ready\":n}",
                           command->options.program);
    }
    return ERR_OK;
}

static enum err_e look(struct provider *provider, struct provider_state *ret_state,
                       struct problem *problem) {
    struct command *command = (struct command *)provider;
    buf_clear(&command->request);
    buf_add_text(&command->request, "{\"action\":\"look\"}\n");
    TRY(run(command, problem));
    return read_state(command, ret_state, problem);
}

static enum err_e scale(struct provider *provider, const struct provider_change *change,
                        struct problem *problem) {
    struct command *command = (struct command *)provider;
    struct json_writer w;
    buf_clear(&command->request);
    json_writer_init(&w, &command->request);
    json_begin_object(&w);
    json_put_cstr(&w, "action", "scale");
    json_put_int(&w, "from", change->from);
    json_put_int(&w, "to", change->to);
    json_key(&w, "victims");
    json_begin_array(&w);
    for (size_t i = 0; i < change->victims_len; i++) {
        json_add_text(&w, change->victims[i]);
    }
    json_end_array(&w);
    json_put_text(&w, "reason", change->reason);
    json_end_object(&w);
    buf_add_char(&command->request, '\n');
    return command->request.failed ? ERR_NO_MEMORY : run(command, problem);
}

/* The operator's program knows nodes as they call themselves, with _ for the colon. */
static bool instance(struct provider *provider, const struct provider_node *node,
                     char ret_name[PROVIDER_NAME_MAX + 1]) {
    (void)provider;
    if (!slice_to_cstr(node->id, ret_name, PROVIDER_NAME_MAX + 1)) {
        return false;
    }
    for (char *at = ret_name; *at != '\0'; at++) {
        *at = *at == ':' ? '_' : *at;
    }
    return true;
}

static void close_it(struct provider *provider) {
    struct command *command = (struct command *)provider;
    buf_fini(&command->request);
    buf_fini(&command->output);
    buf_fini(&command->complaint);
    arena_fini(&command->arena);
    free(command);
}

enum err_e provider_open_command(const struct command_options *options,
                                 struct provider **ret_provider, struct problem *problem) {
    static const struct provider_vtable vtable = {"command", look, scale, instance, close_it};
    if (options->program == NULL || options->program[0] != '/') {
        return problem_set(problem, ERR_CONFIG, "program",
                           "program is the absolute path of a program");
    }
    struct command *command = calloc(1, sizeof *command);
    if (command == NULL) {
        return ERR_NO_MEMORY;
    }
    command->base.vtable = &vtable;
    command->options = *options;
    buf_init(&command->request, REQUEST_MAX);
    buf_init(&command->output, CHILD_OUTPUT_MAX);
    buf_init(&command->complaint, COMPLAINT_MAX);
    arena_init(&command->arena, DOCUMENT_MAX);
    *ret_provider = &command->base;
    return ERR_OK;
}
