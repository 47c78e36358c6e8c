/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Databases for contract tests, on the server that tests/contract/with-postgres started. They end
 * with the server.
 */
#ifndef TURNOUT_TESTS_CONTRACT_RIG_POSTGRES_H
#define TURNOUT_TESTS_CONTRACT_RIG_POSTGRES_H

#include "rig.h"

enum { RIG_URL_SIZE = 256 };

/* True when the suite runs against PostgreSQL. */
bool rig_is_postgres(void);

/* A libpq string for the database of this name on the suite's server. */
void rig_postgres_url(const char *database, char ret_url[RIG_URL_SIZE]);

/* The program's database, migrated and emptied; one test at a time. */
void rig_postgres_borrow(char ret_url[RIG_URL_SIZE]);
/* A database of the test's own, for what borrowers should not meet: migrated, or without a
 * schema. */
void rig_postgres_create(char ret_url[RIG_URL_SIZE]);
void rig_postgres_create_bare(char ret_url[RIG_URL_SIZE]);

/* Runs a statement, or several, and fails the test when it fails. */
void rig_postgres_exec(const char *url, const char *sql);
/* The first column of the first row as a number; fails the test when there is none. */
int64_t rig_postgres_number(const char *url, const char *sql);

/* stop, start or restart; how: fast or immediate (which is a crash). */
void rig_postgres_server(const char *what, const char *how);

#endif
