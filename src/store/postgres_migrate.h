/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema of the PostgreSQL store: made from nothing and taken forward, beside running nodes.
 * Each version is one transaction: a run that was killed is simply run again. One run at a time: it
 * holds an advisory lock, which it tries for and never waits in.
 *
 * Partitions ahead and the declared indexes (postgres_indexes.h) are the optimizer's: a store works
 * without them, slower, and makes a partition when a record needs it.
 * Thread: any.
 */
#ifndef TURNOUT_STORE_POSTGRES_MIGRATE_H
#define TURNOUT_STORE_POSTGRES_MIGRATE_H

#include "base/err.h"

enum postgres_migrate_mode_e {
    POSTGRES_MIGRATE,
    POSTGRES_MIGRATE_DRY, /* only looks */
};

struct postgres_migrated {
    int from; /* 0: there was no schema */
    int to;   /* the newest that this build knows */
};

/* ERR_NEWER_SCHEMA; ERR_CONFLICT: another run is under way; ERR_OVERLOADED: a lock was not given;
 * ERR_UNAVAILABLE; otherwise the configuration or the database is to be mended. */
MAY_BLOCK enum err_e postgres_migrate(const char *url, enum postgres_migrate_mode_e mode,
                                      struct postgres_migrated *ret_migrated,
                                      struct problem *ret_problem) MUST_CHECK;

#endif
