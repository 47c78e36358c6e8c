/* SPDX-License-Identifier: Apache-2.0 */
/* Gzip by zlib, and a second look at what was written. */
#include "optimizer/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { PATH_SIZE = 1200, PIECE = 1 << 16 };

struct archive {
    char folder[PATH_SIZE], path[PATH_SIZE], part[PATH_SIZE];
    gzFile file;
    int fd; /* of the same file, for syncing it */
    int64_t lines, bytes;
    uLong crc;
};

static enum err_e refuse(struct archive *archive, const char *what, struct problem *ret_problem) {
    enum err_e err = errno == ENOSPC ? ERR_NO_SPACE : ERR_IO;
    return problem_set(ret_problem, err, "", "cannot %s %.120s: %s", what, archive->part,
                       errno == 0 ? "it is not what was written" : strerror(errno));
}

MAY_BLOCK static enum err_e open_file(struct archive *archive, struct problem *ret_problem) {
    errno = 0;
    archive->fd = open(archive->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (archive->fd < 0) {
        return refuse(archive, "make", ret_problem);
    }
    int own = dup(archive->fd); /* gzclose closes its own, and a close comes after the sync */
    archive->file = own < 0 ? NULL : gzdopen(own, "wb6");
    if (archive->file == NULL && own >= 0) {
        close(own);
    }
    return archive->file == NULL ? refuse(archive, "write", ret_problem) : ERR_OK;
}

enum err_e archive_create(const char *folder, struct slice name, struct archive **ret_archive,
                          struct problem *ret_problem) {
    struct archive *archive = calloc(1, sizeof *archive);
    *ret_archive = NULL;
    if (archive == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "no memory for an archive");
    }
    archive->fd = -1;
    archive->crc = crc32(0, NULL, 0);
    int len = snprintf(archive->part, PATH_SIZE, "%s/%.*s.csv.gz.part", folder, SLICE_ARG(name));
    snprintf(archive->path, PATH_SIZE, "%s/%.*s.csv.gz", folder, SLICE_ARG(name));
    snprintf(archive->folder, PATH_SIZE, "%s", folder);
    enum err_e err = len < PATH_SIZE ? open_file(archive, ret_problem)
                                     : problem_set(ret_problem, ERR_CONFIG, "database.archive_dir",
                                                   "the path is too long");
    if (err != ERR_OK) {
        archive_discard(archive);
        return err;
    }
    *ret_archive = archive;
    return ERR_OK;
}

enum err_e archive_add(struct archive *archive, struct slice line) {
    archive->lines++;
    archive->bytes += (int64_t)line.len;
    archive->crc = crc32(archive->crc, (const Bytef *)line.at, (uInt)line.len);
    errno = 0;
    if (line.len > 0 && gzwrite(archive->file, line.at, (unsigned)line.len) != (int)line.len) {
        return errno == ENOSPC ? ERR_NO_SPACE : ERR_IO;
    }
    return ERR_OK;
}

static void free_archive(struct archive *archive) {
    if (archive->file != NULL) {
        gzclose(archive->file);
    }
    if (archive->fd >= 0) {
        close(archive->fd);
    }
    free(archive);
}

void archive_discard(struct archive *archive) {
    if (archive != NULL) {
        if (archive->fd >= 0) {
            unlink(archive->part);
        }
        free_archive(archive);
    }
}

/* False with errno 0: it differs. */
MAY_BLOCK static bool is_as_written(const struct archive *archive) {
    char *piece = malloc(PIECE);
    gzFile file = piece == NULL ? NULL : gzopen(archive->part, "rb");
    uLong crc = crc32(0, NULL, 0);
    int64_t bytes = 0;
    int got = file == NULL ? -1 : 0;
    while (got >= 0 && (got = gzread(file, piece, PIECE)) > 0) {
        crc = crc32(crc, (const Bytef *)piece, (uInt)got);
        bytes += got;
    }
    bool closed = file != NULL && gzclose(file) == Z_OK; /* also: the trailer is there and true */
    free(piece);
    return got == 0 && closed && bytes == archive->bytes && crc == archive->crc;
}

/* The name is durable only once its folder is. */
MAY_BLOCK static bool give_name(const struct archive *archive) {
    if (rename(archive->part, archive->path) != 0) {
        return false;
    }
    int folder = open(archive->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = folder >= 0 && fsync(folder) == 0;
    if (folder >= 0) {
        close(folder);
    }
    return synced;
}

enum err_e archive_finish(struct archive *archive, struct archive_facts *ret_facts,
                          struct problem *ret_problem) {
    struct stat seen = {.st_size = 0};
    errno = 0;
    int closed = gzclose(archive->file);
    archive->file = NULL;
    enum err_e err = ERR_OK;
    if (closed != Z_OK || fsync(archive->fd) != 0 || fstat(archive->fd, &seen) != 0) {
        err = refuse(archive, "write", ret_problem);
    } else if (!is_as_written(archive)) {
        err = refuse(archive, "believe", ret_problem);
    } else if (!give_name(archive)) {
        err = refuse(archive, "name", ret_problem);
    }
    *ret_facts = (struct archive_facts){.rows = archive->lines - 1,
                                        .bytes = archive->bytes,
                                        .file_bytes = (int64_t)seen.st_size,
                                        .crc32 = (uint32_t)archive->crc};
    if (err != ERR_OK) {
        archive_discard(archive);
        return err;
    }
    free_archive(archive);
    return ERR_OK;
}
