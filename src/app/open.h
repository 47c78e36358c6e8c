/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the store that the configuration names, and the lock by which one serving process keeps a
 * SQLite file to itself. Other commands (import, key) may write beside it: SQLite takes turns.
 * Thread: main.
 */
#ifndef TURNOUT_APP_OPEN_H
#define TURNOUT_APP_OPEN_H

#include "app/config.h"
#include "store/store.h"

/* The file behind sqlite:PATH; NULL when store.url names another kind of store. */
const char *store_sqlite_path(const struct config *config);

/* "postgres://user@db/turnout" without its password, "sqlite:turnout.db": fit for logs. */
enum { STORE_SHOWN_SIZE = 256 };
void store_show(const struct config *config, char ret_text[STORE_SHOWN_SIZE]);

/* For whom. On PostgreSQL, who cannot tell nodes through Redis of what it changes moves the mark
 * that they look at: commands, and nodes without Redis. */
enum store_user_e { STORE_FOR_NODE, STORE_FOR_COMMAND };

/* The file is made when it is not there, readable by its owner alone. */
MAY_BLOCK enum err_e store_open(const struct config *config, enum store_user_e user,
                                struct store **ret_store, struct problem *ret_problem) MUST_CHECK;

/* Takes <path>.lock, or says who has it. ERR_CONFLICT: another process serves the file. The lock
 * goes with the process, so a killed one leaves only the file behind, which locks nobody out. */
MAY_BLOCK enum err_e store_lock(const char *path, int *ret_fd,
                                struct problem *ret_problem) MUST_CHECK;
MAY_BLOCK void store_unlock(const char *path, int fd); /* removes the file, too */
/* A lock that another process of this node hands over: both have it until the last one closes it.
 * ERR_CONFIG when it is that of another file than `path`. */
MAY_BLOCK enum err_e store_lock_adopt(const char *path, int fd,
                                      struct problem *ret_problem) MUST_CHECK;
void store_lock_sign(int fd); /* this process is the holder that others are told of */
/* Whether another process holds it now; false also when there is no lock file. */
MAY_BLOCK bool store_is_locked(const char *path);

#endif
