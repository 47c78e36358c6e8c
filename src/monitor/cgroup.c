/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the groups of this process and walking up from them. */
#include "monitor/cgroup.h"

#include "monitor/proc_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum { FOLDER_SIZE = CGROUP_FOLDER_SIZE / 2, UP_MAX = 32 /* levels of nested groups */ };

/* Where a controller's groups are. */
struct hierarchy {
    bool mounted;
    char point[FOLDER_SIZE]; /* below the root folder */
    char top[FOLDER_SIZE];   /* the group that is seen at `point` */
    char group[FOLDER_SIZE]; /* the process's, as it is called above `top` */
    size_t point_len;
    char folder[CGROUP_FOLDER_SIZE]; /* of the group being looked at; shortened on the way up */
};

enum kind_e { KIND_V2, KIND_MEMORY, KIND_CPU, KIND_CPUACCT, KIND_COUNT };

struct walk {
    const char *root;
    struct proc_file file;
    struct hierarchy kinds[KIND_COUNT];
};

static bool has_word(struct slice list, const char *wanted) {
    struct slice word;
    while (slice_next(&list, ',', &word)) {
        if (slice_eq_text(word, wanted)) {
            return true;
        }
    }
    return false;
}

static void note_mount(struct hierarchy *kind, struct slice top, struct slice point) {
    kind->mounted = slice_to_cstr(top, kind->top, sizeof kind->top) &&
                    slice_to_cstr(point, kind->point, sizeof kind->point);
    kind->point_len = point.len;
}

/* "36 35 0:28 /top /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory" */
static void read_mount(struct walk *walk, struct slice line) {
    struct slice word, top = SLICE_NONE, point = SLICE_NONE;
    for (int i = 0; i < 5; i++) {
        if (!proc_word(&line, &word)) {
            return;
        }
        top = i == 3 ? word : top;
        point = i == 4 ? word : point;
    }
    while (proc_word(&line, &word) && !slice_eq_text(word, "-")) {
    }
    struct slice type, source, options = SLICE_NONE;
    if (!proc_word(&line, &type) || !proc_word(&line, &source)) {
        return;
    }
    (void)proc_word(&line, &options);
    if (slice_eq_text(type, "cgroup2")) {
        note_mount(&walk->kinds[KIND_V2], top, point);
    }
    if (!slice_eq_text(type, "cgroup")) {
        return;
    }
    static const struct {
        enum kind_e kind;
        const char *controller;
    } controllers[] = {{KIND_MEMORY, "memory"}, {KIND_CPU, "cpu"}, {KIND_CPUACCT, "cpuacct"}};
    for (size_t i = 0; i < sizeof controllers / sizeof controllers[0]; i++) {
        if (has_word(options, controllers[i].controller)) {
            note_mount(&walk->kinds[controllers[i].kind], top, point);
        }
    }
}

/* "4:memory:/group", "0::/group" (version 2) */
static void read_membership(struct walk *walk, struct slice line) {
    struct slice number, controllers;
    const char *first = line.len == 0 ? NULL : memchr(line.at, ':', line.len);
    if (first == NULL || !slice_next(&line, ':', &number)) {
        return;
    }
    const char *second = line.len == 0 ? NULL : memchr(line.at, ':', line.len);
    if (second == NULL) {
        return;
    }
    controllers = slice_from(line.at, (size_t)(second - line.at));
    struct slice group = slice_skip(line, controllers.len + 1);
    static const char *const names[KIND_COUNT] = {"", "memory", "cpu", "cpuacct"};
    for (int i = 0; i < KIND_COUNT; i++) {
        bool is_of_kind = i == KIND_V2 ? controllers.len == 0 : has_word(controllers, names[i]);
        struct hierarchy *kind = &walk->kinds[i];
        if (is_of_kind && !slice_to_cstr(group, kind->group, sizeof kind->group)) {
            kind->mounted = false;
        }
    }
}

/* The folder of the process's group: the mount shows `top` and what is below it. A group that is
 * not below `top` (a container that sees its host's names) is the mount's own top. */
static void find_folder(struct hierarchy *kind) {
    struct slice group = slice_of(kind->group), top = slice_of(kind->top);
    top.len = slice_eq_text(top, "/") ? 0 : top.len;
    bool is_below = slice_starts_with(group, top) &&
                    (group.len == top.len || group.at[top.len] == '/');
    struct slice rest = is_below ? slice_skip(group, top.len) : SLICE_NONE;
    rest = slice_eq_text(rest, "/") ? SLICE_NONE : rest;
    snprintf(kind->folder, sizeof kind->folder, "%s%.*s", kind->point, SLICE_ARG(rest));
}

static bool go_up(struct hierarchy *kind) {
    char *slash = strrchr(kind->folder, '/');
    if (strlen(kind->folder) <= kind->point_len || slash == NULL) {
        return false;
    }
    *slash = '\0';
    return true;
}

MAY_BLOCK static struct slice read_in(struct walk *walk, const char *folder, const char *name) {
    char path[PROC_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return proc_read(&walk->file, walk->root, path);
}

MAY_BLOCK static bool number_in(struct walk *walk, const char *folder, const char *name,
                                uint64_t *ret_value) {
    struct slice rest = read_in(walk, folder, name), word;
    return proc_word(&rest, &word) && proc_number(word, ret_value);
}

/* What the kernel gives up first, cold page cache, is no use to speak of. */
MAY_BLOCK static uint64_t memory_used(struct walk *walk, const char *folder, const char *name,
                                      const char *cold_name) {
    uint64_t used = 0, cold = 0;
    if (!number_in(walk, folder, name, &used)) {
        return 0;
    }
    struct slice stat = read_in(walk, folder, "memory.stat");
    if (!proc_number(proc_value(stat, cold_name), &cold)) {
        cold = 0;
    }
    return used > cold ? used - cold : 0;
}

/* Of equal limits the outer group's counts: it holds the inner one's use, too. */
static bool is_tighter(const struct cgroup_limits *limits, uint64_t limit) {
    return !limits->has_memory || limit <= limits->memory_limit;
}

MAY_BLOCK static void look_at_memory_v2(struct walk *walk, const char *folder,
                                        struct cgroup_limits *ret) {
    static const char *const names[] = {"memory.max", "memory.high"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint64_t limit;
        if (number_in(walk, folder, names[i], &limit) && is_tighter(ret, limit)) {
            ret->has_memory = true;
            ret->memory_limit = limit;
            ret->memory_used = memory_used(walk, folder, "memory.current", "inactive_file");
        }
    }
}

MAY_BLOCK static void look_at_memory_v1(struct walk *walk, const char *folder,
                                        struct cgroup_limits *ret) {
    /* "Unlimited" is the largest multiple of a page: far above every machine. */
    const uint64_t unlimited = (uint64_t)1 << 60;
    uint64_t limit;
    if (number_in(walk, folder, "memory.limit_in_bytes", &limit) && limit < unlimited &&
        is_tighter(ret, limit)) {
        ret->has_memory = true;
        ret->memory_limit = limit;
        ret->memory_used =
            memory_used(walk, folder, "memory.usage_in_bytes", "total_inactive_file");
    }
}

static bool is_tighter_cpu(const struct cgroup_limits *limits, double cores) {
    return !limits->has_cpu || cores <= limits->cpu_cores;
}

static void take_cpu(struct cgroup_limits *ret, double cores, uint64_t used_us,
                     const char *folder) {
    ret->has_cpu = true;
    ret->cpu_cores = cores;
    ret->cpu_used_us = used_us;
    snprintf(ret->cpu_group, sizeof ret->cpu_group, "%s", folder);
}

/* "max 100000" or "150000 100000" */
MAY_BLOCK static void look_at_cpu_v2(struct walk *walk, const char *folder,
                                     struct cgroup_limits *ret) {
    struct slice rest = read_in(walk, folder, "cpu.max"), quota_word, period_word;
    uint64_t quota, period, used_us;
    if (!proc_word(&rest, &quota_word) || !proc_word(&rest, &period_word) ||
        !proc_number(quota_word, &quota) || !proc_number(period_word, &period) || period == 0) {
        return;
    }
    double cores = (double)quota / (double)period;
    struct slice stat = read_in(walk, folder, "cpu.stat");
    if (is_tighter_cpu(ret, cores) && proc_number(proc_value(stat, "usage_usec"), &used_us)) {
        take_cpu(ret, cores, used_us, folder);
    }
}

/* A negative quota is none. The time used is the same group's in the hierarchy of cpuacct, which is
 * often mounted apart. */
MAY_BLOCK static void look_at_cpu_v1(struct walk *walk, const char *folder, const char *acct_folder,
                                     struct cgroup_limits *ret) {
    uint64_t quota, period, used_ns;
    if (!number_in(walk, folder, "cpu.cfs_quota_us", &quota) ||
        !number_in(walk, folder, "cpu.cfs_period_us", &period) || period == 0) {
        return;
    }
    double cores = (double)quota / (double)period;
    if (is_tighter_cpu(ret, cores) && number_in(walk, acct_folder, "cpuacct.usage", &used_ns)) {
        take_cpu(ret, cores, used_ns / 1000, acct_folder);
    }
}

MAY_BLOCK static void look_at_v2(struct walk *walk, struct cgroup_limits *ret) {
    struct hierarchy *kind = &walk->kinds[KIND_V2];
    if (!kind->mounted) {
        return;
    }
    snprintf(ret->pressure_folder, sizeof ret->pressure_folder, "%s", kind->folder);
    for (int up = 0; up < UP_MAX; up++) {
        look_at_memory_v2(walk, kind->folder, ret);
        look_at_cpu_v2(walk, kind->folder, ret);
        if (!go_up(kind)) {
            return;
        }
    }
}

MAY_BLOCK static void look_at_v1(struct walk *walk, struct cgroup_limits *ret) {
    struct hierarchy *memory = &walk->kinds[KIND_MEMORY];
    for (int up = 0; memory->mounted && up < UP_MAX; up++) {
        look_at_memory_v1(walk, memory->folder, ret);
        if (!go_up(memory)) {
            break;
        }
    }
    struct hierarchy *cpu = &walk->kinds[KIND_CPU], *acct = &walk->kinds[KIND_CPUACCT];
    for (int up = 0; cpu->mounted && acct->mounted && up < UP_MAX; up++) {
        look_at_cpu_v1(walk, cpu->folder, acct->folder, ret);
        if (!go_up(cpu) || !go_up(acct)) {
            break;
        }
    }
}

MAY_BLOCK void cgroup_read(const char *root, struct cgroup_limits *ret_limits) {
    *ret_limits = (struct cgroup_limits){.has_memory = false};
    struct walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return;
    }
    walk->root = root;
    struct slice line;
    struct slice text = proc_read(&walk->file, root, "/proc/self/mountinfo");
    while (slice_next(&text, '\n', &line)) {
        read_mount(walk, line);
    }
    text = proc_read(&walk->file, root, "/proc/self/cgroup");
    while (slice_next(&text, '\n', &line)) {
        read_membership(walk, line);
    }
    for (int i = 0; i < KIND_COUNT; i++) {
        find_folder(&walk->kinds[i]);
    }
    look_at_v2(walk, ret_limits);
    look_at_v1(walk, ret_limits);
    free(walk);
}
