/* SPDX-License-Identifier: Apache-2.0 */
/* The store: where its file lies, who can read it, and what is in it. */
#include "app/doctor.h"

#include "app/open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MIB (1024LL * 1024)
#define FREE_UNSAFE_BYTES (64 * MIB) /* the write-ahead log alone may take as much */
#define FREE_WARNING_BYTES (1024 * MIB)
#define AHEAD_MAX_MS (5LL * 60 * 1000) /* a record newer than the clock by more: it went back */

/* Where a database loses records (or its locks) though the disk is well: statfs(2) and
 * linux/magic.h. */
static const struct {
    unsigned long magic;
    enum finding_level_e level;
    const char *name;
    const char *mend;
} file_systems[] = {
    {0x6969, FINDING_UNSAFE, "NFS", "use a local disk: SQLite's locks are not safe over a network"},
    {0x517b, FINDING_UNSAFE, "SMB", "use a local disk: SQLite's locks are not safe over a network"},
    {0xff534d42, FINDING_UNSAFE, "CIFS",
     "use a local disk: SQLite's locks are not safe over a network"},
    {0xfe534d42, FINDING_UNSAFE, "SMB2",
     "use a local disk: SQLite's locks are not safe over a network"},
    {0x5346414f, FINDING_UNSAFE, "AFS",
     "use a local disk: SQLite's locks are not safe over a network"},
    {0x00c36400, FINDING_UNSAFE, "CephFS",
     "use a local disk: SQLite's locks are not safe over a network"},
    {0x01021997, FINDING_WARNING, "9P", "use a local disk, or test its locks and its fsync"},
    {0x65735546, FINDING_WARNING, "FUSE", "use a local disk, or test its locks and its fsync"},
    {0x01021994, FINDING_UNSAFE, "tmpfs", "use a disk: a restart of the machine loses everything"},
    {0x858458f6, FINDING_UNSAFE, "ramfs", "use a disk: a restart of the machine loses everything"},
    {0x794c7630, FINDING_WARNING, "overlayfs",
     "use a volume: the records end with the container's writable layer"},
};

/* The folder that holds (or will hold) the file. */
static void folder_of(const char *path, char *ret_folder, size_t size) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        snprintf(ret_folder, size, ".");
    } else {
        int len = slash == path ? 1 : (int)(slash - path);
        snprintf(ret_folder, size, "%.*s", len, path);
    }
}

static void check_file_system(const char *folder, struct findings *findings) {
    struct statfs fs;
    if (statfs(folder, &fs) != 0) {
        findings_add(findings, "file_system", FINDING_UNSAFE,
                     "make the folder, or correct store.url", "%.200s: errno %d", folder, errno);
        return;
    }
    for (size_t i = 0; i < sizeof file_systems / sizeof file_systems[0]; i++) {
        if ((unsigned long)fs.f_type == file_systems[i].magic) {
            findings_add(findings, "file_system", file_systems[i].level, file_systems[i].mend,
                         "%.200s is on %s", folder, file_systems[i].name);
            return;
        }
    }
    findings_add(findings, "file_system", FINDING_OK, NULL, "%.200s is on a local file system",
                 folder);
}

static void check_space(const char *folder, struct findings *findings) {
    struct statvfs space;
    if (statvfs(folder, &space) != 0) {
        return; /* check_file_system said so */
    }
    int64_t bytes = (int64_t)space.f_bavail * (int64_t)space.f_frsize;
    enum finding_level_e level = bytes < FREE_UNSAFE_BYTES    ? FINDING_UNSAFE
                                 : bytes < FREE_WARNING_BYTES ? FINDING_WARNING
                                                              : FINDING_OK;
    findings_add(findings, "free_space", level,
                 level == FINDING_OK ? NULL : "free space: a full disk stops every check-in",
                 "%lld MiB are free in %.200s", (long long)(bytes / MIB), folder);
}

static void check_permissions(const char *path, struct findings *findings) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    bool good = true;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[CONFIG_TEXT_SIZE + 8];
        struct stat st;
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        if (stat(name, &st) != 0) {
            continue;
        }
        if ((st.st_mode & S_IWOTH) != 0) {
            findings_add(findings, "permissions", FINDING_UNSAFE, "chmod o-rwx the file",
                         "everybody may write %.200s", name);
            good = false;
        } else if ((st.st_mode & S_IROTH) != 0) {
            findings_add(findings, "permissions", FINDING_WARNING, "chmod o-rwx the file",
                         "everybody may read the names and addresses in %.200s", name);
            good = false;
        }
    }
    if (good) {
        findings_add(findings, "permissions", FINDING_OK, NULL, "others cannot read the file");
    }
}

static void judge_schema(const struct sqlite_inspection *seen, struct findings *findings) {
    if (seen->schema > seen->schema_known) {
        findings_add(findings, "schema", FINDING_UNSAFE,
                     "run the newer turnout, or restore a backup",
                     "the file has schema %lld, this turnout knows up to %d",
                     (long long)seen->schema, seen->schema_known);
    } else if (seen->schema < seen->schema_known) {
        findings_add(findings, "schema", FINDING_WARNING,
                     "make a backup; the next start brings it forward by itself",
                     "the file has schema %lld of %d", (long long)seen->schema, seen->schema_known);
    } else {
        findings_add(findings, "schema", FINDING_OK, NULL, "schema %d is the newest",
                     seen->schema_known);
    }
}

static void judge_durability(const struct sqlite_inspection *seen, struct findings *findings) {
    enum { SYNCHRONOUS_FULL = 2, SYNCHRONOUS_EXTRA = 3 };
    bool wal = strcmp(seen->journal_mode, "wal") == 0;
    if (!wal) {
        findings_add(findings, "journal", seen->schema == 0 ? FINDING_OK : FINDING_WARNING,
                     "nothing to do: the next start sets WAL", "the journal mode is %s, not WAL",
                     seen->journal_mode[0] == '\0' ? "not set yet" : seen->journal_mode);
    } else if (seen->synchronous == SYNCHRONOUS_FULL || seen->synchronous == SYNCHRONOUS_EXTRA) {
        findings_add(findings, "journal", FINDING_OK, NULL,
                     "WAL with synchronous FULL: what is acknowledged is on the disk");
    } else if (seen->synchronous < 0) {
        findings_add(findings, "journal", FINDING_WARNING, "run doctor as the user of the service",
                     "WAL; the synchronous setting could not be looked at");
    } else {
        findings_add(findings, "journal", FINDING_UNSAFE,
                     "report it with turnout version --json: this build must open with FULL",
                     "synchronous is %d, not FULL: a power cut loses acknowledged scans",
                     seen->synchronous);
    }
}

static void judge_records(const struct sqlite_inspection *seen, const struct config *config,
                          struct findings *findings) {
    int64_t ahead_ms = seen->newest_record_ms == TIME_NONE
                           ? 0
                           : seen->newest_record_ms - clock_wall_ms(clock_system());
    if (ahead_ms > AHEAD_MAX_MS) {
        findings_add(findings, "records", FINDING_UNSAFE,
                     "correct the clock before serving: times of new records would be wrong",
                     "the newest record is %lld s ahead of the clock",
                     (long long)(ahead_ms / 1000));
    } else {
        bool none = seen->newest_record_ms == TIME_NONE;
        findings_add(findings, "records", FINDING_OK, NULL, "%s",
                     none ? "no attendance record yet"
                          : "the newest record is not ahead of the clock");
    }
    bool keys_needed = config->auth_mode == 0;
    if (keys_needed && seen->keys_valid == 0) {
        findings_add(findings, "keys", FINDING_WARNING,
                     "turnout key create --name admin --scope admin",
                     "there is no valid API key: nobody can do anything");
    } else if (keys_needed) {
        findings_add(findings, "keys", FINDING_OK, NULL, "%lld valid API keys",
                     (long long)seen->keys_valid);
    }
}

static void judge(const struct sqlite_inspection *seen, const struct config *config,
                  enum sqlite_depth_e depth, struct findings *findings) {
    if (!seen->is_ours) {
        findings_add(findings, "store", FINDING_UNSAFE, "correct store.url",
                     "the file is a database of another program");
        return;
    }
    findings_add(findings, "store", FINDING_OK, NULL, "the file opens, with SQLite %s",
                 sqlite_library_version());
    judge_schema(seen, findings);
    judge_durability(seen, findings);
    judge_records(seen, config, findings);
    if (seen->damage[0] != '\0') {
        findings_add(findings, "integrity", FINDING_UNSAFE,
                     "stop the service, keep a copy of the file, restore a backup", "%s",
                     seen->damage);
    } else if (depth == SQLITE_QUICK_CHECK) {
        findings_add(findings, "integrity", FINDING_OK, NULL, "quick_check found nothing");
    }
}

static void check_missing(const char *path, const char *folder, struct findings *findings) {
    if (errno != ENOENT) {
        findings_add(findings, "store", FINDING_UNSAFE, "correct the path or its permissions",
                     "%.200s: errno %d", path, errno);
    } else if (access(folder, W_OK | X_OK) != 0) {
        findings_add(findings, "store", FINDING_UNSAFE,
                     "let the service's user write in the folder, or correct store.url",
                     "%.200s is not there and cannot be made: errno %d", path, errno);
    } else {
        findings_add(findings, "store", FINDING_OK, NULL,
                     "%.200s is not there yet: the first start makes it (SQLite %s)", path,
                     sqlite_library_version());
    }
}

void doctor_check_store(const struct config *config, enum sqlite_depth_e depth,
                        struct findings *findings) {
    const char *path = store_sqlite_path(config);
    if (path == NULL) {
        doctor_check_postgres(config, findings);
        return;
    }
    char folder[CONFIG_TEXT_SIZE];
    folder_of(path, folder, sizeof folder);
    check_file_system(folder, findings);
    check_space(folder, findings);
    if (access(path, F_OK) != 0) {
        check_missing(path, folder, findings);
        return;
    }
    check_permissions(path, findings);
    struct sqlite_inspection seen;
    struct problem problem = {0};
    if (access(path, R_OK | W_OK) != 0) {
        findings_add(findings, "store", FINDING_UNSAFE, "give the service's user the file",
                     "this user may not read and write %.200s", path);
    } else if (sqlite_inspect(path, depth, &seen, &problem) != ERR_OK) {
        findings_add(findings, "store", FINDING_UNSAFE,
                     "stop the service, keep a copy of the file, restore a backup", "%s",
                     problem.detail);
    } else {
        judge(&seen, config, depth, findings);
    }
}
