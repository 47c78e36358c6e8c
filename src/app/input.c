/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one piece more than is allowed, to see that it is too much. */
#include "app/input.h"

#include <errno.h>
#include <stdio.h>

enum { PIECE_SIZE = 1 << 16 };

MAY_BLOCK static enum err_e read_all(FILE *file, size_t max, struct buf *to) {
    for (;;) {
        if (!buf_reserve(to, PIECE_SIZE)) {
            return to->len > max ? ERR_TOO_LARGE : ERR_NO_MEMORY;
        }
        size_t got = fread(to->at + to->len, 1, PIECE_SIZE, file);
        to->len += got;
        if (got < PIECE_SIZE) {
            return ferror(file) != 0 ? ERR_IO : to->len > max ? ERR_TOO_LARGE : ERR_OK;
        }
    }
}

MAY_BLOCK enum err_e input_read(const char *path, size_t max, struct buf *ret_text,
                                struct problem *ret_problem) {
    buf_init(ret_text, max + 2 * PIECE_SIZE);
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "rb");
    if (file == NULL) {
        return problem_set(ret_problem, ERR_IO, "", "cannot open it: %s", strerror(errno));
    }
    errno = 0;
    enum err_e err = read_all(file, max, ret_text);
    if (err == ERR_IO) {
        problem_set(ret_problem, err, "", "cannot read it: %s", strerror(errno));
    } else if (err == ERR_TOO_LARGE) {
        problem_set(ret_problem, err, "", "larger than %zu MiB", max >> 20);
    } else if (err != ERR_OK) {
        problem_set(ret_problem, err, "", "it takes too much memory");
    }
    if (!is_stdin) {
        fclose(file);
    }
    return err;
}
