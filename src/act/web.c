/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's easy interface, one handle a web. */
#include "act/web.h"
#include "act/web_priv.h"

#include "base/assert.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { URL_MAX = 4096 };

struct web {
    struct web_options options;
    CURL *curl;
    struct buf *body; /* of the answer under way */
};

static void init_curl(void) {
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    ASSERT(code == CURLE_OK);
}

void web_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
}

struct web *web_create(const struct web_options *options) {
    web_init();
    struct web *web = calloc(1, sizeof *web);
    if (web == NULL) {
        return NULL;
    }
    web->options = *options;
    web->curl = curl_easy_init();
    if (web->curl == NULL) {
        free(web);
        return NULL;
    }
    return web;
}

void web_destroy(struct web *web) {
    if (web != NULL) {
        curl_easy_cleanup(web->curl);
        free(web);
    }
}

void web_encode(struct buf *to, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || strchr("._~-", c) != NULL;
        if (is_plain && c != '\0') {
            buf_add_char(to, (char)c);
        } else {
            buf_printf(to, "%%%02X", c);
        }
    }
}

/* --- one request --- */

/* curl's: less than was given stops the transfer. */
static size_t take_piece(char *piece, size_t size, size_t count, void *data) {
    struct web *web = data;
    buf_add(web->body, slice_from(piece, size * count));
    return web->body->failed ? 0 : size * count;
}

/* curl's: anything but 0 stops the transfer. Called once a second at least. */
static int look_at_cancel(void *data, curl_off_t down, curl_off_t down_now, curl_off_t up,
                          curl_off_t up_now) {
    const atomic_bool *cancel = data;
    (void)down;
    (void)down_now;
    (void)up;
    (void)up_now;
    return atomic_load(cancel);
}

void web_watch_cancel(void *curl, const atomic_bool *cancel) {
    if (cancel != NULL) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_at_cancel);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, cancel);
    }
}

static bool add_field(struct curl_slist **fields, const char *field) {
    struct curl_slist *longer = curl_slist_append(*fields, field);
    *fields = longer == NULL ? *fields : longer;
    return longer != NULL;
}

/* The first line of the file, behind the field's name. */
static enum err_e add_secret(const struct web *web, struct curl_slist **fields,
                             struct problem *problem) {
    char text[WEB_SECRET_MAX + 256];
    int fd = open(web->options.secret_file, O_RDONLY | O_CLOEXEC);
    int len = snprintf(text, 256, "%s", web->options.secret_field);
    ssize_t got = fd < 0 ? -1 : read(fd, text + len, WEB_SECRET_MAX);
    if (fd >= 0) {
        close(fd);
    }
    if (got <= 0) {
        return problem_set(problem, ERR_UNAUTHORIZED, "", "cannot read the secret in %.150s",
                           web->options.secret_file);
    }
    text[len + got] = '\0';
    text[len + (int)strcspn(text + len, "\r\n")] = '\0';
    bool added = add_field(fields, text);
    explicit_bzero(text, sizeof text);
    return added ? ERR_OK : ERR_NO_MEMORY;
}

static enum err_e gather_fields(const struct web *web, const struct web_request *request,
                                struct curl_slist **fields, struct problem *problem) {
    char type[128];
    snprintf(type, sizeof type, "Content-Type: %s",
             request->content_type == NULL ? "" : request->content_type);
    bool added = add_field(fields, type) && add_field(fields, "Accept: application/json") &&
                 add_field(fields, "Expect:");
    for (const char *const *at = request->fields; added && at != NULL && *at != NULL; at++) {
        added = add_field(fields, *at);
    }
    if (!added) {
        return ERR_NO_MEMORY;
    }
    return web->options.secret_file == NULL ? ERR_OK : add_secret(web, fields, problem);
}

static void set_up(struct web *web, const struct web_request *request, const char *url,
                   struct curl_slist *fields) {
    CURL *curl = web->curl;
    const struct web_options *options = &web->options;
    curl_easy_reset(curl); /* keeps the connection */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_piece);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, web);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "turnout/" TURNOUT_VERSION);
    web_watch_cancel(curl, options->cancel);
    if (options->unix_socket != NULL) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, options->unix_socket);
    }
    if (options->ca_file != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca_file);
    }
    if (request->content_type != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.at);
    }
}

static enum err_e translate(const struct web *web, CURLcode code) {
    switch ((int)code) {
    case CURLE_OK: return ERR_OK;
    case CURLE_OPERATION_TIMEDOUT: return ERR_DEADLINE;
    case CURLE_OUT_OF_MEMORY: return ERR_NO_MEMORY;
    case CURLE_WRITE_ERROR: return web->body->failed ? ERR_TOO_LARGE : ERR_IO;
    default: return ERR_UNAVAILABLE;
    }
}

static enum err_e perform(struct web *web, const struct web_request *request,
                          struct curl_slist *fields, int *ret_status, struct problem *problem) {
    char url[URL_MAX];
    long status = 0;
    int len = snprintf(url, sizeof url, "%s%s", web->options.base_url, request->path);
    if (len < 0 || (size_t)len >= sizeof url) {
        return problem_set(problem, ERR_TOO_LARGE, "", "an address longer than %d bytes", URL_MAX);
    }
    set_up(web, request, url, fields);
    CURLcode code = curl_easy_perform(web->curl);
    enum err_e err = translate(web, code);
    if (err != ERR_OK) {
        const char *shown = web->options.shown;
        return problem_set(problem, err, "", "%.150s: %.80s",
                           shown != NULL ? shown : web->options.base_url,
                           curl_easy_strerror(code));
    }
    curl_easy_getinfo(web->curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (int)status;
    return ERR_OK;
}

enum err_e web_send(struct web *web, const struct web_request *request, int *ret_status,
                    struct buf *ret_body, struct problem *ret_problem) {
    struct curl_slist *fields = NULL;
    buf_clear(ret_body);
    web->body = ret_body;
    enum err_e err = gather_fields(web, request, &fields, ret_problem);
    if (err == ERR_OK) {
        err = perform(web, request, fields, ret_status, ret_problem);
    }
    curl_slist_free_all(fields);
    web->body = NULL;
    return err;
}
