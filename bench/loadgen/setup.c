/* SPDX-License-Identifier: Apache-2.0 */
#include "setup.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <threads.h>

enum { ROWS_A_REQUEST = 50000, PATH_SIZE = 256, POLL_MS = 50 };
#define WARM "\"warming\":{\"state\":\"idle\""

static bool ask(struct http *http, const struct http_request *request, int wanted) {
    int status = http_ask(http, request);
    if (status != wanted) {
        fprintf(stderr, "loadgen: %s %s: %d %.*s\n", request->method, request->path, status,
                http->body.len < 300 ? (int)http->body.len : 300, http->body.at);
    }
    return status == wanted;
}

static bool make_event(const struct run *run, struct http *http, struct buf *body) {
    struct json_writer w;
    buf_clear(body);
    json_writer_init(&w, body);
    json_begin_object(&w);
    json_put_cstr(&w, "code", run->options->event);
    json_put_cstr(&w, "name", run->load.title[0] != '\0' ? run->load.title : "A load");
    json_put_cstr(&w, "reentry", reentry_text(run->load.reentry));
    if (run->load.capacity >= 0) {
        json_put_int(&w, "capacity", (int64_t)run->load.capacity);
    }
    json_end_object(&w);
    return ask(http, &(struct http_request){"POST", "/v1/events", "application/json",
                                            buf_slice(body)}, 201);
}

static bool make_gate(const struct run *run, struct http *http, unsigned number) {
    char path[PATH_SIZE], body[64];
    snprintf(path, sizeof path, "/v1/events/%s/gates", run->options->event);
    snprintf(body, sizeof body, "{\"code\":\"g%02u\",\"name\":\"Gate %02u\"}", number, number);
    return ask(http, &(struct http_request){"POST", path, "application/json", slice_of(body)},
               201);
}

static void add_person(const struct run *run, uint32_t person, struct buf *body) {
    char token[NONCE_SIZE];
    ledger_token(&run->ledger, person, token);
    buf_printf(body, "%s,Visitor %06" PRIu32 ",visitor%06" PRIu32 "@example.org,", token, person,
               person);
    if (person >= run->crowd.first_bound) {
        buf_printf(body, "g%02" PRIu32, person % run->crowd.gates + 1);
    }
    buf_add_char(body, '\n');
}

static bool import_people(const struct run *run, struct http *http, struct buf *body) {
    char path[PATH_SIZE], wanted[48];
    snprintf(path, sizeof path, "/v1/events/%s/participants:import", run->options->event);
    for (uint32_t first = 0; first < run->crowd.people; first += ROWS_A_REQUEST) {
        uint32_t left = run->crowd.people - first;
        uint32_t count = left < ROWS_A_REQUEST ? left : ROWS_A_REQUEST;
        buf_clear(body);
        buf_add_text(body, "token,name,email,gates\n");
        for (uint32_t i = 0; i < count; i++) {
            add_person(run, first + i, body);
        }
        struct slice answer;
        if (!ask(http, &(struct http_request){"POST", path, "text/csv", buf_slice(body)}, 200)) {
            return false;
        }
        /* Asked again after a lost answer, rows are updated; both together are all of them. */
        snprintf(wanted, sizeof wanted, "\"rejected\":[]");
        answer = buf_slice(&http->body);
        if (memmem(answer.at, answer.len, wanted, strlen(wanted)) == NULL) {
            fprintf(stderr, "loadgen: %s: %.*s\n", path, (int)(answer.len < 300 ? answer.len : 300),
                    answer.at);
            return false;
        }
    }
    return true;
}

/* As the dashboard's buttons do; the first node is asked. */
static bool order_of_cache(const struct run *run, struct http *http, const char *path) {
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    int status = http_ask(http, &(struct http_request){"POST", path, NULL, SLICE_NONE});
    if (status != 200 && status != 202) {
        fprintf(stderr, "loadgen: POST %s: %d\n", path, status);
        return false;
    }
    for (double waited_ms = 0; waited_ms < run->options->patience_s * 1000; waited_ms += POLL_MS) {
        struct slice answer;
        if (!ask(http, &(struct http_request){"GET", "/v1/cache", NULL, SLICE_NONE}, 200)) {
            return false;
        }
        answer = buf_slice(&http->body);
        if (memmem(answer.at, answer.len, WARM, strlen(WARM)) != NULL) {
            return true;
        }
        thrd_sleep(&pause, NULL);
    }
    fprintf(stderr, "loadgen: POST %s is not done after %g s\n", path, run->options->patience_s);
    return false;
}

bool setup_event(const struct run *run, struct http *http) {
    struct buf body;
    buf_init(&body, 32 << 20);
    bool is_made = make_event(run, http, &body);
    for (unsigned gate = 1; is_made && gate <= run->crowd.gates; gate++) {
        is_made = make_gate(run, http, gate);
    }
    is_made = is_made && import_people(run, http, &body);
    if (run->load.warm > 0) {
        is_made = is_made && order_of_cache(run, http, "/v1/cache:preload") &&
                  order_of_cache(run, http, "/v1/cache:warm");
    }
    buf_fini(&body);
    return is_made;
}
