/* SPDX-License-Identifier: Apache-2.0 */
/* From store.url to a store, and the lock of the serving process. */
#include "app/open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_NAME_SIZE = CONFIG_TEXT_SIZE + 8 };

static const char sqlite_prefix[] = "sqlite:";

const char *store_sqlite_path(const struct config *config) {
    size_t len = strlen(sqlite_prefix);
    return strncmp(config->store_url, sqlite_prefix, len) == 0 ? config->store_url + len : NULL;
}

void store_show(const struct config *config, char ret_text[STORE_SHOWN_SIZE]) {
    const char *host = strrchr(config->store_url, '@');
    const char *scheme = strstr(config->store_url, "://");
    if (store_sqlite_path(config) != NULL || host == NULL || scheme == NULL || host < scheme) {
        snprintf(ret_text, STORE_SHOWN_SIZE, "%.*s", STORE_SHOWN_SIZE - 1, config->store_url);
        return;
    }
    int user = (int)strcspn(scheme + 3, ":@");
    snprintf(ret_text, STORE_SHOWN_SIZE, "%.*s://%.*s%.120s", (int)(scheme - config->store_url),
             config->store_url, user < 64 ? user : 64, scheme + 3, host);
}

MAY_BLOCK static enum err_e open_sqlite(const struct config *config, const char *path,
                                        struct store **ret_store, struct problem *ret_problem) {
    umask(077); /* names, addresses and hashes of keys: nobody else's business */
    const struct sqlite_options options = {
        .path = path,
        .clock = clock_system(),
        .rng = rng_system(),
        .queue_max = (size_t)config->store_queue_max,
        .group_max = (size_t)config->store_group_max,
        .readers = (size_t)config->store_readers,
    };
    return sqlite_open(&options, ret_store, ret_problem);
}

enum err_e store_open(const struct config *config, enum store_user_e user,
                      struct store **ret_store, struct problem *ret_problem) {
    const char *path = store_sqlite_path(config);
    if (path != NULL) {
        return open_sqlite(config, path, ret_store, ret_problem);
    }
    const struct postgres_options options = {
        .url = config->store_url,
        .clock = clock_system(),
        .rng = rng_system(),
        .queue_max = (size_t)config->store_queue_max,
        .group_max = (size_t)config->store_group_max,
        .writers = (size_t)config->store_writers,
        .readers = (size_t)config->store_readers,
        .replica_lag_ms = config->store_replica_lag_ms,
        .moves_mark = user == STORE_FOR_COMMAND || config->redis_nodes[0] == '\0',
    };
    return postgres_open(&options, ret_store, ret_problem);
}

static bool lock_path(const char *path, char *ret_path, size_t size) {
    int len = snprintf(ret_path, size, "%s.lock", path);
    return len > 0 && (size_t)len < size;
}

/* The process id that the holder wrote; 0 when there is none. */
static long lock_holder(int fd) {
    char text[32];
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    return strtol(text, NULL, 10);
}

void store_lock_sign(int fd) {
    char text[32];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* Only for the message that a second process prints: the lock holds without it. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        return;
    }
}

/* Whether `fd` is still the file of that name: its last holder may have removed it meanwhile. */
static bool is_still(const char *name, int fd) {
    struct stat here, there;
    return fstat(fd, &here) == 0 && stat(name, &there) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
}

static enum err_e refuse_lock(const char *path, int fd, struct problem *ret_problem) {
    if (errno != EWOULDBLOCK) {
        return problem_set(ret_problem, ERR_IO, "store.url", "cannot lock %.120s: %s", path,
                           strerror(errno));
    }
    return problem_set(ret_problem, ERR_CONFLICT, "store.url",
                       "%.120s is served by another process already (pid %ld): stop it first, or "
                       "use another file",
                       path, lock_holder(fd));
}

enum err_e store_lock(const char *path, int *ret_fd, struct problem *ret_problem) {
    char name[LOCK_NAME_SIZE];
    if (!lock_path(path, name, sizeof name)) {
        return problem_set(ret_problem, ERR_CONFIG, "store.url", "the path is too long");
    }
    for (;;) {
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            return problem_set(ret_problem, ERR_BAD_STORE, "store.url", "cannot open %.120s: %s",
                               name, strerror(errno));
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            enum err_e err = refuse_lock(path, fd, ret_problem);
            close(fd);
            return err;
        }
        if (is_still(name, fd)) {
            store_lock_sign(fd);
            *ret_fd = fd;
            return ERR_OK;
        }
        close(fd);
    }
}

enum err_e store_lock_adopt(const char *path, int fd, struct problem *ret_problem) {
    char name[LOCK_NAME_SIZE];
    if (!lock_path(path, name, sizeof name) || !is_still(name, fd)) {
        return problem_set(ret_problem, ERR_CONFIG, "store.url",
                           "%.120s is not the file of the running process: a takeover keeps the "
                           "store; stop that one and start this",
                           path);
    }
    return ERR_OK;
}

void store_unlock(const char *path, int fd) {
    char name[LOCK_NAME_SIZE];
    if (lock_path(path, name, sizeof name)) {
        unlink(name); /* while it is held: nobody can have taken it in between */
    }
    close(fd);
}

bool store_is_locked(const char *path) {
    char name[LOCK_NAME_SIZE];
    if (!lock_path(path, name, sizeof name)) {
        return false;
    }
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd); /* gives a lock that was free back at once */
    return locked;
}
