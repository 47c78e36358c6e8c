/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the limit that applies is found in made-up trees of kernel files, whatever their shape. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "monitor/cgroup.h"
#include "monitor/health.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static struct health_reader *reader;
static struct health health;

/* Makes the folders on the way, too. */
static void put(const char *path, const char *text) {
    char full[512];
    int len = snprintf(full, sizeof full, "%s%s", root, path);
    assert_true(len > 0 && len < (int)sizeof full);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int drop_one(const char *path, const struct stat *stat, int type, struct FTW *place) {
    (void)stat;
    (void)type;
    (void)place;
    return remove(path);
}

/* A machine of two cores, 8 GB, half of it used, no pressure files. */
static int make(void **state) {
    (void)state;
    strcpy(root, "/tmp/turnout-health-XXXXXX");
    assert_non_null(mkdtemp(root));
    put("/proc/stat", "cpu  600 0 200 1200 0 0 0 0 0 0\n"
                      "cpu0 300 0 100 600 0 0 0 0 0 0\n"
                      "cpu1 300 0 100 600 0 0 0 0 0 0\nintr 5 6\n");
    put("/proc/meminfo", "MemTotal:        8388608 kB\nMemFree:  100 kB\n"
                         "MemAvailable:    4194304 kB\n");
    put("/proc/self/stat", "7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 4 0 9\n");
    put("/proc/self/status", "Name:\tturnout\nVmRSS:\t    2048 kB\nCpus_allowed_list:\t0-1\n");
    put("/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units\n"
        "Max open files            1024                 20000                files\n");
    put("/proc/self/fd/0", "");
    put("/proc/self/fd/1", "");
    put("/proc/self/fd/2", "");
    reader = health_open(root, NULL);
    return reader == NULL ? -1 : 0;
}

static int drop(void **state) {
    (void)state;
    health_close(reader);
    return nftw(root, drop_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void read_at(double s) {
    health_read(reader, (int64_t)(s * 1e6), &health);
}

static bool near(double value, double wanted) {
    return fabs(value - wanted) < 0.001;
}

static void in_v2(void) {
    put("/proc/self/mountinfo", "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 "
                                "rw,nsdelegate\n");
    put("/proc/self/cgroup", "0::/app.slice/turnout.service\n");
}

static void in_v1(void) {
    put("/proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    put("/proc/self/cgroup", "4:memory:/box\n2:cpu,cpuacct:/box\n1:name=systemd:/box\n");
}

static void without_groups_the_machine_is_the_limit(void **state) {
    (void)state;
    read_at(0);
    assert_true(isnan(health.cpu_percent)); /* percent of the time since an earlier reading */
    assert_int_equal(health.cpu_source, LIMIT_MACHINE);
    assert_true(near(health.memory_percent, 50));
    assert_int_equal(health.memory_source, LIMIT_MACHINE);
    assert_int_equal(health.memory_limit, (int64_t)8 << 30);
    assert_int_equal(health.rss_bytes, 2 << 20);
    assert_int_equal(health.open_fds, 3);
    assert_int_equal(health.fds_limit, 1024);
    assert_false(health.has_pressure);
    /* A second later: 100 ticks a core, 60 and 20 of them busy; 30 of this process. */
    put("/proc/stat", "cpu0 360 0 100 640 0 0 0 0 0 0\ncpu1 310 0 110 680 0 0 0 0 0 0\n");
    put("/proc/self/stat", "7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 120 60 0 0 20 0 4 0 9\n");
    read_at(1);
    assert_true(near(health.cpu_percent, 40));
    assert_true(near(health.process_cpu_percent, 15));
}

static void cores_that_the_process_may_not_use_do_not_count(void **state) {
    (void)state;
    put("/proc/self/status", "VmRSS: 1 kB\nCpus_allowed_list: 1\n");
    read_at(0);
    assert_true(near(health.cpu_cores, 1));
    put("/proc/stat", "cpu0 400 0 100 600 0 0 0 0 0 0\ncpu1 310 0 110 680 0 0 0 0 0 0\n");
    read_at(1);
    assert_true(near(health.cpu_percent, 20));
}

static void waiting_for_disks_is_idle_and_stolen_time_is_not(void **state) {
    (void)state;
    read_at(0);
    put("/proc/stat", "cpu0 300 0 100 600 100 0 0 0 0 0\ncpu1 300 0 100 600 0 0 0 100 0 0\n");
    read_at(1);
    assert_true(near(health.cpu_percent, 50));
}

static void version_2_limits_apply(void **state) {
    (void)state;
    in_v2();
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.max", "1073741824\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.current", "805306368\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.stat",
        "anon 1\ninactive_file 268435456\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/cpu.stat", "usage_usec 1000000\nuser_usec 1\n");
    read_at(0);
    assert_int_equal(health.memory_source, LIMIT_CGROUP);
    assert_true(near(health.memory_percent, 50));
    assert_true(near(health.cpu_cores, 1.5));
    put("/sys/fs/cgroup/app.slice/turnout.service/cpu.stat", "usage_usec 4000000\n");
    read_at(4);
    assert_int_equal(health.cpu_source, LIMIT_CGROUP);
    assert_true(near(health.cpu_percent, 50));
}

static void a_limit_of_a_group_above_applies_with_its_own_use(void **state) {
    (void)state;
    in_v2();
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.max", "max\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.current", "1000\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/app.slice/memory.max", "2147483648\n");
    put("/sys/fs/cgroup/app.slice/memory.current", "1932735283\n");
    put("/sys/fs/cgroup/app.slice/cpu.max", "50000 100000\n");
    put("/sys/fs/cgroup/app.slice/cpu.stat", "usage_usec 7\n");
    read_at(0);
    assert_int_equal(health.memory_source, LIMIT_CGROUP);
    assert_true(fabs(health.memory_percent - 90) < 0.01);
    assert_true(near(health.cpu_cores, 0.5));
}

static void the_soft_ceiling_of_version_2_is_a_limit(void **state) {
    (void)state;
    in_v2();
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.max", "4294967296\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.high", "1073741824\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.current", "1073741824\n");
    read_at(0);
    assert_true(near(health.memory_percent, 100));
}

static void version_1_limits_apply(void **state) {
    (void)state;
    in_v1();
    put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1073741824\n");
    put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "536870912\n");
    put("/sys/fs/cgroup/memory/box/memory.stat", "cache 9\ntotal_inactive_file 268435456\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/box/cpuacct.usage", "5000000000\n");
    read_at(0);
    assert_true(near(health.memory_percent, 25));
    assert_true(near(health.cpu_cores, 1));
    put("/sys/fs/cgroup/cpu,cpuacct/box/cpuacct.usage", "5750000000\n");
    read_at(1);
    assert_true(near(health.cpu_percent, 75));
}

static void unlimited_groups_leave_the_machine_as_the_limit(void **state) {
    (void)state;
    in_v1();
    put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "536870912\n");
    put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/box/cpuacct.usage", "5000000000\n");
    read_at(0);
    assert_int_equal(health.memory_source, LIMIT_MACHINE);
    assert_int_equal(health.cpu_source, LIMIT_MACHINE);
    assert_true(near(health.cpu_cores, 2));
}

static void a_limit_beyond_the_machine_is_none(void **state) {
    (void)state;
    in_v2();
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.max", "68719476736\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/memory.current", "1\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/cpu.max", "400000 100000\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/cpu.stat", "usage_usec 7\n");
    read_at(0);
    assert_int_equal(health.memory_source, LIMIT_MACHINE);
    assert_true(near(health.memory_percent, 50));
    assert_true(near(health.cpu_cores, 2));
}

static void both_versions_at_once_are_both_looked_at(void **state) {
    (void)state;
    put("/proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/proc/self/cgroup", "4:memory:/a\n2:cpuacct:/a\n1:cpu:/a\n0::/u\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824\n");
    put("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1073741824\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpuacct/a/cpuacct.usage", "1\n");
    put("/sys/fs/cgroup/unified/u/cpu.pressure", "some avg10=12.50 avg60=1.00 total=5\n"
                                                 "full avg10=0.00 avg60=0.00 total=0\n");
    put("/proc/pressure/cpu", "some avg10=99.00 avg60=1.00 total=5\n");
    put("/proc/pressure/io", "some avg10=3.25 avg60=0 total=1\nfull avg10=1.75 avg60=0 total=1\n");
    read_at(0);
    assert_true(near(health.memory_percent, 100));
    assert_true(near(health.cpu_cores, 0.5));
    assert_true(health.has_pressure);
    assert_true(near(health.cpu.some, 12.5)); /* the group's own goes before the machine's */
    assert_true(near(health.io.full, 1.75));
    assert_true(isnan(health.memory.some));
}

static void a_container_that_sees_its_hosts_names_finds_its_own_group(void **state) {
    (void)state;
    put("/proc/self/mountinfo", "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup "
                                "rw,memory\n");
    put("/proc/self/cgroup", "4:memory:/docker/abc/inner\n");
    put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "1073741824\n");
    put("/sys/fs/cgroup/memory/inner/memory.usage_in_bytes", "107374182\n");
    read_at(0);
    assert_true(fabs(health.memory_percent - 10) < 0.01);
    put("/proc/self/cgroup", "4:memory:/somewhere/else\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n");
    read_at(1);
    assert_true(near(health.memory_percent, 50));
}

static void a_group_that_changes_is_not_compared_with_the_one_before(void **state) {
    (void)state;
    in_v2();
    put("/sys/fs/cgroup/app.slice/turnout.service/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/app.slice/turnout.service/cpu.stat", "usage_usec 900000000\n");
    read_at(0);
    put("/proc/self/cgroup", "0::/other\n");
    put("/sys/fs/cgroup/other/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/other/cpu.stat", "usage_usec 5\n");
    read_at(1);
    assert_true(isnan(health.cpu_percent));
    put("/sys/fs/cgroup/other/cpu.stat", "usage_usec 500005\n");
    read_at(2);
    assert_true(near(health.cpu_percent, 50));
}

static void a_clock_that_stands_still_makes_no_percentage(void **state) {
    (void)state;
    read_at(5);
    read_at(5);
    assert_true(isnan(health.cpu_percent));
    read_at(4);
    assert_true(isnan(health.cpu_percent));
}

static void nothing_at_all_is_unknown_and_not_zero(void **state) {
    (void)state;
    struct health_reader *blind = health_open("/nowhere/at/all", "/nowhere/at/all");
    assert_non_null(blind);
    health_read(blind, 0, &health);
    health_read(blind, 1000000, &health);
    assert_true(isnan(health.cpu_percent) && isnan(health.memory_percent));
    assert_true(isnan(health.cpu_cores));
    assert_int_equal(health.cpu_source, LIMIT_UNKNOWN);
    assert_int_equal(health.memory_source, LIMIT_UNKNOWN);
    assert_int_equal(health.rss_bytes, -1);
    assert_int_equal(health.open_fds, -1);
    assert_int_equal(health.fds_limit, -1);
    assert_int_equal(health.disk_free_bytes, -1);
    assert_false(health.has_pressure);
    health_close(blind);
}

static void damaged_files_are_unknown(void **state) {
    (void)state;
    in_v2();
    put("/proc/self/mountinfo", "30 20\nx - cgroup2\n30 20 0:26 / /sys/fs/cgroup rw -\n");
    put("/proc/self/cgroup", "nonsense\n0\n:\n");
    put("/proc/meminfo", "MemTotal: lots kB\n");
    put("/proc/self/stat", "");
    put("/proc/stat", "cpux\ncpu0 a b c\n");
    put("/proc/pressure/cpu", "some avg10=\n");
    read_at(0);
    read_at(1);
    assert_true(isnan(health.memory_percent));
    assert_true(isnan(health.cpu_percent));
    assert_true(isnan(health.process_cpu_percent));
    assert_false(health.has_pressure);
}

static void the_real_kernel_is_understood(void **state) {
    (void)state;
    struct health_reader *real = health_open("", "/tmp");
    assert_non_null(real);
    health_read(real, 0, &health);
    assert_true(health.rss_bytes > 0);
    assert_true(health.open_fds > 0);
    assert_true(health.fds_limit > 0);
    assert_true(health.memory_percent > 0 && health.memory_percent <= 100);
    assert_true(health.disk_total_bytes >= health.disk_free_bytes);
    health_close(real);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(without_groups_the_machine_is_the_limit),
        EACH(cores_that_the_process_may_not_use_do_not_count),
        EACH(waiting_for_disks_is_idle_and_stolen_time_is_not),
        EACH(version_2_limits_apply),
        EACH(a_limit_of_a_group_above_applies_with_its_own_use),
        EACH(the_soft_ceiling_of_version_2_is_a_limit),
        EACH(version_1_limits_apply),
        EACH(unlimited_groups_leave_the_machine_as_the_limit),
        EACH(a_limit_beyond_the_machine_is_none),
        EACH(both_versions_at_once_are_both_looked_at),
        EACH(a_container_that_sees_its_hosts_names_finds_its_own_group),
        EACH(a_group_that_changes_is_not_compared_with_the_one_before),
        EACH(a_clock_that_stands_still_makes_no_percentage),
        EACH(nothing_at_all_is_unknown_and_not_zero),
        EACH(damaged_files_are_unknown),
        EACH(the_real_kernel_is_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
