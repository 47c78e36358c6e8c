/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every setting in one table: it generates the struct, the parsing, the environment's names,
 * `turnout help config` and docs/configuration.md.
 *
 * A value comes from a flag, else from the environment (TURNOUT_SECTION_KEY), else from the INI
 * file, else from the table. Wrong values and unknown names are errors that say where they stand,
 * what was expected and an example; all of them are reported, not the first alone. The sections
 * `scaler`, `balancer` and `alert.*` belong to the control plane (control/policy.h): their lines
 * are checked by it and kept as they stand, with their numbers.
 * Thread: main, before others start; afterwards a config is read-only.
 */
#ifndef TURNOUT_APP_CONFIG_H
#define TURNOUT_APP_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    CONFIG_TEXT_SIZE = 1024,     /* of a text setting with its NUL: paths and lists of addresses */
    CONFIG_LINE_MAX = 1200,      /* bytes of a line in the file */
    CONFIG_SECTION_MAX = 48,     /* bytes of a section's name: inih cuts longer ones silently */
    CONFIG_CONTROL_LINES_MAX = 4096, /* of the control plane: hundreds of rules */
    CONFIG_MEMORY_MAX = 8 << 20, /* bytes of the control plane's lines */
};

/*
 * X(section, key, TYPE, default, lowest, highest, what it means)
 *
 * lowest and highest are written as a value is: a TEXT's are its length in bytes, a CHOICE has its
 * words in `lowest`, parted by |, and nothing in `highest`. The struct member is section_key: TEXT
 * is a char array, BOOL a bool, CHOICE the index of the word, DURATION milliseconds, SIZE bytes.
 */
#define CONFIG_TABLE(X)                                                                            \
    X(server, listen, TEXT, "127.0.0.1:8080", "1", "255",                                          \
      "Address to listen on, host:port. Port 0 takes a free one; :8080 listens everywhere.")       \
    X(server, loops, INT, "0", "0", "256",                                                         \
      "Event loops, each on a thread of its own. 0 means one per core.")                           \
    X(server, trusted_proxies, TEXT, "", "0", "1023",                                              \
      "Addresses and networks of the proxies in front, 10.0.0.7,10.1.0.0/16,fd00::/8: from them "  \
      "the client's address is the last entry of X-Forwarded-For that is no trusted proxy, and "   \
      "the scheme that of X-Forwarded-Proto. Empty: nobody is believed.")                          \
    X(server, connections_max, INT, "12000", "16", "1000000",                                      \
      "Connections open at once; further ones wait in the backlog. Each takes a descriptor.")      \
    X(server, head_max, SIZE, "16K", "1K", "64K",                                                  \
      "Request line and header fields of one request; more is answered 431.")                      \
    X(server, body_max, SIZE, "32M", "64K", "1G",                                                  \
      "Body of one request (an import or a batch); more is answered 413.")                         \
    X(server, body_budget, SIZE, "256M", "1M", "64G",                                              \
      "Memory for bodies that are still arriving, over all loops; the largest is cut off first.")  \
    X(server, request_timeout, DURATION, "10s", "100ms", "1h",                                     \
      "Time for a client to send a request's head, and between two pieces of its body.")           \
    X(server, response_timeout, DURATION, "30s", "100ms", "1h",                                    \
      "Time that a client may take no byte of its answer before it is cut off.")                   \
    X(server, drain_timeout, DURATION, "10s", "0s", "1h",                                          \
      "Time for requests in flight to finish when the node is asked to stop.")                     \
    X(server, takeover_timeout, DURATION, "60s", "1s", "1h",                                       \
      "Time for a new process to become ready to take over; then this one goes on by itself.")     \
    X(server, agent, TEXT, "", "0", "255",                                                         \
      "Address where HAProxy's agent check hears this node's share of the load. Empty: none.")     \
    X(store, url, TEXT, "sqlite:turnout.db", "1", "1023",                                          \
      "What remembers: sqlite:PATH, or postgres://USER@HOST/DATABASE.")                            \
    X(store, queue_max, INT, "16384", "16", "1000000",                                             \
      "Operations that may wait for the store; further ones are answered 503 with Retry-After.")   \
    X(store, group_max, INT, "1024", "1", "10000",                                                 \
      "Scans and rows in one transaction. 1 commits every scan alone.")                            \
    X(store, readers, INT, "2", "1", "16",                                                         \
      "Threads that read beside the writer, each with a connection to the store.")                 \
    X(store, writers, INT, "1", "1", "4",                                                          \
      "Threads that write to PostgreSQL. More help with several events at once; SQLite has one.")  \
    X(store, replica_lag, DURATION, "500ms", "0s", "900ms",                                        \
      "How old a PostgreSQL standby may be to answer histories and exports. 0s: it is not asked.") \
    X(store, deadline, DURATION, "5s", "10ms", "10m",                                              \
      "An operation that waited longer for the store is answered 503 instead of late.")            \
    X(store, ops_max, INT, "4096", "16", "1000000",                                                \
      "Reads and administrative writes under way at once, on each loop.")                          \
    X(database, partition_period, CHOICE, "quarter", "quarter|month|week", "",                     \
      "What a new partition of attendance records spans, in UTC. Older ones stay as they are.")    \
    X(database, partitions_ahead, INT, "4", "1", "60",                                             \
      "Periods of attendance records to have a partition for, after the current one.")             \
    X(database, retention_days, INT, "0", "0", "36500",                                            \
      "Partitions that ended longer ago are retired. 0 retires nothing.")                          \
    X(database, quarantine_days, INT, "7", "0", "3650",                                            \
      "Time between taking a partition out of the table and dropping it.")                         \
    X(database, archive_dir, TEXT, "", "0", "1023",                                                \
      "Folder for the rows of a partition, as compressed CSV, before it is dropped. Empty: none.") \
    X(database, slow_query, DURATION, "100ms", "1ms", "1h",                                        \
      "A critical query that takes longer is reported as slow.")                                   \
    X(database, build_advised, BOOL, "no", "", "",                                                 \
      "Let optimize build the index that a slow statement lacks, if hypopg shows its gain.")       \
    X(database, budget, DURATION, "30m", "1s", "24h",                                              \
      "Time for one run of the optimizer; what is under way then is cancelled.")                   \
    X(database, window, TEXT, "", "0", "11",                                                       \
      "UTC times of day for maintenance, HH:MM-HH:MM. Empty: any time.")                           \
    X(database, interval, DURATION, "1h", "0s", "720h",                                            \
      "How often a node looks after its PostgreSQL: partitions, then maintenance. 0: never.")      \
    X(checkin, scans_max, INT, "8192", "16", "1000000",                                            \
      "Single scans under way at once, on each loop; further ones are answered 503.")              \
    X(checkin, batches_max, INT, "32", "1", "1000",                                                \
      "Batches of scans under way at once, on each loop; further ones wait for store.deadline.")   \
    X(checkin, chunk, INT, "512", "1", "1024",                                                     \
      "Scans of a batch that the store gets at a time, so that single scans pass between them.")   \
    X(cache, policy, CHOICE, "s3fifo", "off|s3fifo|lru|sieve|tinylfu", "",                         \
      "How the cache in the process chooses what to evict. off: no cache at all.")                 \
    X(cache, entries, INT, "1000", "16", "16777216",                                               \
      "Entries in the process. turnout cache simulate tells what more of them would give.")        \
    X(cache, bytes, SIZE, "64M", "1M", "64G",                                                      \
      "Memory for keys and values in the process.")                                                \
    X(cache, ttl, DURATION, "5m", "1s", "24h",                                                     \
      "Life of configuration, gates and participants in the process. Writes drop them anyway.")    \
    X(cache, l2_ttl, DURATION, "10m", "1s", "24h",                                                 \
      "Longest life of an entry in Redis; invalidation ends it sooner.")                           \
    X(cache, stale, DURATION, "30s", "0s", "10m",                                                  \
      "How long after its life a value may be answered, marked, while the store fails.")           \
    X(cache, warm, CHOICE, "critical", "none|critical|all", "",                                    \
      "What to read into the cache at start, in the background. all: participants and gates, too.")\
    X(cache, roster, TEXT, "", "0", "1023",                                                        \
      "File for the keys that are asked for most, read at the next start. Empty: none.")           \
    X(redis, nodes, TEXT, "", "0", "1023",                                                         \
      "Redis Cluster nodes to start from, host:port,host:port. Empty: no second cache level.")     \
    X(redis, password, TEXT, "", "0", "512",                                                       \
      "Password for AUTH. Keep it out of the file: TURNOUT_REDIS_PASSWORD or redis.password_file.")\
    X(redis, password_file, TEXT, "", "0", "1023",                                                 \
      "File whose first line is the password.")                                                    \
    X(redis, timeout, DURATION, "250ms", "10ms", "500ms",                                          \
      "Time for one request to Redis with its retries; then it counts as a miss.")                 \
    X(redis, reads, CHOICE, "primary", "primary|spread", "",                                       \
      "Where values are read. spread: replicas, too, which may be a moment behind.")               \
    X(auth, mode, CHOICE, "required", "required|off", "",                                          \
      "Whether requests need an API key. off is allowed on a loopback address alone.")             \
    X(auth, session, DURATION, "12h", "1m", "720h",                                                \
      "How long a login of the dashboard lasts.")                                                  \
    X(cluster, url, TEXT, "", "0", "511",                                                          \
      "Where other nodes reach this one, http://HOST:PORT. Empty: as server.listen says.")         \
    X(cluster, secret, TEXT, "", "0", "512",                                                       \
      "What nodes and controllers sign with, 16 bytes or more. Empty: one kept in the database. "  \
      "Keep it out of the file: TURNOUT_CLUSTER_SECRET or cluster.secret_file.")                   \
    X(cluster, secret_file, TEXT, "", "0", "1023", "File whose first line is that secret.")        \
    X(cluster, life, DURATION, "20s", "4s", "1h",                                                  \
      "How long a node stays registered that does not renew; it renews four times as often.")      \
    X(cluster, answer_within, DURATION, "800ms", "10ms", "950ms",                                  \
      "Each second every node is asked how it is; one without an answer by then was missed.")      \
    X(cluster, slow, DURATION, "500ms", "1ms", "950ms", "An answer that takes longer is slow.")    \
    X(cluster, miss_after, INT, "2", "1", "100",                                                   \
      "Misses in a row that make a node suspect, which is never chosen. So do five of ten.")       \
    X(cluster, slow_after, INT, "3", "1", "100", "The same for slow answers.")                     \
    X(cluster, recover_after, INT, "3", "1", "100",                                                \
      "Good answers in a row that make a suspect node healthy again.")                             \
    X(cluster, clock_off, DURATION, "1s", "10ms", "1h",                                            \
      "A node whose clock differs by more is warned of.")                                          \
    X(control, candidate, BOOL, "yes", "", "",                                                     \
      "On PostgreSQL: whether a node that serves may lead, which is to act for all nodes. "        \
      "turnout control always may.")                                                               \
    X(control, listen, TEXT, "127.0.0.1:0", "1", "255",                                            \
      "Where turnout control answers /v1/nodes, /metrics and the like. Port 0 takes a free one.")  \
    X(control, lease, DURATION, "3s", "600ms", "1m",                                               \
      "How long a leader that does not renew keeps the lead; it renews six times as often.")       \
    X(control, record, TEXT, "", "0", "1023",                                                      \
      "File for what the controller sees and decides, a line a second, for turnout control "       \
      "replay. Empty: none.")                                                                      \
    X(control, record_max, SIZE, "64M", "64K", "64G",                                              \
      "Size at which that file moves to FILE.1 and a new one begins.")                             \
    X(haproxy, socket, TEXT, "", "0", "107",                                                       \
      "HAProxy's stats socket, level admin, for the controller. Empty: no HAProxy is driven.")     \
    X(haproxy, map, TEXT, "", "0", "1023",                                                         \
      "The map in haproxy.cfg that names the best node by kind of request. Empty: none.")          \
    X(haproxy, drain, DURATION, "30s", "0s", "1h",                                                 \
      "Time for requests on a node that is to go; then they are cut.")                             \
    X(haproxy, bind, TEXT, ":8000", "1", "255",                                                    \
      "For turnout control haproxy: where HAProxy listens.")                                       \
    X(haproxy, tls_bind, TEXT, "", "0", "255",                                                     \
      "The same for TLS, with HTTP/2. Empty: none.")                                               \
    X(haproxy, certificate, TEXT, "", "0", "1023",                                                 \
      "PEM file with chain and key for haproxy.tls_bind.")                                         \
    X(haproxy, stats_bind, TEXT, "", "0", "255",                                                   \
      "The same for HAProxy's page of its servers, for operators alone. Empty: none.")             \
    X(haproxy, connections_max, INT, "8000", "1", "1000000",                                       \
      "Connections of clients that HAProxy takes at once; it needs two descriptors for each.")     \
    X(provider, ready_within, DURATION, "2m", "1s", "1h",                                          \
      "Time for new nodes to serve, and for stopped ones to end. What does not serve by then "     \
      "is taken back.")                                                                            \
    X(provider, timeout, DURATION, "10s", "100ms", "5m",                                           \
      "Time for one answer of the provider.")                                                      \
    X(process, folder, TEXT, "", "0", "1023",                                                      \
      "For scaler.provider = process: absolute folder for what is known of the nodes, and "        \
      "their logs.")                                                                               \
    X(process, listen, TEXT, "127.0.0.1:0", "1", "255",                                            \
      "Where the nodes listen; port 0 takes a free one for each.")                                 \
    X(process, ready_within, DURATION, "30s", "1s", "1h",                                          \
      "A node that is not ready by then is killed and started again later.")                       \
    X(process, stop_within, DURATION, "20s", "1s", "1h",                                           \
      "Time between SIGTERM and SIGKILL; longer than server.drain_timeout.")                       \
    X(systemd, template, TEXT, "turnout", "1", "253",                                              \
      "For scaler.provider = systemd: nodes are TEMPLATE@1.service and so on.")                    \
    X(systemd, user, BOOL, "no", "", "",                                                           \
      "Units of the user's own systemd.")                                                          \
    X(swarm, socket, TEXT, "/var/run/docker.sock", "1", "107",                                     \
      "For scaler.provider = swarm: the engine's socket.")                                         \
    X(swarm, service, TEXT, "", "0", "253",                                                        \
      "The service whose replicas are scaled.")                                                    \
    X(kubernetes, url, TEXT, "", "0", "1023",                                                      \
      "For scaler.provider = kubernetes: the API server. Empty: the one of the pod's cluster.")    \
    X(kubernetes, token_file, TEXT, "", "0", "1023",                                               \
      "File with the token. Empty: the service account's.")                                        \
    X(kubernetes, ca_file, TEXT, "", "0", "1023",                                                  \
      "File with the CA of the API server. Empty: the service account's.")                         \
    X(kubernetes, namespace, TEXT, "default", "1", "253",                                          \
      "Namespace that the workload is in.")                                                        \
    X(kubernetes, kind, CHOICE, "deployment", "deployment|statefulset", "",                        \
      "What kind of workload it is.")                                                              \
    X(kubernetes, name, TEXT, "", "0", "253",                                                      \
      "The workload to scale.")                                                                    \
    X(nomad, url, TEXT, "http://127.0.0.1:4646", "1", "1023",                                      \
      "For scaler.provider = nomad: the agent.")                                                   \
    X(nomad, token_file, TEXT, "", "0", "1023",                                                    \
      "Token with scale-job and read-job. Empty: none.")                                           \
    X(nomad, namespace, TEXT, "default", "1", "253",                                               \
      "Namespace that the job is in.")                                                             \
    X(nomad, job, TEXT, "", "0", "253",                                                            \
      "The job that has the task group.")                                                          \
    X(nomad, group, TEXT, "", "0", "253",                                                          \
      "The task group of that job to scale.")                                                      \
    X(command, program, TEXT, "", "0", "1023",                                                     \
      "For scaler.provider = command: absolute path of a program that is told and asked in "       \
      "JSON.")                                                                                     \
    X(recovery, mode, CHOICE, "act", "advise|ask|act", "",                                         \
      "What is done about a firing rule: advise writes it into the journal, ask waits for an "     \
      "approval, act does it.")                                                                    \
    X(recovery, budget, INT, "6", "0", "64",                                                       \
      "Automatic actions begun within an hour, at most.")                                          \
    X(recovery, verify, DURATION, "60s", "0s", "1h",                                               \
      "Time after an action until its effect is judged. 0s: it is not.")                           \
    X(recovery, approve_within, DURATION, "10m", "1s", "24h",                                      \
      "With mode ask: time for an approval; then the action is dropped.")                          \
    X(recovery, limit, DURATION, "15m", "10s", "24h",                                              \
      "Time for an action: one that takes longer is given up, and its row says failed.")           \
    X(recovery, restart_after, DURATION, "1m", "0s", "24h",                                        \
      "RESTART_SERVICE leaves a process alone that began later than that ago.")                    \
    X(recovery, restart_within, DURATION, "1m", "5s", "10m",                                       \
      "With RESTART_SERVICE: time for a node to be back, or the others are left alone.")           \
    X(recovery, shed_for, DURATION, "5m", "10s", "1h",                                             \
      "Time that SHED_LOAD refuses analytics, unless its rule is calm sooner.")                    \
    X(log, level, CHOICE, "info", "error|warn|info|debug", "",                                     \
      "Least serious lines to write on standard error.")                                           \
    X(log, access, TEXT, "off", "1", "1023",                                                       \
      "A line for each request: off, - for standard output, or a file. No tokens or keys in it.")

#define CONFIG_MEMBER_TEXT(name) char name[CONFIG_TEXT_SIZE];
#define CONFIG_MEMBER_INT(name) int64_t name;
#define CONFIG_MEMBER_BOOL(name) bool name;
#define CONFIG_MEMBER_DURATION(name) int64_t name##_ms;
#define CONFIG_MEMBER_SIZE(name) int64_t name;
#define CONFIG_MEMBER_CHOICE(name) int name;

enum config_key_e {
#define X(section, key, type, preset, lowest, highest, meaning) CONFIG_##section##_##key,
    CONFIG_TABLE(X)
#undef X
    CONFIG_COUNT
};

/* X(NAME, word in help and docs) */
#define CONFIG_TYPE_TABLE(X)                                                                       \
    X(TEXT, "text") X(INT, "integer") X(BOOL, "boolean") X(DURATION, "duration")                   \
    X(SIZE, "size") X(CHOICE, "choice")
#define X(name, text) CONFIG_TYPE_##name,
enum config_type_e { CONFIG_TYPE_TABLE(X) };
#undef X

#define CONFIG_ORIGIN_TABLE(X)                                                                     \
    X(DEFAULT, "default") X(FILE, "file") X(ENVIRONMENT, "environment") X(FLAG, "flag")
#define X(name, text) CONFIG_ORIGIN_##name,
enum config_origin_e { CONFIG_ORIGIN_TABLE(X) };
#undef X

/* A line of the control plane's sections. line 0: from the environment (not for alert rules). */
struct config_line {
    int line;
    struct slice section; /* "scaler", "alert.high_response_time" */
    struct slice key;
    struct slice value;
};

struct policy;

struct config {
#define X(section, key, type, preset, lowest, highest, meaning)                                    \
    CONFIG_MEMBER_##type(section##_##key)
    CONFIG_TABLE(X)
#undef X
    enum config_origin_e origins[CONFIG_COUNT];
    int lines[CONFIG_COUNT]; /* in the file; 0 when it does not come from there */
    const char *file;        /* as given to config_load; NULL: none */
    struct config_line *control; /* in the order given; all of them are valid */
    size_t control_len;
    struct arena arena; /* of the control plane's lines */
};

/* One setting given as a flag; `value` is borrowed until config_load returns. */
struct config_flag {
    enum config_key_e key;
    const char *flag; /* "--listen", for messages */
    const char *value;
};

struct config_input {
    const char *file;         /* NULL: none */
    char *const *environment; /* as environ; NULL: none */
    const struct config_flag *flags;
    size_t flags_len;
};

/* ERR_CONFIG when anything is wrong: `ret_errors` then holds one line for each. */
enum err_e config_load(struct config *ret_config, const struct config_input *input,
                       struct buf *ret_errors) MUST_CHECK;
void config_fini(struct config *config);

/* The control plane's settings of a loaded configuration. */
void config_policy(const struct config *config, struct policy *ret_policy);

/* X(NAME, word, what it takes) How a setting that was changed comes into effect in a running
 * node. */
#define CONFIG_CHANGE_TABLE(X)                                                                     \
    X(TAKEOVER, "takeover",                                                                        \
      "kill -USR2 the process: a new one takes over, and no request is lost")                      \
    X(LIVE, "live", "kill -HUP the process")                                                       \
    X(RESTART, "restart", "stop the process and start it: a takeover keeps it as it is")
#define X(name, text, remedy) CONFIG_CHANGE_##name,
enum config_change_e { CONFIG_CHANGE_TABLE(X) };
#undef X
enum config_change_e config_change(enum config_key_e key);
const char *config_change_text(enum config_change_e change);
const char *config_change_remedy(enum config_change_e change);

bool config_differs(const struct config *a, const struct config *b, enum config_key_e key);
/* The value, its origin and its line. */
void config_copy(struct config *to, const struct config *from, enum config_key_e key);
/* As it is written in a file. A text is never shown, as it may hold a password: "(text)". */
void config_show(const struct config *config, enum config_key_e key, struct buf *to);
/* The lines of the control plane say the same, wherever they stand. */
bool config_control_differs(const struct config *a, const struct config *b);

/* One row of the table, for help and documentation. */
struct config_row {
    const char *section;
    const char *key;
    const char *name; /* section.key */
    enum config_type_e type;
    const char *preset;
    const char *lowest;
    const char *highest;
    const char *meaning;
};
const struct config_row *config_row(enum config_key_e key);
const char *config_type_text(enum config_type_e type);
const char *config_origin_text(enum config_origin_e origin);
/* "between 1K and 1G", "one of required, off": what a value of this row may be. */
void config_row_range(const struct config_row *row, struct buf *to);
/* "TURNOUT_SERVER_LISTEN" */
enum { CONFIG_ENVIRONMENT_SIZE = 80 };
void config_row_environment(const struct config_row *row, char ret_name[CONFIG_ENVIRONMENT_SIZE]);

/* Value syntax, shared with the control plane's sections. False when `text` is none. */
bool config_parse_duration(struct slice text, int64_t *ret_ms);  /* 250ms 10s 5m 1h, or 0 */
bool config_parse_size(struct slice text, int64_t *ret_bytes);   /* 512 64K 32M 1G */
bool config_parse_bool(struct slice text, bool *ret_value);      /* yes no true false on off 1 0 */

#endif
