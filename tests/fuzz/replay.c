/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the inputs on file: every file of the folder that is named, in any order,
 * and every beginning of it, so that each end of input is met as well. A folder without inputs is
 * a failure: then nothing was tested.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 1 << 20, PREFIX_MAX = 512 };

/* A copy of exactly `size` bytes, so that a sanitizer sees the first byte read behind them. */
static void run_one(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        perror("replay");
        exit(1);
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_file(const char *folder, const char *name) {
    static uint8_t bytes[INPUT_MAX];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    /* When one crashes, the last line names it. */
    fprintf(stderr, "replay: %s, %zu bytes\n", name, size);
    for (size_t prefix = 0; prefix < size && prefix < PREFIX_MAX; prefix++) {
        run_one(bytes, prefix);
    }
    run_one(bytes, size);
}

int main(int argc, char **argv) {
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: %s FOLDER (of inputs)\n", argv[0]);
        return 2;
    }
    size_t count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            run_file(argv[1], entry->d_name);
            count++;
        }
    }
    closedir(folder);
    printf("%zu inputs\n", count);
    return count > 0 ? 0 : 1;
}
