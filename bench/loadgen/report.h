/* SPDX-License-Identifier: Apache-2.0 */
/* A run as one line of JSON. Thread: one. */
#ifndef LOADGEN_REPORT_H
#define LOADGEN_REPORT_H

#include "http.h"
#include "run.h"

enum { DOCUMENT_MAX = 128 << 10 };

/* What a node tells of itself, as it answered; empty: it has no such thing. */
struct document {
    size_t len;
    char text[DOCUMENT_MAX];
};

struct outcome {
    bool searched;
    struct found found;
    struct document kpi, performance;
};

void report_read(struct http *http, const char *path, struct document *ret_document);

void report(const struct run *run, const struct outcome *outcome);

#endif
