/* SPDX-License-Identifier: Apache-2.0 */
/* Two readings make a percentage. */
#include "monitor/health.h"

#include "monitor/cgroup.h"
#include "monitor/proc_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CORES_MAX = 4096 };

/* What was counted at one reading. */
struct cpu_counts {
    bool known;
    char group[CGROUP_FOLDER_SIZE]; /* whose; empty: the machine's */
    double used_s;
    double process_s;
    double machine_s; /* all time of the cores, idle too */
    int64_t at_us;
};

struct health_reader {
    const char *root;
    const char *disk_path;
    struct cpu_counts before;
    struct proc_file file;
    size_t cores[CORES_MAX]; /* that this process may run on */
    size_t cores_len;
};

const char *limit_source_text(enum limit_source_e source) {
    static const char *const words[LIMIT_SOURCE_COUNT] = {
#define X(name, word) word,
        LIMIT_SOURCE_TABLE(X)
#undef X
    };
    return words[source];
}

struct health_reader *health_open(const char *root, const char *disk_path) {
    struct health_reader *reader = calloc(1, sizeof *reader);
    if (reader != NULL) {
        reader->root = root;
        reader->disk_path = disk_path;
    }
    return reader;
}

void health_close(struct health_reader *reader) {
    free(reader);
}

/* ---- processor ---- */

static bool may_run_on(const struct health_reader *reader, size_t core) {
    for (size_t i = 0; i < reader->cores_len; i++) {
        if (reader->cores[i] == core) {
            return true;
        }
    }
    return reader->cores_len == 0;
}

/* "cpu3 user nice system idle iowait irq softirq steal guest guest_nice" in ticks: guests' time is
 * in user's. Waiting for a disk is idle; time stolen by a neighbour is not to be had, so used. */
static void add_core(struct slice line, double *busy, double *all) {
    struct slice word;
    uint64_t ticks;
    for (int i = 0; i < 8 && proc_word(&line, &word) && proc_number(word, &ticks); i++) {
        bool is_idle = i == 3 || i == 4;
        *all += (double)ticks;
        *busy += is_idle ? 0 : (double)ticks;
    }
}

/* Returns how many cores this process may use. */
MAY_BLOCK static size_t read_machine_cpu(struct health_reader *reader, struct cpu_counts *counts) {
    double busy = 0, all = 0, tick = (double)sysconf(_SC_CLK_TCK);
    size_t cores = 0;
    struct slice text = proc_read(&reader->file, reader->root, "/proc/stat"), line;
    while (slice_next(&text, '\n', &line)) {
        struct slice name;
        uint64_t core;
        if (proc_word(&line, &name) && slice_starts_with(name, SLICE_LIT("cpu")) &&
            proc_number(slice_skip(name, 3), &core) && may_run_on(reader, (size_t)core)) {
            add_core(line, &busy, &all);
            cores++;
        }
    }
    counts->known = cores > 0;
    counts->used_s = busy / tick;
    counts->machine_s = all / tick;
    return cores;
}

/* utime and stime are the 14th and 15th field; the second, the name in parentheses, may hold
 * anything, so counting begins behind its end. */
MAY_BLOCK static double read_process_s(struct health_reader *reader) {
    struct slice text = proc_read(&reader->file, reader->root, "/proc/self/stat"), word;
    const char *end = text.len == 0 ? NULL : memrchr(text.at, ')', text.len);
    if (end == NULL) {
        return NAN;
    }
    text = slice_skip(text, (size_t)(end - text.at) + 1);
    double ticks = 0;
    for (int field = 3; field <= 15 && proc_word(&text, &word); field++) {
        uint64_t value;
        if (field >= 14 && proc_number(word, &value)) {
            ticks += (double)value;
        }
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static double percent_of(double used, double whole) {
    if (isnan(used) || !(whole > 0)) {
        return NAN;
    }
    double percent = 100 * used / whole;
    return percent < 0 ? 0 : percent;
}

static double cap(double percent) { /* counters of several cores are not read at one instant */
    return percent > 100 ? 100 : percent;
}

static void set_cpu(struct health_reader *reader, const struct cpu_counts *now, double cores,
                    struct health *ret) {
    const struct cpu_counts *before = &reader->before;
    bool is_comparable = before->known && now->known && now->at_us > before->at_us &&
                         strcmp(before->group, now->group) == 0;
    if (is_comparable) {
        double elapsed_s = (double)(now->at_us - before->at_us) / 1e6;
        bool is_machine = now->group[0] == '\0';
        double whole_s = is_machine ? now->machine_s - before->machine_s : elapsed_s * cores;
        ret->cpu_percent = cap(percent_of(now->used_s - before->used_s, whole_s));
        ret->process_cpu_percent =
            cap(percent_of(now->process_s - before->process_s, elapsed_s * cores));
    }
    reader->before = *now;
}

MAY_BLOCK static void read_cpu(struct health_reader *reader, const struct cgroup_limits *limits,
                               int64_t now_us, struct health *ret) {
    struct cpu_counts now = {.at_us = now_us};
    size_t machine_cores = read_machine_cpu(reader, &now);
    now.process_s = read_process_s(reader);
    double cores = (double)machine_cores;
    ret->cpu_source = machine_cores > 0 ? LIMIT_MACHINE : LIMIT_UNKNOWN;
    if (limits->has_cpu && (machine_cores == 0 || limits->cpu_cores < cores)) {
        cores = limits->cpu_cores;
        now.known = true;
        now.used_s = (double)limits->cpu_used_us / 1e6;
        snprintf(now.group, sizeof now.group, "%s", limits->cpu_group);
        ret->cpu_source = LIMIT_CGROUP;
    }
    ret->cpu_cores = ret->cpu_source == LIMIT_UNKNOWN ? NAN : cores;
    set_cpu(reader, &now, cores, ret);
}

/* ---- memory ---- */

MAY_BLOCK static void read_memory(struct health_reader *reader, const struct cgroup_limits *limits,
                                  struct health *ret) {
    struct slice text = proc_read(&reader->file, reader->root, "/proc/meminfo");
    uint64_t total_kb = 0, available_kb = 0;
    bool has_machine = proc_number(proc_value(text, "MemTotal:"), &total_kb) &&
                       proc_number(proc_value(text, "MemAvailable:"), &available_kb) &&
                       available_kb <= total_kb && total_kb > 0;
    if (limits->has_memory && (!has_machine || limits->memory_limit / 1024 < total_kb)) {
        ret->memory_source = LIMIT_CGROUP;
        ret->memory_limit = (int64_t)limits->memory_limit;
        ret->memory_percent =
            percent_of((double)limits->memory_used, (double)limits->memory_limit);
    } else if (has_machine) {
        ret->memory_source = LIMIT_MACHINE;
        ret->memory_limit = (int64_t)total_kb * 1024;
        ret->memory_percent =
            percent_of((double)(total_kb - available_kb), (double)total_kb);
    }
}

/* ---- the rest ---- */

MAY_BLOCK static void read_status(struct health_reader *reader, struct health *ret) {
    struct slice text = proc_read(&reader->file, reader->root, "/proc/self/status");
    uint64_t rss_kb;
    if (proc_number(proc_value(text, "VmRSS:"), &rss_kb)) {
        ret->rss_bytes = (int64_t)rss_kb * 1024;
    }
    reader->cores_len =
        proc_list(proc_value(text, "Cpus_allowed_list:"), reader->cores, CORES_MAX);
}

/* "Max open files            1024                 20000                files" */
MAY_BLOCK static void read_descriptors(struct health_reader *reader, struct health *ret) {
    ret->open_fds = proc_count_fds(reader->root);
    struct slice text = proc_read(&reader->file, reader->root, "/proc/self/limits"), line, word;
    static const struct slice name = {"Max open files", 14};
    while (slice_next(&text, '\n', &line)) {
        uint64_t limit;
        if (slice_starts_with(line, name)) {
            line = slice_skip(line, name.len);
            if (proc_word(&line, &word) && proc_number(word, &limit)) {
                ret->fds_limit = (int64_t)limit;
            }
        }
    }
}

/* "some avg10=1.25 avg60=…" */
static double read_average(struct slice text, const char *kind) {
    struct slice word = proc_value(text, kind);
    if (!slice_starts_with(word, SLICE_LIT("avg10="))) {
        return NAN;
    }
    char number[32];
    word = slice_skip(word, 6);
    char *end;
    if (word.len == 0 || !slice_to_cstr(word, number, sizeof number)) {
        return NAN;
    }
    double value = strtod(number, &end);
    return *end == '\0' ? value : NAN;
}

MAY_BLOCK static struct pressure read_pressure(struct health_reader *reader, const char *folder,
                                               const char *name, bool *ret_any) {
    char path[PROC_PATH_SIZE];
    struct slice text = SLICE_NONE;
    if (folder[0] != '\0') {
        snprintf(path, sizeof path, "%s/%s.pressure", folder, name);
        text = proc_read(&reader->file, reader->root, path);
    }
    if (text.len == 0) {
        snprintf(path, sizeof path, "/proc/pressure/%s", name);
        text = proc_read(&reader->file, reader->root, path);
    }
    struct pressure pressure = {read_average(text, "some"), read_average(text, "full")};
    *ret_any = *ret_any || !isnan(pressure.some);
    return pressure;
}

MAY_BLOCK static void read_disk(struct health_reader *reader, struct health *ret) {
    struct statvfs disk;
    if (reader->disk_path != NULL && statvfs(reader->disk_path, &disk) == 0) {
        ret->disk_free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
        ret->disk_total_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
    }
}

MAY_BLOCK void health_read(struct health_reader *reader, int64_t now_us,
                           struct health *ret_health) {
    *ret_health = (struct health){.cpu_percent = NAN,
                                  .process_cpu_percent = NAN,
                                  .cpu_cores = NAN,
                                  .memory_percent = NAN,
                                  .memory_limit = -1,
                                  .rss_bytes = -1,
                                  .open_fds = -1,
                                  .fds_limit = -1,
                                  .disk_free_bytes = -1,
                                  .disk_total_bytes = -1};
    struct cgroup_limits limits;
    cgroup_read(reader->root, &limits);
    read_status(reader, ret_health);
    read_cpu(reader, &limits, now_us, ret_health);
    read_memory(reader, &limits, ret_health);
    read_descriptors(reader, ret_health);
    bool any = false;
    ret_health->cpu = read_pressure(reader, limits.pressure_folder, "cpu", &any);
    ret_health->memory = read_pressure(reader, limits.pressure_folder, "memory", &any);
    ret_health->io = read_pressure(reader, limits.pressure_folder, "io", &any);
    ret_health->has_pressure = any;
    read_disk(reader, ret_health);
}
