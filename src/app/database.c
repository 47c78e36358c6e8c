/* SPDX-License-Identifier: Apache-2.0 */
/* From settings to the optimizer's options. */
#include "app/database.h"

#include "app/open.h"

enum { DAY_MS = 86400000 };

/* "HH:MM" in minutes of the day. */
static bool parse_minute(struct slice text, int *ret_minute) {
    int64_t hour, minute;
    if (text.len != 5 || text.at[2] != ':' ||
        !slice_to_int(slice_from(text.at, 2), 0, 23, &hour) ||
        !slice_to_int(slice_from(text.at + 3, 2), 0, 59, &minute)) {
        return false;
    }
    *ret_minute = (int)(hour * 60 + minute);
    return true;
}

static bool parse_window(const char *text, struct db_options *options) {
    size_t len = strlen(text);
    return len == 0 || (len == 11 && text[5] == '-' &&
                        parse_minute(slice_from(text, 5), &options->window_from) &&
                        parse_minute(slice_from(text + 6, 5), &options->window_to));
}

enum err_e database_options(const struct config *config, struct db_options *ret_options,
                            struct problem *ret_problem) {
    *ret_options = (struct db_options){
        .url = config->store_url,
        .clock = clock_system(),
        .pretended_ms = TIME_NONE,
        .period = config->database_partition_period,
        .archive_dir = config->database_archive_dir[0] == '\0' ? NULL
                                                               : config->database_archive_dir,
        .ahead = (unsigned)config->database_partitions_ahead,
        .retention_ms = config->database_retention_days * DAY_MS,
        .quarantine_ms = config->database_quarantine_days * DAY_MS,
        .slow_ms = (double)config->database_slow_query_ms,
        .build_advised = config->database_build_advised,
        .budget_ms = config->database_budget_ms,
    };
    if (!parse_window(config->database_window, ret_options)) {
        return problem_set(ret_problem, ERR_CONFIG, "database.window",
                           "expected HH:MM-HH:MM in UTC, such as 02:00-05:30");
    }
    return ERR_OK;
}

enum err_e database_start(const struct config *config, const char *actor,
                          struct db_service **ret_service, struct problem *ret_problem) {
    struct db_service_options options = {
        .sqlite_path = store_sqlite_path(config),
        .every_ms = config->database_interval_ms,
    };
    TRY(database_options(config, &options.db, ret_problem));
    options.db.actor = actor;
    *ret_service = db_service_create(&options);
    if (*ret_service == NULL || db_service_start(*ret_service) != ERR_OK) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "the optimizer could not start");
    }
    return ERR_OK;
}
