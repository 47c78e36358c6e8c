/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a route: segments first, decoded once, then a walk over the table. */
#include "api/routes.h"

#include "api/api.h"
#include "base/assert.h"
#include "base/text.h"

static const struct route routes[] = {
#define X(operation, method, path, may, body)                                                      \
    {#operation, method, path, may, body, handle_##operation},
    ROUTE_TABLE(X)
#undef X
};

static const char *const route_names[] = {
#define X(operation, method, path, may, body) method " " path,
    ROUTE_TABLE(X)
#undef X
    "other",
};

enum { ROUTES = sizeof routes / sizeof routes[0] };
_Static_assert((int)ROUTES < (int)CELLS_ROUTES_MAX, "make CELLS_ROUTES_MAX larger");

size_t route_count(void) {
    return ROUTES;
}

const struct route *route_at(size_t index) {
    ASSERT(index < ROUTES);
    return &routes[index];
}

size_t route_index(const struct route *route) {
    return route == NULL ? ROUTES : (size_t)(route - routes);
}

size_t api_route_count(void) {
    return ROUTES + 1;
}

const char *api_route_name(size_t index) {
    ASSERT(index <= ROUTES);
    return route_names[index];
}

bool api_route_is_api(size_t index) {
    ASSERT(index <= ROUTES);
    return index == ROUTES || (strncmp(routes[index].path, "/v1/", 4) == 0 &&
                               routes[index].handle != handle_read_status);
}

bool route_is_of_events(const struct route *route) {
    return strncmp(route->path, "/v1/events", strlen("/v1/events")) == 0 ||
           route->handle == handle_read_status || route->handle == handle_dashboard ||
           route->handle == handle_dashboard_asset;
}

struct segments {
    size_t len;
    struct slice at[ROUTE_SEGMENTS_MAX];
};

static enum err_e decode_segment(struct arena *arena, struct slice raw, struct slice *ret) {
    *ret = raw;
    if (raw.len > 0 && memchr(raw.at, '%', raw.len) != NULL &&
        !text_percent_decode(arena, raw, TEXT_PLUS_STAYS, ret)) {
        return ERR_MALFORMED_REQUEST;
    }
    return slice_is_utf8(*ret) ? ERR_OK : ERR_MALFORMED_REQUEST;
}

/* "/a/b" gives a, b; "/" gives nothing; "/a/" gives a and an empty one, which no route has. */
static enum err_e split(struct arena *arena, struct slice path, struct segments *ret) {
    ret->len = 0;
    if (path.len == 0 || path.at[0] != '/') {
        return ERR_NOT_FOUND;
    }
    if (path.len == 1) {
        return ERR_OK;
    }
    for (struct slice rest = slice_skip(path, 1);;) {
        const char *slash = rest.len == 0 ? NULL : memchr(rest.at, '/', rest.len);
        size_t len = slash == NULL ? rest.len : (size_t)(slash - rest.at);
        if (ret->len == ROUTE_SEGMENTS_MAX) {
            return ERR_NOT_FOUND;
        }
        TRY(decode_segment(arena, slice_from(rest.at, len), &ret->at[ret->len]));
        ret->len++;
        if (slash == NULL) {
            return ERR_OK;
        }
        rest = slice_skip(rest, len + 1);
    }
}

/* The part of the pattern behind `text` when it begins with it and ends a segment there, else
 * NULL. Most routes differ in a segment's first bytes, so bytes are compared one by one. */
static const char *behind(const char *pattern, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (pattern[i] != text.at[i] || pattern[i] == '\0') {
            return NULL;
        }
    }
    return pattern[text.len] == '/' || pattern[text.len] == '\0' ? pattern + text.len : NULL;
}

/* "{name}" takes any segment but an empty one, "{name}:verb" what ends so, anything else itself.
 * Where the pattern goes on, or NULL when it does not match. */
static const char *match_segment(const char *pattern, struct slice segment,
                                 struct slice *ret_param) {
    if (pattern[0] != '{') {
        return behind(pattern, segment);
    }
    const char *suffix = strchr(pattern, '}') + 1;
    size_t suffix_len = strcspn(suffix, "/");
    if (segment.len <= suffix_len) {
        return NULL;
    }
    size_t len = segment.len - suffix_len;
    *ret_param = slice_from(segment.at, len);
    return behind(suffix, slice_from(segment.at + len, suffix_len));
}

static bool route_matches(const struct route *route, const struct segments *segments,
                          struct slice params[ROUTE_PARAMS_MAX]) {
    const char *pattern = route->path;
    size_t found = 0;
    for (size_t at = 0; at < segments->len; at++) {
        struct slice param = SLICE_NONE;
        pattern = pattern[0] == '/' ? match_segment(pattern + 1, segments->at[at], &param) : NULL;
        if (pattern == NULL) {
            return false;
        }
        if (param.at != NULL) {
            ASSERT(found < ROUTE_PARAMS_MAX);
            params[found++] = param;
        }
    }
    return pattern[0] == '\0' || (pattern[0] == '/' && pattern[1] == '\0');
}

static void add_allowed(char allow[64], const char *method) {
    size_t len = strlen(allow);
    const char *parts[] = {len == 0 ? "" : ", ", method,
                           strcmp(method, "GET") == 0 ? ", HEAD" : ""};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t more = strlen(parts[i]);
        ASSERT(len + more < 64);
        memcpy(allow + len, parts[i], more + 1);
        len += more;
    }
}

enum err_e route_find(struct arena *arena, struct slice method, struct slice path,
                      struct route_match *ret_match) {
    *ret_match = (struct route_match){.route = NULL};
    struct segments segments;
    TRY(split(arena, path, &segments));
    struct slice wanted = slice_eq_text(method, "HEAD") ? SLICE_LIT("GET") : method;
    for (size_t i = 0; i < ROUTES; i++) {
        if (!route_matches(&routes[i], &segments, ret_match->params)) {
            continue;
        }
        if (slice_eq_text(wanted, routes[i].method)) {
            ret_match->route = &routes[i];
            return ERR_OK;
        }
        add_allowed(ret_match->allow, routes[i].method);
    }
    return ret_match->allow[0] == '\0' ? ERR_NOT_FOUND : ERR_METHOD_NOT_ALLOWED;
}
