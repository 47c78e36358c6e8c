/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes are a plan or are refused with a reason. A plan that is taken gives a report that is
 * one JSON document, the most severe finding first, each with its message.
 */
#include "base/assert.h"
#include "fuzz.h"
#include "optimizer/explain.h"

enum { ARENA_LIMIT = 1 << 24, REPORT_LIMIT = 1 << 24 };

static void check_findings(const struct explain_report *report) {
    size_t count = 0;
    for (const struct finding *f = report->findings; f != NULL; f = f->next) {
        ASSERT(f->message.len > 0 && f->where.at != NULL && f->evidence.len > 2);
        ASSERT(f->next == NULL || f->severity >= f->next->severity);
        count++;
    }
    ASSERT(count == report->finding_count && count <= EXPLAIN_FINDINGS_MAX);
}

static void check_document(const struct explain_report *report) {
    struct arena arena;
    struct buf text;
    struct json_writer writer;
    struct json_t *value = NULL;
    arena_init(&arena, 4 * (size_t)ARENA_LIMIT);
    buf_init(&text, REPORT_LIMIT);
    json_writer_init(&writer, &text);
    explain_write(&writer, report);
    ASSERT(text.failed || json_parse(&arena, buf_slice(&text), &value, NULL) == ERR_OK);
    buf_fini(&text);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct plan_statement *plan = NULL;
    struct explain_report report;
    struct problem problem = {{0}, {0}};
    arena_init(&arena, ARENA_LIMIT);
    enum err_e err = plan_read(&arena, slice_from((const char *)data, size), &plan, &problem);
    ASSERT((err == ERR_OK) == (problem.detail[0] == '\0'));
    if (err == ERR_OK && explain_judge(&arena, plan, &report) == ERR_OK) {
        check_findings(&report);
        check_document(&report);
    }
    arena_fini(&arena);
    return 0;
}
