/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a power cut leaves of a SQLite file.
 *
 * A VFS above SQLite's own writes down, in order, everything that reaches the database, its journal
 * and its log: files made and deleted, writes, changes of size, and what was synced: a file, or the
 * directory (SQLite opens it for nothing else, so a hook on that call sees it). The real code works
 * on real files meanwhile, with its locks and its shared memory.
 *
 * power_cut then says what a disk may hold after any number of these steps:
 *   1. What was written to a file before its last sync is there. SQLite relies on no more.
 *   2. Of what was written after it, each write is there, or not, or parts of it: sectors of 512
 *      bytes, each by itself, or a piece up to any byte. So later writes may survive earlier ones.
 *   3. Bytes outside of a write stay as they were (SQLite's "powersafe overwrite", its default).
 *   4. A file may have grown without its content: then there are zeros or rubbish.
 *   5. A name made or deleted after the directory's last sync may be there or not, each name by
 *      itself; syncing a file does not sync its name.
 *
 * Thread: writing down from any; the rest from one, while no file is open.
 */
#ifndef TURNOUT_TESTS_CONTRACT_POWER_VFS_H
#define TURNOUT_TESTS_CONTRACT_POWER_VFS_H

#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum power_name_e { POWER_DATABASE, POWER_JOURNAL, POWER_LOG, POWER_NAMES };

/* The files of a database. at NULL: there is no such file. */
struct power_content {
    unsigned char *at;
    size_t len;
    size_t size;
};
struct power_image {
    struct power_content files[POWER_NAMES];
};
void power_image_free(struct power_image *image);

/* What does not keep its word: for showing that it would be noticed. */
enum power_lie_e {
    POWER_HONEST,
    POWER_LIES_ABOUT_FILES,   /* a file's sync does nothing */
    POWER_LIES_ABOUT_FOLDERS, /* a directory's does nothing */
};

/* Makes the VFS the default one, once for the process. */
void power_install(void);

/* Puts the image's files at `path`, and rubbish or nothing in place of its shared memory. */
void power_put(const struct power_image *image, const char *path, struct rng *rng);

/* Forgets what was written down, and writes down from here on what happens to the files at `path`,
 * which are those of `image` (borrowed until the next power_begin). */
void power_begin(const struct power_image *image, const char *path, enum power_lie_e lie);
void power_end(void); /* no more is written down */
/* How many steps there are by now. Any thread. */
size_t power_steps(void);

/* What is left when the power fails after so many steps. The calls of one power_begin go by growing
 * `steps`. The caller frees the image. */
void power_cut(size_t steps, struct rng *rng, struct power_image *ret_image);

#endif
