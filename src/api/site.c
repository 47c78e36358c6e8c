/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dashboard's files, from the program itself. What a browser may do with them is said here: all
 * of it comes from this node, no script or style stands in the page, and no other page frames it.
 *
 * index.html is asked for each time (304 when it is the same); what lies in assets/ has its
 * content's hash in its name and never changes.
 */
#include "api/site_priv.h"

#include "api/call_priv.h"

#include <stdio.h>
#include <string.h>

#define CONTENT_POLICY                                                                             \
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "                 \
    "frame-ancestors 'none'"

enum { ETAG_SIZE = 48, PATH_SIZE = 128 };

static const struct site_file *find_file(const char *path) {
    for (size_t i = 0; i < site_files_len; i++) {
        if (strcmp(site_files[i].path, path) == 0) {
            return &site_files[i];
        }
    }
    return NULL;
}

/* "q=0", "q=0.000": not wanted. */
static bool is_refused(struct slice parameters) {
    struct slice part;
    while (slice_next(&parameters, ';', &part)) {
        part = slice_trim(part);
        if (part.len >= 3 && slice_eq_nocase(slice_from(part.at, 3), SLICE_LIT("q=0"))) {
            struct slice rest = slice_skip(part, 3);
            bool is_zero = true;
            for (size_t i = 0; i < rest.len; i++) {
                is_zero = is_zero && (rest.at[i] == '.' || rest.at[i] == '0');
            }
            return is_zero;
        }
    }
    return false;
}

bool accepts_gzip(struct slice accept_encoding) {
    struct slice item, name;
    bool by_star = false;
    while (slice_next(&accept_encoding, ',', &item)) {
        struct slice rest = item;
        if (!slice_next(&rest, ';', &name)) {
            continue;
        }
        name = slice_trim(name);
        if (slice_eq_nocase(name, SLICE_LIT("gzip")) ||
            slice_eq_nocase(name, SLICE_LIT("x-gzip"))) {
            return !is_refused(rest);
        }
        by_star = by_star || (slice_eq_text(name, "*") && !is_refused(rest));
    }
    return by_star;
}

bool etag_matches(struct slice if_none_match, struct slice etag) {
    struct slice item;
    while (slice_next(&if_none_match, ',', &item)) {
        item = slice_trim(item);
        if (slice_starts_with(item, SLICE_LIT("W/"))) { /* a weak comparison: RFC 9110, 13.1.2 */
            item = slice_skip(item, 2);
        }
        if (slice_eq(item, etag) || slice_eq_text(item, "*")) {
            return true;
        }
    }
    return false;
}

static void add_fields(struct call *call, const char *cache_control, struct slice etag) {
    static const struct {
        const char *name, *value;
    } fields[] = {
        {"content-security-policy", CONTENT_POLICY},
        {"x-content-type-options", "nosniff"},
        {"referrer-policy", "no-referrer"},
        {"cross-origin-opener-policy", "same-origin"},
        {"cross-origin-resource-policy", "same-origin"},
        {"vary", "accept-encoding"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        http_add_field(call->request, fields[i].name, slice_of(fields[i].value));
    }
    http_add_field(call->request, "cache-control", slice_of(cache_control));
    http_add_field(call->request, "etag", etag);
}

static void reply_file(struct call *call, const struct site_file *file, const char *cache_control) {
    bool is_packed = file->gzip != NULL &&
                     accepts_gzip(http_field(call->request, "accept-encoding"));
    char text[ETAG_SIZE];
    snprintf(text, sizeof text, "\"%s%s\"", file->hash, is_packed ? "-gzip" : "");
    struct slice etag = slice_of(text);
    bool is_known = etag_matches(http_field(call->request, "if-none-match"), etag);
    add_fields(call, cache_control, etag);
    if (is_known) {
        http_reply(call->request, 304, NULL, SLICE_NONE);
        return;
    }
    const unsigned char *bytes = is_packed ? file->gzip : file->bytes;
    size_t len = is_packed ? file->gzip_len : file->len;
    if (is_packed) {
        http_add_field(call->request, "content-encoding", SLICE_LIT("gzip"));
    }
    http_reply(call->request, 200, file->type, slice_from((const char *)bytes, len));
}

void handle_dashboard(struct call *call) {
    const struct site_file *file = find_file("index.html");
    if (file == NULL) {
        call_fail(call, ERR_NOT_FOUND, NULL);
        return;
    }
    reply_file(call, file, "no-cache");
}

void handle_dashboard_asset(struct call *call) {
    char path[PATH_SIZE];
    struct slice name = call->params[0];
    int len = snprintf(path, sizeof path, "assets/%.*s", SLICE_ARG(name));
    bool fits = len > 0 && (size_t)len < sizeof path && memchr(name.at, '\0', name.len) == NULL;
    const struct site_file *file = fits ? find_file(path) : NULL;
    if (file == NULL) {
        call_fail(call, ERR_NOT_FOUND, NULL);
        return;
    }
    reply_file(call, file, "public, max-age=31536000, immutable");
}
