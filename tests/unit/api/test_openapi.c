/* SPDX-License-Identifier: Apache-2.0 */
/* The document and the table of routes say the same. */
#include "api/api.h"
#include "api/routes.h"
#include "base/json.h"

#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct arena arena;
static struct json_t *document;

static int parse_document(void **state) {
    (void)state;
    struct problem problem;
    arena_init(&arena, 16 << 20);
    return json_parse(&arena, api_openapi(), &document, &problem) == ERR_OK ? 0 : -1;
}

static int free_document(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void every_route_is_in_the_document_under_its_operation(void **state) {
    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *route = route_at(i);
        char method[8] = "";
        for (size_t c = 0; route->method[c] != '\0'; c++) {
            method[c] = (char)tolower((unsigned char)route->method[c]);
        }
        const struct json_t *path = json_get(json_get(document, "paths"), route->path);
        const struct json_t *operation = path == NULL ? NULL : json_get(path, method);
        if (operation == NULL) {
            fail_msg("openapi.json does not have %s %s", route->method, route->path);
        }
        assert_true(slice_eq_text(json_text(json_get(operation, "operationId")),
                                  route->operation));
        bool has_body = json_get(operation, "requestBody") != NULL;
        assert_int_equal(has_body, route->body != BODY_NONE);
        bool is_open = json_get(operation, "security") != NULL;
        assert_int_equal(is_open, (route->may & MAY_OPEN) != 0);
    }
}

static bool count_operation(struct slice key, const struct json_t *value, void *data) {
    (void)value;
    size_t *count = data;
    *count += !slice_eq_text(key, "parameters");
    return true;
}

static bool count_path(struct slice key, const struct json_t *value, void *data) {
    (void)key;
    json_each(value, count_operation, data);
    return true;
}

static void the_document_has_no_other_routes(void **state) {
    (void)state;
    size_t count = 0;
    json_each(json_get(document, "paths"), count_path, &count);
    assert_int_equal(count, route_count());
}

/* "#/components/schemas/Event" leads somewhere. */
static bool check_refs(struct slice key, const struct json_t *value, void *data);

static void check_value(const struct json_t *value) {
    if (json_kind(value) == JSON_KIND_OBJECT) {
        json_each(value, check_refs, NULL);
    }
    for (size_t i = 0; json_kind(value) == JSON_KIND_ARRAY && i < json_count(value); i++) {
        check_value(json_at(value, i));
    }
}

static bool check_refs(struct slice key, const struct json_t *value, void *data) {
    (void)data;
    if (!slice_eq_text(key, "$ref")) {
        check_value(value);
        return true;
    }
    struct slice rest = slice_skip(json_text(value), 2), part;
    const struct json_t *at = document;
    while (at != NULL && slice_next(&rest, '/', &part)) {
        char name[64];
        assert_true(slice_to_cstr(part, name, sizeof name));
        at = json_get(at, name);
    }
    if (at == NULL) {
        fail_msg("%.*s leads nowhere", SLICE_ARG(json_text(value)));
    }
    return true;
}

static void every_reference_leads_somewhere(void **state) {
    (void)state;
    check_value(document);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_in_the_document_under_its_operation),
        cmocka_unit_test(the_document_has_no_other_routes),
        cmocka_unit_test(every_reference_leads_somewhere),
    };
    return cmocka_run_group_tests(tests, parse_document, free_document);
}
