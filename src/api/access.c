/* SPDX-License-Identifier: Apache-2.0 */
/* Two buffers: one is filled while the other is written. */
#include "api/access.h"

#include "base/assert.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_EVERY_S = 1, NS_PER_S = 1000000000 };

struct access_log {
    char path[PATH_MAX];
    int fd; /* the thread's */
    time_t looked_s;
    pthread_t thread;
    pthread_mutex_t lock; /* held for a copy or a swap, never for a write */
    pthread_cond_t filled, ended; /* ended: on the monotonic clock */
    bool ends, has_ended;
    bool is_left; /* nobody waits for the thread any more: the log is the thread's */
    char *filling, *writing;
    size_t len;         /* of `filling` */
    size_t writing_len; /* taken to be written, maybe in part by now */
};

/* A pipe without a reader is ENXIO, rather than a wait for one. */
MAY_BLOCK static int open_file(const char *path) {
    if (strcmp(path, "-") == 0) {
        return dup(STDOUT_FILENO);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd >= 0 && fcntl(fd, F_SETFL, O_APPEND) != 0) { /* writes wait, on a thread that may */
        close(fd);
        return -1;
    }
    return fd;
}

/* The file that is written may not be the one of that name any more. */
MAY_BLOCK static void follow_rotation(struct access_log *log) {
    struct timespec now;
    struct stat named, held;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (strcmp(log->path, "-") == 0 || now.tv_sec - log->looked_s < LOOK_EVERY_S) {
        return;
    }
    log->looked_s = now.tv_sec;
    bool is_same = stat(log->path, &named) == 0 && fstat(log->fd, &held) == 0 &&
                   named.st_ino == held.st_ino && named.st_dev == held.st_dev;
    int fd = is_same ? -1 : open_file(log->path);
    if (fd >= 0) {
        close(log->fd);
        log->fd = fd;
    }
}

/* What cannot be written is lost, and said. */
MAY_BLOCK static void write_all(struct access_log *log, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t written = write(log->fd, bytes, len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            log_event(LOG_WARN, "access_log_failed", "lost_bytes=%zu reason=\"%s\"", len,
                      strerror(errno));
            return;
        }
        bytes += written;
        len -= (size_t)written;
    }
}

/* Waits for bytes and swaps the buffers. 0: it ends, and nothing is left. */
MAY_BLOCK static size_t take(struct access_log *log) {
    pthread_mutex_lock(&log->lock);
    log->writing_len = 0;
    while (log->len == 0 && !log->ends) {
        pthread_cond_wait(&log->filled, &log->lock);
    }
    char *full = log->filling;
    log->filling = log->writing;
    log->writing = full;
    size_t len = log->writing_len = log->len;
    log->len = 0;
    pthread_mutex_unlock(&log->lock);
    return len;
}

static void free_log(struct access_log *log) {
    if (log->fd >= 0) {
        close(log->fd);
    }
    pthread_cond_destroy(&log->filled);
    pthread_cond_destroy(&log->ended);
    pthread_mutex_destroy(&log->lock);
    free(log->filling);
    free(log->writing);
    free(log);
}

MAY_BLOCK static void end_thread(struct access_log *log) {
    pthread_mutex_lock(&log->lock);
    bool is_left = log->is_left;
    log->has_ended = true;
    pthread_cond_signal(&log->ended);
    pthread_mutex_unlock(&log->lock);
    if (is_left) {
        free_log(log);
    }
}

MAY_BLOCK static void *access_main(void *data) {
    struct access_log *log = data;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "access");
    for (size_t len; (len = take(log)) > 0;) {
        follow_rotation(log);
        write_all(log, log->writing, len);
    }
    end_thread(log);
    return NULL;
}

static void init_locks(struct access_log *log) {
    pthread_condattr_t monotonic;
    ASSERT(pthread_condattr_init(&monotonic) == 0);
    ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_mutex_init(&log->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&log->filled, NULL) == 0);
    ASSERT(pthread_cond_init(&log->ended, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
}

MAY_BLOCK enum err_e access_open(const char *path, struct access_log **ret_log,
                                 struct problem *ret_problem) {
    struct access_log *log = calloc(1, sizeof *log);
    if (log == NULL) {
        return ERR_NO_MEMORY;
    }
    init_locks(log);
    log->filling = malloc(ACCESS_BUFFER);
    log->writing = malloc(ACCESS_BUFFER);
    bool fits = slice_to_cstr(slice_of(path), log->path, sizeof log->path);
    log->fd = fits ? open_file(path) : -1;
    int reason = fits ? errno : ENAMETOOLONG;
    if (log->fd < 0) {
        free_log(log);
        return problem_set(ret_problem, ERR_CONFIG, "log.access", "cannot be opened: %s",
                           reason == ENXIO ? "a pipe that nobody reads" : strerror(reason));
    }
    if (log->filling == NULL || log->writing == NULL ||
        pthread_create(&log->thread, NULL, access_main, log) != 0) {
        free_log(log);
        return problem_set(ret_problem, ERR_NO_MEMORY, "log.access", "no memory or thread for it");
    }
    *ret_log = log;
    return ERR_OK;
}

/* False: what is written stands still, with at most `ret_left` bytes to go. */
MAY_BLOCK static bool end_in_time(struct access_log *log, size_t *ret_left) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ACCESS_CLOSE_MS / 1000;
    until.tv_nsec += ACCESS_CLOSE_MS % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / NS_PER_S;
    until.tv_nsec %= NS_PER_S;
    int waited = 0;
    pthread_mutex_lock(&log->lock);
    log->ends = true;
    pthread_cond_signal(&log->filled);
    while (!log->has_ended && waited == 0) {
        waited = pthread_cond_timedwait(&log->ended, &log->lock, &until);
    }
    bool has_ended = log->has_ended;
    log->is_left = !has_ended;
    *ret_left = log->len + log->writing_len;
    pthread_mutex_unlock(&log->lock);
    return has_ended;
}

MAY_BLOCK void access_close(struct access_log *log) {
    if (log == NULL) {
        return;
    }
    size_t left;
    if (end_in_time(log, &left)) {
        ASSERT(pthread_join(log->thread, NULL) == 0);
        free_log(log);
        return;
    }
    log_event(LOG_WARN, "access_log_left", "after_ms=%d lost_bytes_at_most=%zu", ACCESS_CLOSE_MS,
              left);
    ASSERT(pthread_detach(log->thread) == 0);
}

bool access_write(struct access_log *log, struct slice line) {
    pthread_mutex_lock(&log->lock);
    bool fits = line.len <= ACCESS_BUFFER - log->len;
    if (fits) {
        memcpy(log->filling + log->len, line.at, line.len);
        log->len += line.len;
        pthread_cond_signal(&log->filled);
    }
    pthread_mutex_unlock(&log->lock);
    return fits;
}
