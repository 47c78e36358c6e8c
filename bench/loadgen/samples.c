/* SPDX-License-Identifier: Apache-2.0 */
#include "samples.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

bool samples_watch(struct samples *samples, const char *pids) {
    struct slice rest = slice_of(pids), word;
    while (slice_next(&rest, ',', &word)) {
        int64_t pid;
        if (samples->pids_len == WATCHED_MAX || !slice_to_int(word, 1, INT32_MAX, &pid)) {
            return false;
        }
        samples->pids[samples->pids_len++] = (int)pid;
    }
    return true;
}

/* Idle is the fourth of "cpu user nice system idle iowait irq softirq steal", and waiting for a
 * disk is idle, too. */
static struct machine_time read_machine_time(void) {
    struct machine_time time = {0};
    uint64_t ticks[8];
    FILE *file = fopen("/proc/stat", "re");
    int got = file == NULL ? 0
                           : fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                                    " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &ticks[0],
                                    &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5],
                                    &ticks[6], &ticks[7]);
    for (int i = 0; i < got; i++) {
        time.all += ticks[i];
        time.busy += i == 3 || i == 4 ? 0 : ticks[i];
    }
    if (file != NULL) {
        fclose(file);
    }
    return time;
}

static double machine_memory_percent(void) {
    char line[256];
    uint64_t total = 0, available = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "MemTotal: %" SCNu64, &total);
        sscanf(line, "MemAvailable: %" SCNu64, &available);
    }
    if (file != NULL) {
        fclose(file);
    }
    return total == 0 ? NAN : 100 * (1 - (double)available / (double)total);
}

static double cpu_percent_since(struct machine_time *before) {
    struct machine_time now = read_machine_time();
    double busy = (double)(now.busy - before->busy), all = (double)(now.all - before->all);
    *before = now;
    return all > 0 ? 100 * busy / all : NAN;
}

void samples_begin(struct samples *samples, double seconds) {
    samples->interval_s = fmax(1, ceil(seconds / 60));
    samples->interval = (struct histogram){0};
    samples->machine = read_machine_time();
    samples->len = 0;
}

static uint64_t read_rss_kib(int pid) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    uint64_t kib = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %" SCNu64, &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib;
}

static uint64_t count_descriptors(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    uint64_t count = 0;
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count > 2 ? count - 2 : 0; /* . and .. */
}

double process_cpu_s(int pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    size_t got = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL) {
        fclose(file);
    }
    text[got] = '\0';
    const char *behind = strrchr(text, ')'); /* a name may hold anything */
    uint64_t user = 0, kernel = 0;
    if (behind == NULL || sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64
                                             " %" SCNu64, &user, &kernel) != 2) {
        return 0;
    }
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

void samples_tick(struct samples *samples, double at_s, uint64_t open) {
    double due = (double)(samples->len + 1) * samples->interval_s;
    if (at_s < due || samples->len == SAMPLES_MAX) {
        return;
    }
    static struct histogram_snapshot snapshot;
    snapshot = (struct histogram_snapshot){0};
    histogram_collect(&samples->interval, &snapshot);
    struct sample *sample = &samples->samples[samples->len++];
    *sample = (struct sample){.at_s = at_s, .open = open,
                              .done = histogram_count(&snapshot),
                              .p50_us = histogram_quantile(&snapshot, 0.5),
                              .p99_us = histogram_quantile(&snapshot, 0.99),
                              .max_us = histogram_quantile(&snapshot, 1),
                              .cpu_percent = cpu_percent_since(&samples->machine),
                              .memory_percent = machine_memory_percent()};
    for (size_t i = 0; i < samples->pids_len; i++) {
        sample->usage[i] = (struct usage){read_rss_kib(samples->pids[i]),
                                          count_descriptors(samples->pids[i]),
                                          process_cpu_s(samples->pids[i])};
    }
    samples->interval = (struct histogram){0};
}

void samples_report(const struct samples *samples, struct json_writer *w) {
    json_begin_array(w);
    for (size_t i = 0; i < samples->len; i++) {
        const struct sample *sample = &samples->samples[i];
        json_begin_object(w);
        json_put_real(w, "at_s", sample->at_s, 2);
        json_put_int(w, "done", (int64_t)sample->done);
        json_put_real(w, "p50_ms", sample->p50_us / 1000, 3);
        json_put_real(w, "p99_ms", sample->p99_us / 1000, 3);
        json_put_real(w, "max_ms", sample->max_us / 1000, 3);
        json_put_int(w, "connections", (int64_t)sample->open);
        json_put_real(w, "cpu_percent", sample->cpu_percent, 1);
        json_put_real(w, "memory_percent", sample->memory_percent, 1);
        json_key(w, "watched");
        json_begin_array(w);
        for (size_t k = 0; k < samples->pids_len; k++) {
            const struct usage *usage = &sample->usage[k];
            json_begin_object(w);
            json_put_int(w, "pid", samples->pids[k]);
            json_put_int(w, "rss_kib", (int64_t)usage->rss_kib);
            json_put_int(w, "descriptors", (int64_t)usage->descriptors);
            json_put_real(w, "cpu_s", usage->cpu_s, 2);
            json_end_object(w);
        }
        json_end_array(w);
        json_end_object(w);
    }
    json_end_array(w);
}
