/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a file. */
#include "act/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

MAY_BLOCK enum err_e secret_read(const char *path, const char *key, char *ret_secret, size_t size,
                                 struct problem *ret_problem) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return problem_set(ret_problem, ERR_CONFIG, key, "cannot open %.120s: %s", path,
                           strerror(errno));
    }
    ssize_t len = read(fd, ret_secret, size);
    close(fd);
    size_t line_len = len <= 0 ? 0 : (size_t)len;
    const char *end = memchr(ret_secret, '\n', line_len);
    line_len = end == NULL ? line_len : (size_t)(end - ret_secret);
    line_len -= line_len > 0 && ret_secret[line_len - 1] == '\r';
    if (line_len == 0) {
        return problem_set(ret_problem, ERR_CONFIG, key, "%.120s has no secret in its first line",
                           path);
    }
    if (line_len >= size) {
        return problem_set(ret_problem, ERR_CONFIG, key,
                           "the first line of %.120s is longer than %zu bytes", path, size - 1);
    }
    ret_secret[line_len] = '\0';
    return ERR_OK;
}
