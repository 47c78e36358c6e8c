/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of orchestrators and receivers: where a value lies in a document, which is then taken out
 * or replaced. Of any text a span lies within it; of a document that json_parse accepts it is a
 * document itself.
 */
#include "act/json_span.h"
#include "base/assert.h"
#include "base/json.h"
#include "fuzz.h"

static const char *const paths[][5] = {
    {"spec", "replicas", NULL},
    {"status", "readyReplicas", NULL},
    {"Spec", "Mode", "Replicated", "Replicas", NULL},
    {"Version", "Index", NULL},
    {"TaskGroups", NULL},
    {"", NULL},
};

static void look(struct slice text, const char *const *path, bool is_document) {
    struct slice value;
    struct arena arena;
    struct json_t *parsed;
    struct problem problem;
    if (!json_span(text, path, &value)) {
        return;
    }
    ASSERT(value.at >= text.at && value.at + value.len <= text.at + text.len);
    arena_init(&arena, (size_t)16 << 20);
    if (is_document) {
        ASSERT(json_parse(&arena, value, &parsed, &problem) == ERR_OK);
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_from((const char *)data, size);
    struct arena arena;
    struct json_t *parsed;
    struct problem problem;
    arena_init(&arena, (size_t)16 << 20);
    bool is_document = json_parse(&arena, text, &parsed, &problem) == ERR_OK;
    arena_fini(&arena);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        look(text, paths[i], is_document);
    }
    return 0;
}
