/* SPDX-License-Identifier: Apache-2.0 */
/* A run as one line of JSON. Thread: one. */
#ifndef LOADGEN_REPORT_H
#define LOADGEN_REPORT_H

#include "http.h"
#include "run.h"

enum { KPI_MAX = 16 << 10 };

struct outcome {
    bool searched;
    struct found found;
    size_t kpi_len;
    char kpi[KPI_MAX]; /* the node's own board, as it answered; empty: it has none */
};

/* Reads the node's board; its length, 0 when there is none. */
size_t report_kpi(struct http *http, char ret_kpi[KPI_MAX]);

void report(const struct run *run, const struct outcome *outcome);

#endif
