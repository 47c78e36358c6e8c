/* SPDX-License-Identifier: Apache-2.0 */
/* turnout key: API keys, made and ended where the store is. */
#include "api/api.h"
#include "base/nearest.h"
#include "app/open.h"
#include "app/report.h"
#include "base/assert.h"

#include <stdio.h>

static const struct flag create_flags[] = {
    {"--name", "N", FLAG_OWN, "What the key is for, such as \"north doors\"."},
    {"--scope", "S", FLAG_OWN, "admin, scanner, analyst or metrics."},
    {"--event", "E", FLAG_OWN, "Bind the key to this event's code."},
    FLAG_STORE,
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
static const struct flag shared_flags[] = {FLAG_STORE, FLAG_CONFIG, FLAG_JSON, {0}};

static const struct command_form key_form = {
    .name = "key",
    .usage = "create|list|revoke",
    .summary = "create, list and revoke API keys",
    .details = "A scanner may check people in; an analyst may read and export everything; metrics\n"
               "reads figures; an admin may do all. A key with --event works for that event alone.",
    .flags = shared_flags,
};
static const struct command_form create_form = {
    .name = "key create",
    .usage = "--name N --scope admin|scanner|analyst|metrics [--event E]",
    .summary = "make a key and print it, once",
    .details = "The key alone goes to standard output, so KEY=$(turnout key create …) works. The\n"
               "store keeps a hash of it: a lost key is revoked and made anew.",
    .flags = create_flags,
};
static const struct command_form list_form = {
    .name = "key list",
    .usage = "[--json]",
    .summary = "list the keys, without their secrets",
    .flags = shared_flags,
};
static const struct command_form revoke_form = {
    .name = "key revoke",
    .usage = "ID",
    .summary = "end a key; what it did stays recorded",
    .details = "Running nodes stop taking it within a second.",
    .flags = shared_flags,
    .rest_min = 1,
    .rest_max = 1,
};
static const struct command_form *const forms[] = {&create_form, &list_form, &revoke_form, NULL};

static void put_key(struct json_writer *json, const struct api_key *key, const char *secret) {
    json_begin_object(json);
    json_put_text(json, "id", key->id);
    json_put_text(json, "name", key->name);
    json_put_cstr(json, "scope", key_scope_text(key->scope));
    if (key->event.len > 0) {
        json_put_text(json, "event", key->event);
    } else {
        json_put_null(json, "event");
    }
    json_put_time(json, "created_at", key->created_at_ms);
    json_put_time(json, "revoked_at", key->revoked_at_ms);
    if (secret != NULL) {
        json_put_cstr(json, "key", secret);
    }
    json_end_object(json);
}

static int print_created(const struct api_key *key, const char *secret, const struct args *args) {
    if (args_has(args, "--json")) {
        struct report_json report;
        report_json_begin(&report);
        put_key(&report.json, key, secret);
        return report_json_end(&report);
    }
    fprintf(stderr, "Key %.*s (%s%s%.*s) is made. It is shown this once: keep it safe.\n",
            SLICE_ARG(key->id), key_scope_text(key->scope), key->event.len > 0 ? ", event " : "",
            (int)key->event.len, key->event.len > 0 ? key->event.at : "");
    char line[API_KEY_TEXT_SIZE + 1];
    snprintf(line, sizeof line, "%s\n", secret);
    return report_text(slice_of(line));
}

/* Fills what the caller gave; an exit code other than EXIT_DONE: it was wrong (printed). */
static int read_wishes(const struct args *args, struct api_key *key) {
    const char *name = args_value(args, "--name");
    const char *scope = args_value(args, "--scope");
    const char *event = args_value(args, "--event");
    if (name == NULL || scope == NULL) {
        return args_refuse(args->form, "--name and --scope are needed: %s", args->form->usage);
    }
    key->name = slice_of(name);
    key->event = slice_of(event);
    if (key->name.len == 0 || !text_is_valid(key->name, NAME_MAX_CHARS)) {
        return args_refuse(args->form, "--name takes 1 to %d characters", NAME_MAX_CHARS);
    }
    if (event != NULL && !code_is_valid(key->event)) {
        return args_refuse(args->form, "--event takes an event's code: 1 to 64 of A-Za-z0-9._-");
    }
    if (!key_scope_parse(slice_of(scope), &key->scope)) {
        struct nearest nearest;
        nearest_init(&nearest, slice_of(scope));
        for (int i = 0; i < SCOPE_COUNT; i++) {
            nearest_offer(&nearest, key_scope_text((enum key_scope_e)i));
        }
        return args_refuse(args->form, "--scope takes admin, scanner, analyst or metrics%s%s",
                           nearest.best == NULL ? "" : ": did you mean ",
                           nearest.best == NULL ? "" : nearest.best);
    }
    return EXIT_DONE;
}

MAY_BLOCK static int create_key(struct store *store, const struct args *args) {
    struct store_op op;
    char secret[API_KEY_TEXT_SIZE];
    store_op_init(&op, STORE_CREATE_KEY);
    struct arena arena;
    arena_init(&arena, STORE_OP_MEMORY);
    api_key_make(rng_system(), &arena, &op.key, secret);
    int code = read_wishes(args, &op.key);
    if (code == EXIT_DONE) {
        enum err_e err = store_run(store, &op);
        code = err == ERR_OK ? print_created(&op.key, secret, args)
                             : report_failure(args->form, err, &op.problem);
    }
    store_op_fini(&op);
    arena_fini(&arena);
    return code;
}

static int print_keys(const struct store_op *op, const struct args *args) {
    if (args_has(args, "--json")) {
        struct report_json report;
        report_json_begin(&report);
        json_begin_object(&report.json);
        json_key(&report.json, "items");
        json_begin_array(&report.json);
        for (size_t i = 0; i < op->keys.len; i++) {
            put_key(&report.json, &op->keys.items[i], NULL);
        }
        json_end_array(&report.json);
        json_end_object(&report.json);
        return report_json_end(&report);
    }
    struct buf text;
    buf_init(&text, REPORT_MAX);
    buf_printf(&text, "%-16s %-8s %-16s %-24s %-8s %s\n", "ID", "SCOPE", "EVENT", "CREATED",
               "STATE", "NAME");
    for (size_t i = 0; i < op->keys.len; i++) {
        const struct api_key *key = &op->keys.items[i];
        char created[TIME_TEXT_SIZE];
        time_format(key->created_at_ms, created);
        struct slice event = key->event.len > 0 ? key->event : SLICE_LIT("(every)");
        buf_printf(&text, "%-16.*s %-8s %-16.*s %-24s %-8s %.*s\n", SLICE_ARG(key->id),
                   key_scope_text(key->scope), SLICE_ARG(event), created,
                   key->revoked_at_ms == TIME_NONE ? "valid" : "revoked", SLICE_ARG(key->name));
    }
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

MAY_BLOCK static int list_keys(struct store *store, const struct args *args) {
    struct store_op op;
    store_op_init(&op, STORE_LIST_KEYS);
    enum err_e err = store_run(store, &op);
    int code = err == ERR_OK ? print_keys(&op, args) : report_failure(args->form, err, &op.problem);
    store_op_fini(&op);
    return code;
}

/* The id of "tk_ID.SECRET", "tk_ID" and "ID": people paste what they have. */
static struct slice key_id_of(const char *text) {
    struct slice id = slice_of(text);
    struct slice prefix = SLICE_LIT("tk_");
    id = slice_starts_with(id, prefix) ? slice_skip(id, prefix.len) : id;
    struct slice part = SLICE_NONE;
    return slice_next(&id, '.', &part) ? part : SLICE_NONE;
}

MAY_BLOCK static int revoke_key(struct store *store, const struct args *args) {
    struct store_op op;
    store_op_init(&op, STORE_REVOKE_KEY);
    op.key.id = key_id_of(args->rest[0]);
    enum err_e err = store_run(store, &op);
    int code;
    if (err != ERR_OK) {
        code = report_failure(args->form, err, &op.problem);
    } else if (args_has(args, "--json")) {
        struct report_json report;
        report_json_begin(&report);
        put_key(&report.json, &op.key, NULL);
        code = report_json_end(&report);
    } else {
        printf("Key %.*s is revoked.\n", SLICE_ARG(op.key.id));
        code = EXIT_DONE;
    }
    store_op_fini(&op);
    return code;
}

static const struct {
    const struct command_form *form;
    int (*run)(struct store *store, const struct args *args);
} runs[] = {{&create_form, create_key}, {&list_form, list_keys}, {&revoke_form, revoke_key}};

MAY_BLOCK static int run_form(struct store *store, const struct args *args) {
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (runs[i].form == args->form) {
            return runs[i].run(store, args);
        }
    }
    UNREACHABLE();
}

MAY_BLOCK static int with_store(const struct args *args, const struct config *config) {
    struct store *store;
    struct problem problem = {0};
    enum err_e err = store_open(config, STORE_FOR_COMMAND, &store, &problem);
    if (err != ERR_OK) {
        return report_failure(args->form, err, &problem);
    }
    int code = run_form(store, args);
    store_close(store);
    return code;
}

int cmd_key(int argc, char **argv) {
    int code;
    const struct command_form *form = forms_pick(&key_form, forms, argc, argv, &code);
    if (form == NULL) {
        return code;
    }
    struct args args;
    struct config config;
    enum flags_e flags = flags_parse(form, argc - 1, argv + 1, &args);
    if (flags != FLAGS_GOOD) {
        return flags == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (form == &create_form) { /* a wrong call makes no store */
        struct api_key wishes;
        code = read_wishes(&args, &wishes);
        if (code != EXIT_DONE) {
            return code;
        }
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    code = with_store(&args, &config);
    config_fini(&config);
    return code;
}
