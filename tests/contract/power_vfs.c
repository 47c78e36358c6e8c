/* SPDX-License-Identifier: Apache-2.0 */
/* The VFS that writes down what happens. */
#include "power_priv.h"

#include "base/assert.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

static const char *const suffixes[POWER_NAMES] = {"", "-journal", "-wal"};
static const int no_file = -1;

struct power_file {
    sqlite3_file base;
    int number; /* no_file: of no interest */
    enum power_name_e name;
    sqlite3_file *real; /* behind this struct */
};

struct power_journal power_journal;
static sqlite3_vfs vfs;
static sqlite3_vfs *real_vfs;
static int (*real_open_directory)(const char *path, int *ret_fd);
static mtx_t lock; /* of all below, and of the journal while it is written */
static bool is_writing_down;
static char watched[256];
static int numbers[POWER_NAMES]; /* the file that has the name now */

/* ── writing down ── */

/* Caller holds the lock. */
static struct power_step *add_step(enum power_step_e kind, enum power_name_e name, int file) {
    struct power_journal *j = &power_journal;
    if (j->len == j->size) {
        j->size = j->size == 0 ? 4096 : 2 * j->size;
        j->steps = realloc(j->steps, j->size * sizeof *j->steps);
        ASSERT(j->steps != NULL);
    }
    struct power_step *step = &j->steps[j->len++];
    *step = (struct power_step){.kind = kind, .name = name, .file = file};
    return step;
}

static void note(const struct power_file *file, const struct power_step *what) {
    mtx_lock(&lock);
    if (is_writing_down && file->number != no_file) {
        struct power_step *step = add_step(what->kind, file->name, file->number);
        step->at = what->at;
        step->len = what->len;
        if (what->bytes != NULL) {
            step->bytes = malloc(what->len);
            ASSERT(step->bytes != NULL);
            memcpy(step->bytes, what->bytes, what->len);
        }
    }
    mtx_unlock(&lock);
}

/* The name that the path has among those watched, or POWER_NAMES. */
static enum power_name_e name_of(const char *path) {
    size_t len = strlen(watched);
    if (path == NULL || len == 0 || strncmp(path, watched, len) != 0) {
        return POWER_NAMES;
    }
    int name = 0;
    while (name < POWER_NAMES && strcmp(path + len, suffixes[name]) != 0) {
        name++;
    }
    return (enum power_name_e)name;
}

static void note_open(struct power_file *file, const char *path) {
    mtx_lock(&lock);
    file->number = no_file;
    file->name = name_of(path);
    if (is_writing_down && file->name != POWER_NAMES) {
        if (numbers[file->name] == no_file) {
            ASSERT(power_journal.files_len < POWER_FILES_MAX);
            numbers[file->name] = power_journal.files_len++;
            (void)add_step(POWER_MAKE, file->name, numbers[file->name]);
        }
        file->number = numbers[file->name];
    }
    mtx_unlock(&lock);
}

static void note_delete(const char *path) {
    mtx_lock(&lock);
    enum power_name_e name = name_of(path);
    if (is_writing_down && name != POWER_NAMES && numbers[name] != no_file) {
        (void)add_step(POWER_DELETE, name, numbers[name]);
        numbers[name] = no_file;
    }
    mtx_unlock(&lock);
}

/* SQLite opens a directory only to sync it, right away. */
static int open_directory(const char *path, int *ret_fd) {
    mtx_lock(&lock);
    if (is_writing_down && power_journal.lie != POWER_LIES_ABOUT_FOLDERS) {
        (void)add_step(POWER_SYNC_ALL_NAMES, POWER_NAMES, no_file);
    }
    mtx_unlock(&lock);
    return real_open_directory(path, ret_fd);
}

/* ── a file ── */

static struct power_file *power_file(sqlite3_file *file) {
    return (struct power_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file) {
    return power_file(file)->real;
}

static int file_close(sqlite3_file *file) {
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at) {
    return real_of(file)->pMethods->xRead(real_of(file), to, len, at);
}

static int file_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at) {
    note(power_file(file), &(struct power_step){.kind = POWER_WRITE,
                                                .at = (size_t)at,
                                                .len = (size_t)len,
                                                .bytes = (unsigned char *)(uintptr_t)from});
    return real_of(file)->pMethods->xWrite(real_of(file), from, len, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    note(power_file(file), &(struct power_step){.kind = POWER_RESIZE, .at = (size_t)size});
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

/* Before the real one: what another thread writes meanwhile is not counted as synced. */
static int file_sync(sqlite3_file *file, int flags) {
    if (power_journal.lie != POWER_LIES_ABOUT_FILES) {
        note(power_file(file), &(struct power_step){.kind = POWER_SYNC});
    }
    return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
    return real_of(file)->pMethods->xFileSize(real_of(file), ret_size);
}

static int file_lock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_lock(sqlite3_file *file, int *ret_locked) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret_locked);
}

static int file_control(sqlite3_file *file, int op, void *arg) {
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int file_sector(sqlite3_file *file) {
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_traits(sqlite3_file *file) {
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret) {
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, ret);
}

static int file_shm_lock(sqlite3_file *file, int at, int count, int flags) {
    return real_of(file)->pMethods->xShmLock(real_of(file), at, count, flags);
}

static void file_shm_barrier(sqlite3_file *file) {
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int deletes) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), deletes);
}

static const sqlite3_io_methods methods = { /* version 2: files are not mapped into memory */
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ── the VFS ── */

static int vfs_open(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags,
                    int *ret_flags) {
    (void)self;
    struct power_file *opened = power_file(file);
    opened->base.pMethods = NULL;
    opened->real = (sqlite3_file *)(opened + 1);
    int rc = real_vfs->xOpen(real_vfs, path, opened->real, flags, ret_flags);
    if (rc == SQLITE_OK) {
        note_open(opened, path);
        opened->base.pMethods = &methods;
    }
    return rc;
}

static int vfs_delete(sqlite3_vfs *self, const char *path, int syncs_folder) {
    (void)self;
    note_delete(path);
    return real_vfs->xDelete(real_vfs, path, syncs_folder);
}

void power_install(void) {
    ASSERT(mtx_init(&lock, mtx_plain) == thrd_success);
    real_vfs = sqlite3_vfs_find("unix");
    ASSERT(real_vfs != NULL);
    /* A table of functions keeps functions as void (*)(void). */
    *(sqlite3_syscall_ptr *)&real_open_directory =
        real_vfs->xGetSystemCall(real_vfs, "openDirectory");
    int rc = real_vfs->xSetSystemCall(real_vfs, "openDirectory",
                                      (sqlite3_syscall_ptr)(void (*)(void))open_directory);
    ASSERT(rc == SQLITE_OK && real_open_directory != NULL);
    vfs = *real_vfs;
    vfs.zName = "power";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct power_file) + real_vfs->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    ASSERT(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

/* ── the files ── */

static void put_file(const char *path, const char *suffix, const struct power_content *content) {
    char name[sizeof watched + 16];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    if (content->at == NULL) {
        (void)unlink(name); /* it may not be there */
        return;
    }
    FILE *file = fopen(name, "wb");
    ASSERT(file != NULL);
    ASSERT(fwrite(content->at, 1, content->len, file) == content->len);
    ASSERT(fclose(file) == 0);
}

void power_put(const struct power_image *image, const char *path, struct rng *rng) {
    enum { SHARED_MEMORY = 32768 };
    static unsigned char rubbish[SHARED_MEMORY];
    struct power_content shared = {rng_below(rng, 2) == 0 ? NULL : rubbish, sizeof rubbish, 0};
    if (shared.at != NULL) {
        rng_fill(rng, rubbish, sizeof rubbish);
    }
    for (int name = 0; name < POWER_NAMES; name++) {
        put_file(path, suffixes[name], &image->files[name]);
    }
    put_file(path, "-shm", &shared);
}

void power_begin(const struct power_image *image, const char *path, enum power_lie_e lie) {
    struct power_journal *j = &power_journal;
    for (size_t i = 0; i < j->len; i++) {
        free(j->steps[i].bytes);
    }
    j->len = 0;
    j->files_len = POWER_NAMES;
    j->image = image;
    j->lie = lie;
    for (int name = 0; name < POWER_NAMES; name++) {
        numbers[name] = image->files[name].at == NULL ? no_file : name;
    }
    int len = snprintf(watched, sizeof watched, "%s", path);
    ASSERT(len > 0 && (size_t)len < sizeof watched);
    power_disk_begin();
    is_writing_down = true;
}

void power_end(void) {
    mtx_lock(&lock);
    is_writing_down = false;
    mtx_unlock(&lock);
}

size_t power_steps(void) {
    mtx_lock(&lock);
    size_t steps = power_journal.len;
    mtx_unlock(&lock);
    return steps;
}
