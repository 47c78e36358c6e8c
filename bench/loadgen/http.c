/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <curl/curl.h>

#include <stdio.h>
#include <time.h>

enum { BODY_MAX = 256 << 20, PAUSE_MS = 50, CONNECT_S = 5 };

static size_t take_body(char *at, size_t size, size_t count, void *data) {
    struct buf *body = data;
    buf_add(body, slice_from(at, size * count));
    return body->failed ? 0 : size * count;
}

bool http_init(struct http *http) {
    buf_init(&http->body, BODY_MAX);
    http->curl = curl_easy_init();
    return http->curl != NULL;
}

void http_fini(struct http *http) {
    curl_easy_cleanup(http->curl);
    buf_fini(&http->body);
}

static struct curl_slist *add_field(struct curl_slist *fields, const char *name,
                                    const char *value) {
    char line[512];
    snprintf(line, sizeof line, "%s: %s", name, value);
    return curl_slist_append(fields, line);
}

static int ask_once(struct http *http, const struct http_request *request) {
    const struct target *target = &http->targets[http->at];
    char url[1024], bearer[384];
    struct curl_slist *fields = add_field(NULL, "Expect", ""); /* no 100-continue */
    long status = 0;
    snprintf(url, sizeof url, "http://%s:%d%s", target->host, target->port, request->path);
    if (*http->key != '\0') {
        snprintf(bearer, sizeof bearer, "Bearer %s", http->key);
        fields = add_field(fields, "Authorization", bearer);
    }
    curl_easy_reset(http->curl);
    buf_clear(&http->body);
    if (request->type != NULL) {
        fields = add_field(fields, "Content-Type", request->type);
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, request->body.at);
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
    curl_easy_setopt(http->curl, CURLOPT_URL, url);
    curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(http->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(http->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(http->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT, (long)http->patience_s + 1);
    curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, &http->body);
    CURLcode code = curl_easy_perform(http->curl);
    curl_slist_free_all(fields);
    if (code == CURLE_OK) {
        curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    }
    return (int)status;
}

int http_ask(struct http *http, const struct http_request *request) {
    int64_t end_ns = client_clock_ns() + (int64_t)(http->patience_s * 1e9);
    for (;;) {
        int status = ask_once(http, request);
        bool may_pass = status == 0 || (status >= 502 && status <= 504);
        if (!may_pass || client_clock_ns() > end_ns) {
            return status;
        }
        http->at = (http->at + 1) % http->targets_len;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
}

int http_get(struct http *http, const char *path) {
    return http_ask(http, &(struct http_request){.method = "GET", .path = path});
}
