/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's multi interface, one easy handle a place. */
#include "act/web_round.h"

#include "act/web.h"
#include "base/assert.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

enum { POLL_MS = 50 };

struct place {
    CURL *curl;
    struct curl_slist *fields;
    const struct web_round *round;
    struct web_ask *ask; /* under way; NULL: none */
};

struct web_round {
    struct web_round_options options;
    CURLM *multi;
    struct place *places;
};

struct web_round *web_round_create(const struct web_round_options *options) {
    struct web_round *round = calloc(1, sizeof *round);
    if (round == NULL) {
        return NULL;
    }
    web_init();
    round->options = *options;
    round->multi = curl_multi_init();
    round->places = calloc(options->size, sizeof *round->places);
    bool good = round->multi != NULL && round->places != NULL;
    for (size_t i = 0; good && i < options->size; i++) {
        round->places[i] = (struct place){.curl = curl_easy_init(), .round = round};
        good = round->places[i].curl != NULL;
    }
    if (!good) {
        web_round_destroy(round);
        return NULL;
    }
    curl_multi_setopt(round->multi, CURLMOPT_MAXCONNECTS, (long)(2 * options->size));
    return round;
}

void web_round_destroy(struct web_round *round) {
    if (round == NULL) {
        return;
    }
    for (size_t i = 0; round->places != NULL && i < round->options.size; i++) {
        curl_easy_cleanup(round->places[i].curl);
    }
    curl_multi_cleanup(round->multi);
    free(round->places);
    free(round);
}

/* curl's: less than was given stops the transfer. */
static size_t take_piece(char *piece, size_t size, size_t count, void *data) {
    struct place *place = data;
    buf_add(&place->ask->body, slice_from(piece, size * count));
    return place->ask->body.failed ? 0 : size * count;
}

static size_t take_field(char *line, size_t size, size_t count, void *data) {
    struct place *place = data;
    struct slice rest = slice_from(line, size * count), name;
    const char *wanted = place->round->options.kept_field;
    if (slice_next(&rest, ':', &name) && slice_eq_nocase(name, slice_of(wanted))) {
        rest.len -= rest.len > 0 && rest.at[rest.len - 1] == '\n';
        rest.len -= rest.len > 0 && rest.at[rest.len - 1] == '\r';
        if (!slice_to_cstr(slice_trim(rest), place->ask->kept, sizeof place->ask->kept)) {
            place->ask->kept[0] = '\0';
        }
    }
    return size * count;
}

static void set_up(struct place *place) {
    CURL *curl = place->curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, place->ask->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, place->fields);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)place->round->options.deadline_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_piece);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, place);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_field);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, place);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "turnout/" TURNOUT_VERSION);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, place);
}

static void begin(struct web_round *round, struct place *place, struct web_ask *ask) {
    buf_clear(&ask->body);
    ask->kept[0] = '\0';
    ask->err = ERR_NO_MEMORY;
    ask->reason = "no memory";
    place->ask = ask;
    place->fields = curl_slist_append(NULL, ask->field);
    if (place->fields != NULL) {
        set_up(place);
    }
    if (place->fields == NULL || curl_multi_add_handle(round->multi, place->curl) != CURLM_OK) {
        curl_slist_free_all(place->fields);
        *place = (struct place){.curl = place->curl, .round = round};
    }
}

static enum err_e translate(const struct web_ask *ask, CURLcode code) {
    switch ((int)code) {
    case CURLE_OK:
        return ERR_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_DEADLINE;
    case CURLE_OUT_OF_MEMORY:
        return ERR_NO_MEMORY;
    case CURLE_WRITE_ERROR:
        return ask->body.failed ? ERR_TOO_LARGE : ERR_IO;
    default:
        return ERR_UNAVAILABLE;
    }
}

static void end(struct web_round *round, struct place *place, CURLcode code) {
    long status = 0;
    curl_off_t took_us = 0;
    struct web_ask *ask = place->ask;
    curl_easy_getinfo(place->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(place->curl, CURLINFO_TOTAL_TIME_T, &took_us);
    ask->err = translate(ask, code);
    ask->reason = curl_easy_strerror(code);
    ask->status = (int)status;
    ask->took_us = (int64_t)took_us;
    curl_multi_remove_handle(round->multi, place->curl);
    curl_slist_free_all(place->fields);
    *place = (struct place){.curl = place->curl, .round = round};
}

static void end_finished(struct web_round *round) {
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(round->multi, &left)) != NULL) {
        struct place *place = NULL;
        CURLcode code = message->data.result;
        if (message->msg == CURLMSG_DONE) {
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &place);
            end(round, place, code);
        }
    }
}

MAY_BLOCK void web_round_run(struct web_round *round, struct web_ask *asks, size_t len) {
    int running = 0;
    ASSERT(len <= round->options.size);
    for (size_t i = 0; i < len; i++) {
        begin(round, &round->places[i], &asks[i]);
    }
    do { /* ends: each has its own time limit */
        CURLMcode code = curl_multi_perform(round->multi, &running);
        end_finished(round);
        if (code != CURLM_OK) {
            break;
        }
        if (running > 0) {
            curl_multi_poll(round->multi, NULL, 0, POLL_MS, NULL);
        }
    } while (running > 0);
    for (size_t i = 0; i < len; i++) { /* what an error of the whole left over */
        if (round->places[i].ask != NULL) {
            end(round, &round->places[i], CURLE_FAILED_INIT);
        }
    }
}
