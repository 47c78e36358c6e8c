/* SPDX-License-Identifier: Apache-2.0 */
/* Small text files, and taking them apart. */
#include "monitor/proc_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool join(char ret_path[PROC_PATH_SIZE], const char *root, const char *path) {
    int len = snprintf(ret_path, PROC_PATH_SIZE, "%s%s", root, path);
    return len > 0 && len < PROC_PATH_SIZE;
}

MAY_BLOCK struct slice proc_read(struct proc_file *file, const char *root, const char *path) {
    char full[PROC_PATH_SIZE];
    int fd = join(full, root, path) ? open(full, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return SLICE_NONE;
    }
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < sizeof file->text) {
        got = read(fd, file->text + len, sizeof file->text - len);
        len += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    return got < 0 ? SLICE_NONE : slice_from(file->text, len);
}

MAY_BLOCK bool proc_read_number(struct proc_file *file, const char *root, const char *path,
                                uint64_t *ret_value) {
    struct slice rest = proc_read(file, root, path), word;
    return proc_word(&rest, &word) && proc_number(word, ret_value);
}

MAY_BLOCK int64_t proc_count_fds(const char *root) {
    static const char path[] = "/proc/self/fd";
    char full[PROC_PATH_SIZE];
    struct stat found;
    if (root[0] == '\0' && stat(path, &found) == 0 && found.st_size > 0) {
        return (int64_t)found.st_size;
    }
    DIR *folder = join(full, root, path) ? opendir(full) : NULL;
    if (folder == NULL) {
        return -1;
    }
    int64_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

bool proc_word(struct slice *rest, struct slice *ret_word) {
    if (rest->len == 0) {
        return false;
    }
    size_t at = 0;
    while (at < rest->len && memchr(" \t\n", rest->at[at], 3) != NULL) {
        at++;
    }
    size_t end = at;
    while (end < rest->len && memchr(" \t\n", rest->at[end], 3) == NULL) {
        end++;
    }
    *ret_word = slice_from(rest->at + at, end - at);
    *rest = slice_skip(*rest, end);
    return end > at;
}

struct slice proc_value(struct slice text, const char *key) {
    struct slice line, word;
    while (slice_next(&text, '\n', &line)) {
        if (proc_word(&line, &word) && slice_eq_text(word, key) && proc_word(&line, &word)) {
            return word;
        }
    }
    return SLICE_NONE;
}

bool proc_number(struct slice word, uint64_t *ret_value) {
    uint64_t value = 0;
    for (size_t i = 0; i < word.len; i++) {
        unsigned digit = (unsigned char)word.at[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *ret_value = value;
    return word.len > 0;
}

size_t proc_list(struct slice text, size_t *ret_numbers, size_t limit) {
    size_t len = 0;
    struct slice part;
    while (slice_next(&text, ',', &part)) {
        struct slice low;
        uint64_t first, last;
        if (!slice_next(&part, '-', &low) || !proc_number(low, &first)) {
            return len;
        }
        if (part.len == 0) {
            last = first;
        } else if (!proc_number(part, &last)) {
            return len;
        }
        for (uint64_t at = first; at <= last && len < limit; at++) {
            ret_numbers[len++] = (size_t)at;
        }
    }
    return len;
}
