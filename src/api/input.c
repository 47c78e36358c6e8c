/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers read from a request: bodies, ids, paging, media types. */
#include "api/call_priv.h"

bool call_read_body(struct call *call, enum fields_mode_e mode, struct problem *problem,
                    struct body *ret_body) {
    struct json_t *document;
    *problem = (struct problem){.field = ""};
    enum err_e err = json_parse(call->arena, http_body(call->request), &document, problem);
    if (err != ERR_OK) {
        call_fail(call, err, problem);
        return false;
    }
    *ret_body = (struct body){document, mode, call->arena, problem};
    return true;
}

bool call_read_id(struct call *call, enum err_e unknown, int64_t *ret_id) {
    if (!slice_to_int(call->params[1], 1, INT64_MAX, ret_id)) {
        call_fail(call, unknown, NULL);
        return false;
    }
    return true;
}

bool call_read_page(struct call *call, struct page *page) {
    struct problem problem;
    int64_t limit = LIST_LIMIT_DEFAULT;
    enum err_e err = query_int(&call->query, "limit", (struct query_range){1, STORE_PAGE_MAX},
                               &limit, &problem);
    struct slice text;
    page->has_cursor = query_get(&call->query, "cursor", &text);
    if (err == ERR_OK && page->has_cursor) {
        err = cursor_parse(text, &page->cursor, &problem);
    }
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return false;
    }
    page->limit = (size_t)limit;
    return true;
}

/* "name=value" or "name=\"value\"" behind a semicolon. */
static bool take_parameter(struct slice *rest, struct slice *ret_name, struct slice *ret_value) {
    struct slice part;
    if (!slice_next(rest, ';', &part)) {
        return false;
    }
    part = slice_trim(part);
    const char *equals = part.len == 0 ? NULL : memchr(part.at, '=', part.len);
    size_t name_len = equals == NULL ? part.len : (size_t)(equals - part.at);
    *ret_name = slice_trim(slice_from(part.at, name_len));
    *ret_value = slice_trim(slice_skip(part, name_len + 1));
    if (ret_value->len >= 2 && ret_value->at[0] == '"' &&
        ret_value->at[ret_value->len - 1] == '"') {
        *ret_value = slice_from(ret_value->at + 1, ret_value->len - 2);
    }
    return true;
}

static bool charset_is_utf8(struct slice parameters) {
    struct slice name, value;
    while (take_parameter(&parameters, &name, &value)) {
        if (slice_eq_nocase(name, SLICE_LIT("charset")) &&
            !slice_eq_nocase(value, SLICE_LIT("utf-8")) &&
            !slice_eq_nocase(value, SLICE_LIT("utf8")) &&
            !slice_eq_nocase(value, SLICE_LIT("us-ascii"))) {
            return false;
        }
    }
    return true;
}

enum media_e media_of(struct slice content_type) {
    static const struct {
        const char *text;
        enum media_e media;
    } known[] = {
        {"application/json", MEDIA_JSON},         {"text/csv", MEDIA_CSV},
        {"application/x-ndjson", MEDIA_NDJSON},   {"application/ndjson", MEDIA_NDJSON},
        {"application/merge-patch+json", MEDIA_JSON},
    };
    struct slice rest = slice_trim(content_type), type;
    if (!slice_next(&rest, ';', &type)) {
        return MEDIA_NONE;
    }
    type = slice_trim(type);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_eq_nocase(type, slice_of(known[i].text))) {
            return charset_is_utf8(rest) ? known[i].media : MEDIA_OTHER;
        }
    }
    return MEDIA_OTHER;
}

/* The weight of a media range in thousandths: "q=0.5" is 500, none is 1000, nonsense is 0. */
static int weight_of(struct slice parameters) {
    struct slice name, value;
    while (take_parameter(&parameters, &name, &value)) {
        if (!slice_eq_nocase(name, SLICE_LIT("q"))) {
            continue;
        }
        if (value.len == 0 || value.at[0] < '0' || value.at[0] > '1') {
            return 0;
        }
        int weight = (value.at[0] - '0') * 1000;
        static const int worth[] = {0, 0, 100, 10, 1};
        for (size_t i = 2; i < value.len && i < 5; i++) {
            bool is_digit = value.at[i] >= '0' && value.at[i] <= '9';
            weight += is_digit ? (value.at[i] - '0') * worth[i] : 0;
        }
        return weight > 1000 ? 1000 : weight;
    }
    return 1000;
}

bool accept_prefers_csv(struct slice accept) {
    int csv = 0, json = -1; /* JSON is what comes unasked, so CSV must be named */
    struct slice range;
    while (slice_next(&accept, ',', &range)) {
        struct slice type;
        if (!slice_next(&range, ';', &type)) {
            continue;
        }
        type = slice_trim(type);
        int weight = weight_of(range);
        if (slice_eq_nocase(type, SLICE_LIT("text/csv"))) {
            csv = weight;
        } else if (slice_eq_nocase(type, SLICE_LIT("application/json"))) {
            /* Of two that weigh the same, the one named first. */
            json = csv > 0 && weight == csv ? weight - 1 : weight;
        }
    }
    return csv > 0 && csv > json;
}
