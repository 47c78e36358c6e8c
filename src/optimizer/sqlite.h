/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The optimizer's jobs on a SQLite store, in the same words as on PostgreSQL: what SQLite does by
 * itself, or has no need of, is told. Thread: one that may block.
 */
#ifndef TURNOUT_OPTIMIZER_SQLITE_H
#define TURNOUT_OPTIMIZER_SQLITE_H

#include "optimizer/service.h"

/* A connection of its own to the file at `path`. Errors as of db_open and db_analyze. */
MAY_BLOCK enum err_e db_sqlite_run(const char *path, const struct db_options *options,
                                   enum db_job_e job, struct db_report *report,
                                   struct problem *ret_problem) MUST_CHECK;

#endif
