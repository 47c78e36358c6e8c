/* SPDX-License-Identifier: Apache-2.0 */
/* A PostgreSQL store: does it keep what it acknowledges, and is it ready for records? */
#include "app/doctor.h"
#include "app/open.h"
#include "store/postgres_inspect.h"

enum {
    SKEW_WARNING_MS = 1000,
    SKEW_UNSAFE_MS = 60 * 1000, /* beyond, validity is judged wrongly at the door */
    AHEAD_MAX_MS = 5 * 60 * 1000,
    CONNECTIONS_SPARE = 4,
};
#define DAY_MS (24LL * 3600 * 1000)
#define HORIZON_WARNING_MS (92 * DAY_MS) /* a quarter */

static void judge_durability(const struct postgres_inspection *seen, struct findings *findings) {
    if (!seen->fsync) {
        findings_add(findings, "fsync", FINDING_UNSAFE, "set fsync = on and restart the server",
                     "fsync is off: a power cut can destroy the database");
    } else if (!seen->full_page_writes) {
        findings_add(findings, "fsync", FINDING_UNSAFE,
                     "set full_page_writes = on, unless the file system writes pages whole",
                     "full_page_writes is off: a power cut can tear pages");
    } else {
        findings_add(findings, "fsync", FINDING_OK, NULL, "fsync and full_page_writes are on");
    }
    if (strcmp(seen->synchronous_commit, "off") == 0) {
        findings_add(findings, "commit", FINDING_WARNING,
                     "set synchronous_commit = on: others than turnout may rely on it",
                     "synchronous_commit is off by default; turnout's writers set it on");
    } else {
        findings_add(findings, "commit", FINDING_OK, NULL,
                     "synchronous_commit is %s", seen->synchronous_commit);
    }
}

static void judge_standbys(const struct postgres_inspection *seen, struct findings *findings) {
    bool is_synchronous = seen->synchronous_standbys[0] != '\0' &&
                          strcmp(seen->synchronous_commit, "local") != 0;
    if (!seen->sees_standbys) {
        findings_add(findings, "standbys", FINDING_WARNING, "GRANT pg_monitor TO the role",
                     "this role may not see whether a standby streams");
    } else if (is_synchronous && seen->standbys_synchronous == 0) {
        findings_add(findings, "standbys", FINDING_UNSAFE,
                     "start the standby, or empty synchronous_standby_names and reload",
                     "synchronous_standby_names waits for a standby that does not stream: every "
                     "commit hangs");
    } else if (seen->standbys > 0 && !is_synchronous) {
        findings_add(findings, "standbys", FINDING_WARNING,
                     "name a standby in synchronous_standby_names, or accept the loss",
                     "standbys are asynchronous: a failover loses the last scans");
    } else if (seen->standbys == 0) {
        findings_add(findings, "standbys", FINDING_WARNING, "add a standby, or take backups often",
                     "no standby streams: the records end with this server's disk");
    } else {
        findings_add(findings, "standbys", FINDING_OK, NULL,
                     "%lld standbys stream, %lld of them synchronous", (long long)seen->standbys,
                     (long long)seen->standbys_synchronous);
    }
}

/* A standby that no node looks for is of no use when the primary is gone. */
static void judge_hosts(const struct postgres_inspection *seen, struct findings *findings) {
    if (seen->standbys > 0 && !seen->names_several_hosts) {
        findings_add(findings, "hosts", FINDING_WARNING,
                     "name every server: postgres://USER@HOST1,HOST2/DATABASE, unless one address "
                     "always leads to the primary",
                     "standbys stream, but store.url names one host: a node would not find the "
                     "promoted one");
    } else if (seen->standbys > 0) {
        findings_add(findings, "hosts", FINDING_OK, NULL, "store.url names several hosts");
    }
}

static void judge_clock(const struct postgres_inspection *seen, struct findings *findings) {
    int64_t skew_ms = seen->server_ms - seen->here_ms;
    int64_t apart_ms = skew_ms < 0 ? -skew_ms : skew_ms;
    enum finding_level_e level = apart_ms > SKEW_UNSAFE_MS    ? FINDING_UNSAFE
                                 : apart_ms > SKEW_WARNING_MS ? FINDING_WARNING
                                                              : FINDING_OK;
    findings_add(findings, "clock_skew", level,
                 level == FINDING_OK ? NULL : "synchronise both clocks: nodes time the records",
                 "the server's clock is %lld ms %s this one", (long long)apart_ms,
                 skew_ms < 0 ? "behind" : "ahead of");
}

static void judge_connections(const struct postgres_inspection *seen, const struct config *config,
                              struct findings *findings) {
    int64_t wanted = config->store_readers + config->store_writers + CONNECTIONS_SPARE;
    if (seen->connections_free < wanted) {
        findings_add(findings, "connections", FINDING_WARNING,
                     "raise max_connections, or end sessions that are not needed",
                     "%lld connections are free, a node takes %lld",
                     (long long)seen->connections_free,
                     (long long)(config->store_readers + config->store_writers));
    } else {
        findings_add(findings, "connections", FINDING_OK, NULL, "%lld connections are free",
                     (long long)seen->connections_free);
    }
}

static void judge_schema(const struct postgres_inspection *seen, struct findings *findings) {
    if (seen->schema > seen->schema_known) {
        findings_add(findings, "schema", FINDING_UNSAFE, "run the newer turnout",
                     "the database has schema %d, this turnout knows up to %d", seen->schema,
                     seen->schema_known);
    } else if (seen->schema < seen->schema_known) {
        findings_add(findings, "schema", FINDING_UNSAFE, "turnout db migrate",
                     "the database has schema %d of %d: serve refuses it", seen->schema,
                     seen->schema_known);
    } else {
        findings_add(findings, "schema", FINDING_OK, NULL, "schema %d is the newest",
                     seen->schema);
    }
}

static void judge_partitions(const struct postgres_inspection *seen, struct findings *findings) {
    bool none = seen->partitions_until_ms == TIME_NONE;
    int64_t left_ms = none ? 0 : seen->partitions_until_ms - seen->here_ms;
    if (left_ms < HORIZON_WARNING_MS) {
        findings_add(findings, "partitions", FINDING_WARNING,
                     "turnout db partitions, regularly: a record that finds none has to make it",
                     "partitions reach %lld days ahead", (long long)(left_ms / DAY_MS));
    } else {
        findings_add(findings, "partitions", FINDING_OK, NULL, "partitions reach %lld days ahead",
                     (long long)(left_ms / DAY_MS));
    }
    if (seen->indexes_invalid > 0) {
        findings_add(findings, "indexes", FINDING_WARNING, "turnout db indexes",
                     "%lld indexes are invalid: a build was cut short",
                     (long long)seen->indexes_invalid);
    } else {
        findings_add(findings, "indexes", FINDING_OK, NULL, "no index is invalid");
    }
}

static void judge_records(const struct postgres_inspection *seen, const struct config *config,
                          struct findings *findings) {
    int64_t ahead_ms =
        seen->newest_record_ms == TIME_NONE ? 0 : seen->newest_record_ms - seen->here_ms;
    if (ahead_ms > AHEAD_MAX_MS) {
        findings_add(findings, "records", FINDING_UNSAFE,
                     "correct the clock before serving: times of new records would be wrong",
                     "the newest record is %lld s ahead of the clock",
                     (long long)(ahead_ms / 1000));
    } else {
        findings_add(findings, "records", FINDING_OK, NULL, "%s",
                     seen->newest_record_ms == TIME_NONE
                         ? "no attendance record yet"
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

MAY_BLOCK void doctor_check_postgres(const struct config *config, struct findings *findings) {
    struct postgres_inspection seen;
    struct problem problem = {.detail = ""};
    if (postgres_inspect(config->store_url, clock_system(), &seen, &problem) != ERR_OK) {
        findings_add(findings, "store", FINDING_UNSAFE,
                     "start the server, or correct store.url, the role or pg_hba.conf", "%s",
                     problem.detail);
        return;
    }
    findings_add(findings, "store", FINDING_OK, NULL, "a primary answers, PostgreSQL %s",
                 seen.version);
    judge_durability(&seen, findings);
    judge_standbys(&seen, findings);
    judge_hosts(&seen, findings);
    judge_clock(&seen, findings);
    judge_connections(&seen, config, findings);
    judge_schema(&seen, findings);
    if (seen.schema > 0 && seen.schema <= seen.schema_known) {
        judge_partitions(&seen, findings);
        judge_records(&seen, config, findings);
    }
}
