/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every route of the API in one table, and the pure function that finds one.
 *
 * A new route is a row here, `void handle_<operation>(struct call *call)` in a file of its own, and
 * an entry in openapi.json (a unit test compares). Thread: any.
 */
#ifndef TURNOUT_API_ROUTES_H
#define TURNOUT_API_ROUTES_H

#include "base/arena.h"

struct call;

/* Who may: admin may everything. OPEN needs no key. */
enum {
    MAY_ADMIN = 0,
    MAY_SCANNER = 1 << 0,
    MAY_ANALYST = 1 << 1,
    MAY_METRICS = 1 << 2,
    MAY_OPEN = 1 << 3,
    SHED = 1 << 4, /* not who may: what is refused first while load is shed */
    MAY_READ = MAY_SCANNER | MAY_ANALYST,
    MAY_FIGURES = MAY_ANALYST | MAY_METRICS,
};

/* What the body may be: the media types and the size are checked before the handler runs. */
enum route_body_e {
    BODY_NONE,
    BODY_JSON,   /* application/json, up to 64 KiB */
    BODY_NDJSON, /* application/x-ndjson, up to 32 MiB */
    BODY_IMPORT, /* text/csv or application/x-ndjson, up to 32 MiB */
};

/* X(operation: the handler and the operationId, method, path, who may, body)
 * {name} stands for one segment, {name}:verb for one that ends so. */
#define E "/v1/events/{event}"
#define ROUTE_TABLE(X)                                                                             \
    X(scan_once, "POST", E "/checkins", MAY_SCANNER, BODY_JSON)                                    \
    X(scan_batch, "POST", E "/checkins:batch", MAY_SCANNER, BODY_NDJSON)                           \
    X(annul_record, "POST", E "/checkins/{record_id}:annul", MAY_SCANNER, BODY_NONE)               \
    X(list_events, "GET", "/v1/events", MAY_ANALYST, BODY_NONE)                                    \
    X(create_event, "POST", "/v1/events", MAY_ADMIN, BODY_JSON)                                    \
    X(read_event, "GET", E, MAY_ANALYST, BODY_NONE)                                                \
    X(update_event, "PATCH", E, MAY_ADMIN, BODY_JSON)                                              \
    X(list_gates, "GET", E "/gates", MAY_READ, BODY_NONE)                                          \
    X(create_gate, "POST", E "/gates", MAY_ADMIN, BODY_JSON)                                       \
    X(read_gate, "GET", E "/gates/{gate}", MAY_READ, BODY_NONE)                                    \
    X(update_gate, "PATCH", E "/gates/{gate}", MAY_ADMIN, BODY_JSON)                               \
    X(list_participants, "GET", E "/participants", MAY_READ, BODY_NONE)                            \
    X(create_participant, "POST", E "/participants", MAY_ADMIN, BODY_JSON)                         \
    X(import_participants, "POST", E "/participants:import", MAY_ADMIN, BODY_IMPORT)               \
    X(read_participant, "GET", E "/participants/{id}", MAY_ANALYST, BODY_NONE)                     \
    X(update_participant, "PATCH", E "/participants/{id}", MAY_ADMIN, BODY_JSON)                   \
    X(erase_participant, "DELETE", E "/participants/{id}", MAY_ADMIN, BODY_NONE)                   \
    X(list_attendance, "GET", E "/attendance", MAY_ANALYST | SHED, BODY_NONE)                      \
    X(read_stats, "GET", E "/stats", MAY_READ, BODY_NONE)                                          \
    X(read_timeline, "GET", E "/stats/timeline", MAY_READ | SHED, BODY_NONE)                       \
    X(read_performance, "GET", "/v1/performance", MAY_FIGURES, BODY_NONE)                          \
    X(stream_performance, "GET", "/v1/performance/stream", MAY_FIGURES, BODY_NONE)                 \
    X(read_kpi, "GET", "/v1/performance/kpi", MAY_FIGURES, BODY_NONE)                              \
    X(read_suggestions, "GET", "/v1/performance/suggestions", MAY_FIGURES, BODY_NONE)              \
    X(read_performance_history, "GET", "/v1/performance/history", MAY_FIGURES, BODY_NONE)          \
    X(read_database_queries, "GET", "/v1/database/queries", MAY_ANALYST, BODY_NONE)                \
    X(read_database_indexes, "GET", "/v1/database/indexes", MAY_ANALYST, BODY_NONE)                \
    X(read_database_partitions, "GET", "/v1/database/partitions", MAY_ANALYST, BODY_NONE)          \
    X(maintain_database, "POST", "/v1/database:maintain", MAY_ADMIN, BODY_JSON)                    \
    X(optimize_database, "POST", "/v1/database:optimize", MAY_ADMIN, BODY_JSON)                    \
    X(read_status, "GET", "/v1/status", MAY_OPEN, BODY_NONE)                                       \
    X(list_nodes, "GET", "/v1/nodes", MAY_FIGURES, BODY_NONE)                                      \
    X(choose_node, "GET", "/v1/nodes/optimal", MAY_FIGURES, BODY_NONE)                             \
    X(list_alerts, "GET", "/v1/alerts", MAY_FIGURES, BODY_NONE)                                    \
    X(list_actions, "GET", "/v1/actions", MAY_FIGURES, BODY_NONE)                                  \
    X(approve_action, "POST", "/v1/actions/{id}:approve", MAY_ADMIN, BODY_NONE)                    \
    X(refuse_action, "POST", "/v1/actions/{id}:refuse", MAY_ADMIN, BODY_NONE)                      \
    X(stop_acting, "POST", "/v1/actions:stop", MAY_ADMIN, BODY_JSON)                               \
    X(resume_acting, "POST", "/v1/actions:resume", MAY_ADMIN, BODY_NONE)                           \
    X(list_silences, "GET", "/v1/silences", MAY_FIGURES, BODY_NONE)                                \
    X(create_silence, "POST", "/v1/silences", MAY_ADMIN, BODY_JSON)                                \
    X(end_silence, "DELETE", "/v1/silences/{id}", MAY_ADMIN, BODY_NONE)                            \
    X(list_notifications, "GET", "/v1/notifications", MAY_FIGURES, BODY_NONE)                      \
    X(open_session, "POST", "/v1/session", MAY_OPEN, BODY_JSON)                                    \
    X(read_session, "GET", "/v1/session", MAY_READ | MAY_METRICS, BODY_NONE)                       \
    X(close_session, "DELETE", "/v1/session", MAY_OPEN, BODY_NONE)                                 \
    X(dashboard, "GET", "/", MAY_OPEN, BODY_NONE)                                                  \
    X(dashboard_asset, "GET", "/assets/{file}", MAY_OPEN, BODY_NONE)                               \
    X(read_cache, "GET", "/v1/cache", MAY_ANALYST, BODY_NONE)                                      \
    X(invalidate_cache, "POST", "/v1/cache:invalidate", MAY_ADMIN, BODY_JSON)                      \
    X(preload_cache, "POST", "/v1/cache:preload", MAY_ADMIN, BODY_NONE)                            \
    X(warm_cache, "POST", "/v1/cache:warm", MAY_ADMIN, BODY_NONE)                                  \
    X(metrics, "GET", "/metrics", MAY_FIGURES, BODY_NONE)                                          \
    X(livez, "GET", "/livez", MAY_OPEN, BODY_NONE)                                                 \
    X(readyz, "GET", "/readyz", MAY_OPEN, BODY_NONE)                                               \
    X(openapi, "GET", "/openapi.json", MAY_OPEN, BODY_NONE)

enum { ROUTE_PARAMS_MAX = 2, ROUTE_SEGMENTS_MAX = 8 };

struct route {
    const char *operation;
    const char *method;
    const char *path;
    unsigned may;
    enum route_body_e body;
    void (*handle)(struct call *call);
};

#define X(operation, method, path, may, body) void handle_##operation(struct call *call);
ROUTE_TABLE(X)
#undef X

/* It is about events and those who look at them: a controller alone does not answer it. */
bool route_is_of_events(const struct route *route);

size_t route_count(void);
const struct route *route_at(size_t index);
size_t route_index(const struct route *route);

struct route_match {
    const struct route *route;               /* NULL: see `allow` */
    struct slice params[ROUTE_PARAMS_MAX];   /* decoded, in the order of the path */
    char allow[64];                          /* methods of the path when the method is another */
};

/* ERR_OK with a route; ERR_NOT_FOUND; ERR_METHOD_NOT_ALLOWED with `allow`; ERR_MALFORMED_REQUEST
 * for a broken escape or bytes that are not UTF-8; ERR_NO_MEMORY. HEAD finds what GET finds. */
enum err_e route_find(struct arena *arena, struct slice method, struct slice path,
                      struct route_match *ret_match) MUST_CHECK;

#endif
