/* SPDX-License-Identifier: Apache-2.0 */
/* From a configuration that was read again to a node that follows it. */
#include "app/node_reload.h"

#include "app/database.h"
#include "app/open.h"
#include "base/assert.h"
#include "base/log.h"

enum { ERRORS_MAX = 1 << 20, SHOWN_MAX = 64 };

void node_limits_from(const struct config *config, size_t loops, int64_t connections,
                      struct node_limits *ret_limits) {
    *ret_limits = (struct node_limits){
        .checkin = {
            .scans_max = (size_t)config->checkin_scans_max,
            .batches_max = (size_t)config->checkin_batches_max,
            .chunk = (size_t)config->checkin_chunk,
            .deadline_ms = config->store_deadline_ms,
        },
        .http = {
            .body_max = (size_t)config->server_body_max,
            .head_max = (size_t)config->server_head_max,
            .request_timeout_ms = config->server_request_timeout_ms,
            .response_timeout_ms = config->server_response_timeout_ms,
            .connections_max = ((size_t)connections + loops - 1) / loops,
            .body_budget = (size_t)config->server_body_budget / loops,
            .server_name = "turnout",
        },
    };
    const char *why = http_trust_parse(slice_of(config->server_trusted_proxies),
                                       &ret_limits->http.proxies);
    ASSERT(why == NULL); /* config_load has checked it */
}

/* ---- telling ---- */

static void log_errors(const struct buf *errors) {
    struct slice rest = buf_slice(errors), line;
    while (slice_next(&rest, '\n', &line)) {
        if (line.len > 0) {
            log_event(LOG_ERROR, "reload_refused", "reason=\"%.*s\"", SLICE_ARG(line));
        }
    }
}

/* Both values as they are written in a file, each with a NUL. */
struct shown {
    char now[SHOWN_MAX], next[SHOWN_MAX];
};

static void show_value(const struct config *config, enum config_key_e key, char ret[SHOWN_MAX]) {
    struct buf text;
    buf_init(&text, SHOWN_MAX);
    config_show(config, key, &text);
    if (!slice_to_cstr(buf_slice(&text), ret, SHOWN_MAX)) {
        ret[0] = '\0';
    }
    buf_fini(&text);
}

static void tell(const struct node_reload *reload, const struct config *next,
                 enum config_key_e key) {
    struct shown shown;
    enum config_change_e change = config_change(key);
    show_value(&reload->now, key, shown.now);
    show_value(next, key, shown.next);
    if (change == CONFIG_CHANGE_LIVE) {
        log_event(LOG_INFO, "setting_changed", "setting=%s from=%s to=%s", config_row(key)->name,
                  shown.now, shown.next);
        return;
    }
    log_event(LOG_WARN, "setting_waits", "setting=%s now=%s wanted=%s takes=%s remedy=\"%s\"",
              config_row(key)->name, shown.now, shown.next, config_change_text(change),
              config_change_remedy(change));
}

/* ---- following ---- */

struct outcome {
    size_t changed, waiting;
};

static struct outcome take_settings(struct node_reload *reload, const struct config *next) {
    struct outcome outcome = {0, 0};
    for (int i = 0; i < CONFIG_COUNT; i++) {
        enum config_key_e key = (enum config_key_e)i;
        if (!config_differs(&reload->now, next, key)) {
            continue;
        }
        tell(reload, next, key);
        if (config_change(key) == CONFIG_CHANGE_LIVE) {
            config_copy(&reload->now, next, key);
            outcome.changed++;
        } else {
            outcome.waiting++;
        }
    }
    if (config_control_differs(&reload->now, next)) {
        log_event(LOG_WARN, "setting_waits", "setting=control_plane takes=%s remedy=\"%s\"",
                  config_change_text(CONFIG_CHANGE_TAKEOVER),
                  config_change_remedy(CONFIG_CHANGE_TAKEOVER));
        outcome.waiting++;
    }
    return outcome;
}

/* `now` into what runs. */
static void apply(struct node_reload *reload) {
    const struct config *now = &reload->now;
    struct node_limits limits;
    struct db_service_options optimizer = {.every_ms = now->database_interval_ms};
    struct problem ignored;
    log_set_level((enum log_level_e)now->log_level);
    atomic_store(&reload->api_node->store_deadline_ms, now->store_deadline_ms);
    atomic_store(&reload->api_node->session_ms, now->auth_session_ms);
    node_cache_set_lives(reload->cache, now);
    if (database_options(now, &optimizer.db, &ignored) == ERR_OK) { /* it was checked before */
        db_service_set(reload->api_node->optimizer, &optimizer);
    }
    node_limits_from(now, reload->loops_len, reload->connections_max, &limits);
    for (size_t i = 0; i < reload->loops_len; i++) {
        node_loop_set(&reload->loops[i], &limits);
    }
}

/* What config_load cannot tell. */
static enum err_e check(const struct config *next, struct buf *errors) {
    struct db_options ignored;
    struct problem problem;
    enum err_e err = database_options(next, &ignored, &problem);
    if (err != ERR_OK) {
        buf_printf(errors, "%s:%d: %s: %s\n", next->file == NULL ? "" : next->file,
                   next->lines[CONFIG_database_window], problem.field, problem.detail);
    }
    return err;
}

MAY_BLOCK bool node_reload(struct node_reload *reload) {
    struct config next;
    struct buf errors;
    buf_init(&errors, ERRORS_MAX);
    enum err_e err = reload->source.load(reload->source.data, &next, &errors);
    bool is_loaded = err == ERR_OK;
    err = is_loaded ? check(&next, &errors) : err;
    if (err == ERR_OK) {
        struct outcome outcome = take_settings(reload, &next);
        apply(reload);
        log_event(LOG_INFO, "reloaded", "config=%s changed=%zu waiting=%zu",
                  next.file == NULL ? "none" : next.file, outcome.changed, outcome.waiting);
    } else {
        log_errors(&errors);
        log_event(LOG_ERROR, "reload_failed", "effect=\"nothing was changed\"");
    }
    if (is_loaded) {
        config_fini(&next);
    }
    buf_fini(&errors);
    return err == ERR_OK;
}
