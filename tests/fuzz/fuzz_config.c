/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file is taken whole, or refused with a line for each thing that is wrong, and
 * each names the file. What was taken can be shown, and its policy read.
 */
#include "app/config.h"
#include "base/assert.h"
#include "control/policy.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ERRORS_MAX = 1 << 20, SHOWN_MAX = 8192 };

static void check_taken(const struct config *config) {
    static struct policy policy;
    struct buf shown;
    config_policy(config, &policy);
    buf_init(&shown, SHOWN_MAX);
    for (int key = 0; key < CONFIG_COUNT; key++) {
        buf_clear(&shown);
        config_show(config, (enum config_key_e)key, &shown);
        ASSERT(!shown.failed);
        ASSERT(!config_differs(config, config, (enum config_key_e)key));
    }
    ASSERT(!config_control_differs(config, config));
    buf_fini(&shown);
}

static void load(const char *path) {
    static struct config config;
    struct buf errors;
    const struct config_input input = {.file = path};
    buf_init(&errors, ERRORS_MAX);
    enum err_e err = config_load(&config, &input, &errors);
    ASSERT((err == ERR_OK) == (errors.len == 0));
    if (err == ERR_OK) {
        check_taken(&config);
    }
    config_fini(&config);
    buf_fini(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[32];
    int fd = memfd_create("config", MFD_CLOEXEC);
    ASSERT(fd >= 0);
    ASSERT(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    load(path);
    close(fd);
    return 0;
}
