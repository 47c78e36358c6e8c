/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that power_vfs.c writes down and power_disk.c plays. */
#ifndef TURNOUT_TESTS_CONTRACT_POWER_PRIV_H
#define TURNOUT_TESTS_CONTRACT_POWER_PRIV_H

#include "power_vfs.h"

enum power_step_e {
    POWER_MAKE,   /* a file of this name */
    POWER_DELETE, /* the name */
    POWER_WRITE,
    POWER_RESIZE, /* to `at` bytes */
    POWER_SYNC,   /* the file */
    POWER_SYNC_ALL_NAMES,
};

/* A file keeps its number when its name is deleted; the next of that name has another. */
enum { POWER_FILES_MAX = 256 };

struct power_step {
    enum power_step_e kind;
    enum power_name_e name;
    int file;
    size_t at;
    size_t len;
    unsigned char *bytes; /* of a write */
};

struct power_journal {
    struct power_step *steps;
    size_t len;
    size_t size;
    int files_len;
    const struct power_image *image; /* before the first step; its files are 0..POWER_NAMES-1 */
    enum power_lie_e lie;
};
extern struct power_journal power_journal;

/* Of power_disk.c: a new journal begins. */
void power_disk_begin(void);

#endif
