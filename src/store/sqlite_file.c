/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database file without old bytes in what its pages do not use.
 *
 * SQLite overwrites what it deletes (secure_delete), but when it splits or joins pages of a tree it
 * leaves copies of rows that moved in the part of a page that is allocated to nothing; one such
 * copy of an index entry outlived the erasure of its person. So a thin VFS over the default one
 * fills that part with zeros whenever a page is written into the file:
 *
 *   type  first  cells  content                          at the page's start, behind the file's
 *   [1]   [2]    [2]    [2] …                            head in the first page
 *   ├─────────────────────┬───────────────┬─────────────────────┬─────────────────┐
 *   │ head, 8 or 12 bytes │ cell pointers │ allocated to nothing │ content of cells │
 *   └─────────────────────┴───────────────┴─────────────────────┴─────────────────┘
 *   (https://www.sqlite.org/fileformat2.html#b_tree_pages)
 *
 *   1. A page is written as a whole or it is left as it is.
 *   2. Only a page of a tree begins with one of its four types: any other begins with the high byte
 *      of a page number, which is 0 or 1 in a file of PAGES_MAX or a little more. A larger one (64
 *      GiB of usual pages) is left as it is.
 *   3. A file that shrinks by itself (auto_vacuum: the store makes none, but somebody may have) has
 *      pages of pointers that begin with 2 or 5 as well: such a file is left as it is.
 *   4. The log is not changed (its frames have check sums): it is emptied after an erasure.
 */
#include "store/sqlite_priv.h"

#include <string.h>
#include <threads.h>

enum {
    INTERIOR_INDEX = 2,
    INTERIOR_TABLE = 5,
    LEAF_INDEX = 10,
    LEAF_TABLE = 13,
    FILE_HEAD = 100,
    SHRINKS_AT = 52, /* four bytes of the file's head: 0 without auto_vacuum */
    PAGE_MIN = 512,
    PAGE_MAX = 65536,
    PAGES_MAX = 1 << 24,
};

struct clean_file {
    sqlite3_file base;
    sqlite3_int64 size; /* the highest end of a write, or what it was opened with */
    bool is_database;
    bool shrinks;
    /* behind this struct: the real file */
};

static sqlite3_vfs vfs;
static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *file) {
    return (sqlite3_file *)((struct clean_file *)file + 1);
}

/* ── a page ── */

static size_t read_u16(const unsigned char *at) {
    return (size_t)at[0] << 8 | at[1];
}

/* Where the cell pointers begin in a page of this type; 0: it is no page of a tree. */
static size_t head_size(unsigned char type) {
    if (type == LEAF_INDEX || type == LEAF_TABLE) {
        return 8;
    }
    return type == INTERIOR_INDEX || type == INTERIOR_TABLE ? 12 : 0;
}

void sqlite_page_clean(unsigned char *page, size_t len, bool is_first) {
    unsigned char *head = page + (is_first ? FILE_HEAD : 0);
    if (len < PAGE_MIN || head_size(head[0]) == 0) {
        return;
    }
    size_t begin = (size_t)(head - page) + head_size(head[0]) + 2 * read_u16(head + 3);
    size_t end = read_u16(head + 5);
    end = end == 0 ? PAGE_MAX : end;
    if (begin < end && end <= len) {
        memset(page + begin, 0, end - begin);
    }
}

/* ── a file ── */

static bool is_page(int len, sqlite3_int64 at) {
    return len >= PAGE_MIN && len <= PAGE_MAX && (len & (len - 1)) == 0 && at % len == 0;
}

static bool has_any(const unsigned char at[4]) {
    return (at[0] | at[1] | at[2] | at[3]) != 0;
}

static int file_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at) {
    static thread_local unsigned char page[PAGE_MAX];
    struct clean_file *clean = (struct clean_file *)file;
    clean->size = at + len > clean->size ? at + len : clean->size;
    if (clean->is_database && at == 0 && len >= FILE_HEAD) {
        clean->shrinks = has_any((const unsigned char *)from + SHRINKS_AT);
    }
    if (clean->is_database && !clean->shrinks && is_page(len, at) &&
        clean->size / len <= PAGES_MAX) {
        memcpy(page, from, (size_t)len);
        sqlite_page_clean(page, (size_t)len, at == 0);
        from = page;
    }
    return real_of(file)->pMethods->xWrite(real_of(file), from, len, at);
}

static int file_close(sqlite3_file *file) {
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at) {
    return real_of(file)->pMethods->xRead(real_of(file), to, len, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags) {
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

/* Version 2: files are not mapped into memory, which would go past file_write. */
static const sqlite3_io_methods methods = {
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
    struct clean_file *clean = (struct clean_file *)file;
    *clean = (struct clean_file){.is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0};
    int rc = real_vfs->xOpen(real_vfs, path, real_of(file), flags, ret_flags);
    if (real_of(file)->pMethods != NULL) { /* even a file that failed to open is closed */
        clean->base.pMethods = &methods;
    }
    if (rc == SQLITE_OK && clean->is_database) {
        rc = file_size(file, &clean->size);
    }
    if (rc == SQLITE_OK && clean->is_database && clean->size >= FILE_HEAD) {
        unsigned char root[4];
        rc = file_read(file, root, sizeof root, SHRINKS_AT);
        clean->shrinks = rc == SQLITE_OK && has_any(root);
    }
    return rc;
}

static void register_vfs(void) {
    real_vfs = sqlite3_vfs_find(NULL);
    ASSERT(real_vfs != NULL); /* there is one once SQLite is initialized */
    vfs = *real_vfs; /* all but files is its own work */
    vfs.pNext = NULL;
    vfs.zName = "turnout";
    vfs.szOsFile = (int)sizeof(struct clean_file) + real_vfs->szOsFile;
    vfs.xOpen = vfs_open;
    ASSERT(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

int sqlite_file_open(const char *path, int flags, sqlite3 **ret_db) {
    static once_flag once = ONCE_FLAG_INIT;
    int rc = sqlite3_initialize();
    if (rc != SQLITE_OK) { /* without memory; the next call tries again */
        *ret_db = NULL;
        return rc;
    }
    call_once(&once, register_vfs);
    return sqlite3_open_v2(path, ret_db, flags, vfs.zName);
}
