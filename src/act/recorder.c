/* SPDX-License-Identifier: Apache-2.0 */
/* A line is written whole or the recording has ended: nothing is left half in the middle. */
#include "act/recorder.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct recorder {
    int fd; /* -1: it has ended */
    int64_t bytes, bytes_max;
    char path[PATH_MAX];
};

MAY_BLOCK static void give_up(struct recorder *recorder, const char *doing) {
    log_event(LOG_ERROR, "recording_ended", "doing=%s path=\"%s\" reason=\"%s\"", doing,
              recorder->path, strerror(errno));
    if (recorder->fd >= 0) {
        close(recorder->fd);
    }
    recorder->fd = -1;
}

MAY_BLOCK static void begin_file(struct recorder *recorder) {
    char before[PATH_MAX + 2];
    snprintf(before, sizeof before, "%s.1", recorder->path);
    if (rename(recorder->path, before) != 0 && errno != ENOENT) {
        give_up(recorder, "rename");
        return;
    }
    if (recorder->fd >= 0) {
        close(recorder->fd);
    }
    recorder->bytes = 0;
    recorder->fd = open(recorder->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (recorder->fd < 0) {
        give_up(recorder, "open");
    }
}

MAY_BLOCK struct recorder *recorder_open(const char *path, int64_t bytes_max) {
    struct recorder *recorder = calloc(1, sizeof *recorder);
    if (recorder == NULL) {
        return NULL;
    }
    recorder->fd = -1;
    recorder->bytes_max = bytes_max;
    if (!slice_to_cstr(slice_of(path), recorder->path, sizeof recorder->path)) {
        free(recorder);
        return NULL;
    }
    begin_file(recorder);
    return recorder;
}

MAY_BLOCK void recorder_write(struct recorder *recorder, struct slice line) {
    int64_t size = (int64_t)line.len + 1;
    if (recorder->fd >= 0 && recorder->bytes > 0 &&
        recorder->bytes + size > recorder->bytes_max) {
        begin_file(recorder);
    }
    if (recorder->fd < 0) {
        return;
    }
    char end[] = {'\n'};
    struct iovec parts[] = {{(void *)(uintptr_t)line.at, line.len}, {end, sizeof end}};
    ssize_t written = writev(recorder->fd, parts, 2);
    if (written != size) {
        errno = written < 0 ? errno : ENOSPC;
        give_up(recorder, "write");
        return;
    }
    recorder->bytes += size;
}

MAY_BLOCK void recorder_close(struct recorder *recorder) {
    if (recorder != NULL && recorder->fd >= 0) {
        close(recorder->fd);
    }
    free(recorder);
}
