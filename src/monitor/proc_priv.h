/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the kernel's small text files below a root folder, "/" but in tests.
 * Thread: the monitor's.
 */
#ifndef TURNOUT_MONITOR_PROC_PRIV_H
#define TURNOUT_MONITOR_PROC_PRIV_H

#include "base/slice.h"

enum { PROC_PATH_SIZE = 4096 };

/* A whole file of up to 64 KiB (more is cut off, which no file read here reaches but for those
 * whose beginning is enough). Empty when it is not there. The bytes live until the next call. */
struct proc_file {
    char text[64 * 1024];
};
MAY_BLOCK struct slice proc_read(struct proc_file *file, const char *root, const char *path);
/* A file that holds one number; false when it is not there or holds anything else ("max"). */
MAY_BLOCK bool proc_read_number(struct proc_file *file, const char *root, const char *path,
                                uint64_t *ret_value);
/* Open descriptors of this process; -1 when nobody tells. Linux 6.2 has their number as the
 * folder's size; below `root` and on older ones they are counted, which takes time where there are
 * many. */
MAY_BLOCK int64_t proc_count_fds(const char *root);

/* Pure. The word behind `key` on the line that begins with it: "VmRSS:" gives "123" of "VmRSS:  123
 * kB". Empty when there is none. */
struct slice proc_value(struct slice text, const char *key);
/* The next word of `rest`, parted by spaces, tabs and line ends; false at the end. */
bool proc_word(struct slice *rest, struct slice *ret_word);
/* Digits as a number; false for anything else. */
bool proc_number(struct slice word, uint64_t *ret_value);
/* "0-2,5": calls for each number, at most `limit` of them; returns how many. */
size_t proc_list(struct slice text, size_t *ret_numbers, size_t limit);

#endif
