/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table's rows as a compressed CSV file that is believed only once it has been read back.
 *
 *     archive_create(folder, name, &archive, &problem); archive_add(archive, line) …
 *     archive_finish(archive, &facts, &problem);   or archive_discard(archive)
 *
 * It is written as FOLDER/NAME.csv.gz.part, synced, read back and compared by length and checksum,
 * and only then takes its name; a half one is never there under it. Readable by its owner alone.
 * Thread: one at a time.
 */
#ifndef TURNOUT_OPTIMIZER_ARCHIVE_H
#define TURNOUT_OPTIMIZER_ARCHIVE_H

#include "base/slice.h"

#include <stdint.h>

struct archive;

struct archive_facts {
    int64_t rows;  /* without the header line */
    int64_t bytes; /* uncompressed */
    int64_t file_bytes;
    uint32_t crc32; /* of the uncompressed bytes, as in the file's own trailer */
};

/* The folder must be there. */
MAY_BLOCK enum err_e archive_create(const char *folder, struct slice name,
                                    struct archive **ret_archive,
                                    struct problem *ret_problem) MUST_CHECK;
/* One line with its line end; the first is the header. A row may hold line ends in quotes, so lines
 * are counted as they are added. */
MAY_BLOCK enum err_e archive_add(struct archive *archive, struct slice line) MUST_CHECK;
/* Frees it in any case; after a failure no file is left. */
MAY_BLOCK enum err_e archive_finish(struct archive *archive, struct archive_facts *ret_facts,
                                    struct problem *ret_problem) MUST_CHECK;
MAY_BLOCK void archive_discard(struct archive *archive); /* NULL: nothing */

#endif
