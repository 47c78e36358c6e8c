/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seven key figures: a goal, the value, and how the two compare. Pure.
 *
 *   below a goal of 500:      0 ── met ──► 450 ── at risk ──► 500 ── missed ──►
 *   above a goal of 1000:       ◄─ missed ── 1000 ── at risk ── 1100 ── met ──►
 *
 * A figure that nothing is known of is unknown, never met.
 */
#ifndef TURNOUT_MONITOR_KPI_H
#define TURNOUT_MONITOR_KPI_H

#include "monitor/view.h"

/* X(key, comparison, goal, unit, what the value is) */
#define KPI_TABLE(X)                                                                               \
    X(api_response_ms, BELOW, 500, "ms", "Average answer time of the API over the window.")        \
    X(db_query_ms, BELOW, 100, "ms",                                                               \
      "Average time of a store operation over the window, its wait in the queue included.")        \
    X(cache_hit_rate, ABOVE, 0.85, "ratio",                                                        \
      "Share of look-ups that a cache level answered over the window.")                            \
    X(memory_percent, BELOW, 80, "percent",                                                        \
      "Memory used of the limit that applies to the process.")                                     \
    X(cpu_percent, BELOW, 70, "percent",                                                           \
      "Processor time used of the limit that applies to the process.")                             \
    X(concurrent_users, AT_LEAST, 10000, "connections",                                            \
      "Most connections open at once in the window: the load, not the capacity.")                  \
    X(throughput_tps, AT_LEAST, 1000, "per_second",                                                \
      "Scans decided and writes made in the busiest second of the window: the load, not the "      \
      "capacity.")

#define X(key, comparison, goal, unit, meaning) KPI_##key,
enum kpi_e { KPI_TABLE(X) KPI_COUNT };
#undef X

enum kpi_comparison_e { KPI_BELOW, KPI_ABOVE, KPI_AT_LEAST };

/* X(NAME, word) */
#define KPI_STATUS_TABLE(X)                                                                        \
    X(MET, "met") X(AT_RISK, "at_risk") X(MISSED, "missed") X(UNKNOWN, "unknown")
#define X(name, word) KPI_##name,
enum kpi_status_e { KPI_STATUS_TABLE(X) };
#undef X
const char *kpi_status_text(enum kpi_status_e status);

struct kpi_row {
    const char *key;
    enum kpi_comparison_e comparison;
    double goal;
    const char *unit;
    const char *meaning;
};
const struct kpi_row *kpi_row(enum kpi_e kpi);
const char *kpi_comparison_text(enum kpi_comparison_e comparison); /* "<", ">" or ">=" */

/* `value` NAN: unknown. */
enum kpi_status_e kpi_judge(const struct kpi_row *row, double value);
/* NAN when nobody knows. */
double kpi_value(const struct view *view, enum kpi_e kpi);

#endif
