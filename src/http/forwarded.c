/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the list of proxies from its end. */
#include "http/forwarded_priv.h"

/* A field that comes several times is one list (RFC 9110, 5.3): this goes through it backwards. */
struct hops {
    const struct head *head;
    struct slice name;
    size_t field; /* the fields below it are still to be looked at */
    struct slice rest;
    bool has_rest;
};

static struct hops hops_of(const struct head *head, struct slice name) {
    return (struct hops){.head = head, .name = name, .field = head->field_count};
}

static bool has_more(struct hops *hops) {
    while (!hops->has_rest && hops->field > 0) {
        const struct head_field *field = &hops->head->fields[--hops->field];
        hops->has_rest = field->name.len == hops->name.len &&
                         slice_eq_nocase(field->name, hops->name);
        hops->rest = field->value;
    }
    return hops->has_rest;
}

/* The entry before those that were taken; false: there is none. It may be empty. */
static bool take_last(struct hops *hops, struct slice *ret_entry) {
    if (!has_more(hops)) {
        return false;
    }
    size_t at = hops->rest.len;
    while (at > 0 && hops->rest.at[at - 1] != ',') {
        at--;
    }
    *ret_entry = slice_trim(slice_from(hops->rest.at + at, hops->rest.len - at));
    hops->has_rest = at > 0;
    hops->rest = slice_from(hops->rest.at, at > 0 ? at - 1 : 0);
    return true;
}

/* "192.0.2.7", "192.0.2.7:4711", "2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:4711": proxies
 * write all of them. */
static bool read_hop(struct slice entry, struct http_ip *ret_ip) {
    struct slice address = entry, port = SLICE_NONE;
    const char *colon = entry.len == 0 ? NULL : memchr(entry.at, ':', entry.len);
    if (entry.len > 0 && entry.at[0] == '[') {
        const char *end = memchr(entry.at, ']', entry.len);
        if (end == NULL || colon == NULL || colon > end) {
            return false;
        }
        address = slice_from(entry.at + 1, (size_t)(end - entry.at) - 1);
        port = slice_skip(entry, (size_t)(end - entry.at) + 1);
    } else if (colon != NULL && memchr(entry.at, '.', (size_t)(colon - entry.at)) != NULL) {
        address = slice_from(entry.at, (size_t)(colon - entry.at));
        port = slice_skip(entry, address.len);
    }
    int64_t number;
    bool has_good_port = port.len == 0 || (port.at[0] == ':' &&
                                           slice_to_int(slice_skip(port, 1), 0, 65535, &number));
    struct http_ip ip;
    if (!has_good_port || !http_ip_parse(address, &ip)) {
        return false;
    }
    *ret_ip = ip;
    return true;
}

static void read_client(const struct http_trust *trust, const struct head *head,
                        struct http_ip *client) {
    struct hops hops = hops_of(head, SLICE_LIT("x-forwarded-for"));
    struct slice entry;
    while (http_trust_has(trust, client) && take_last(&hops, &entry) && read_hop(entry, client)) {
    }
}

void origin_read(const struct http_trust *trust, const struct head *head,
                 const struct http_ip *peer, struct origin *ret_origin) {
    struct slice scheme;
    *ret_origin = (struct origin){.client = *peer};
    if (!http_trust_has(trust, peer)) {
        struct hops hops = hops_of(head, SLICE_LIT("x-forwarded-for"));
        ret_origin->is_ignored = has_more(&hops);
        return;
    }
    read_client(trust, head, &ret_origin->client);
    struct hops schemes = hops_of(head, SLICE_LIT("x-forwarded-proto"));
    ret_origin->is_tls =
        take_last(&schemes, &scheme) && slice_eq_nocase(scheme, SLICE_LIT("https"));
}
