/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a PostgreSQL store from outside, beside nodes that serve it: nothing is written or
 * migrated. For `turnout doctor`. Thread: any.
 */
#ifndef TURNOUT_STORE_POSTGRES_INSPECT_H
#define TURNOUT_STORE_POSTGRES_INSPECT_H

#include "base/clock.h"

enum { POSTGRES_SETTING_SIZE = 64 };

struct postgres_inspection {
    char version[POSTGRES_SETTING_SIZE]; /* of the server, such as "15.6" */
    int schema;                          /* 0: there is none; then the rest but settings is zero */
    int schema_known;                    /* the newest that this build knows */
    bool fsync, full_page_writes;
    char synchronous_commit[POSTGRES_SETTING_SIZE]; /* the database's default */
    char synchronous_standbys[POSTGRES_SETTING_SIZE]; /* synchronous_standby_names */
    bool names_several_hosts;  /* the address */
    bool sees_standbys;        /* whether this role may see them: pg_monitor */
    int64_t standbys;          /* that stream now */
    int64_t standbys_synchronous; /* of them: commits wait for these, or for some of these */
    int64_t connections_free;  /* that ordinary users can still open */
    int64_t server_ms;         /* its clock, and ours at the same moment */
    int64_t here_ms;
    int64_t partitions_until_ms; /* the last partition's end; TIME_NONE: none */
    int64_t indexes_invalid;
    int64_t newest_record_ms; /* TIME_NONE: none */
    int64_t keys_valid;
};

/* Errors as of postgres_open; a missing or newer schema is none here. */
MAY_BLOCK enum err_e postgres_inspect(const char *url, struct clock *clock,
                                      struct postgres_inspection *ret_seen,
                                      struct problem *ret_problem) MUST_CHECK;

#endif
