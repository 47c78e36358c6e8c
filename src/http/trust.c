/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as text, and who is in them. */
#include "http/trust.h"

#include <arpa/inet.h>

enum { MAPPED_AT = 12, MAPPED_BITS = 96 }; /* ::ffff:0:0/96 holds the IPv4 addresses */

static const unsigned char mapped[MAPPED_AT] = {[10] = 0xff, [11] = 0xff};

bool http_ip_parse(struct slice text, struct http_ip *ret_ip) {
    char copy[INET6_ADDRSTRLEN];
    if (!slice_to_cstr(text, copy, sizeof copy) || strlen(copy) != text.len) {
        return false;
    }
    if (inet_pton(AF_INET, copy, ret_ip->bytes + MAPPED_AT) == 1) {
        memcpy(ret_ip->bytes, mapped, MAPPED_AT);
        return true;
    }
    return inet_pton(AF_INET6, copy, ret_ip->bytes) == 1;
}

void http_ip_format(const struct http_ip *ip, char ret_text[TRUST_IP_TEXT_SIZE]) {
    bool is_v4 = memcmp(ip->bytes, mapped, MAPPED_AT) == 0;
    ret_text[0] = '\0';
    inet_ntop(is_v4 ? AF_INET : AF_INET6, ip->bytes + (is_v4 ? MAPPED_AT : 0), ret_text,
              TRUST_IP_TEXT_SIZE);
}

/* The first `bits` bits of both are the same. */
static bool agree(const struct http_ip *a, const struct http_ip *b, int bits) {
    size_t whole = (size_t)bits / 8;
    unsigned rest = 0xff00U >> (bits % 8) & 0xff;
    return memcmp(a->bytes, b->bytes, whole) == 0 &&
           (rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) & rest) == 0);
}

static bool has_host_bits(const struct http_network *network) {
    struct http_ip rest = network->ip;
    size_t whole = (size_t)network->bits / 8;
    memset(rest.bytes, 0, whole);
    if (whole < TRUST_IP_SIZE) {
        rest.bytes[whole] &= (unsigned char)(0xff >> (network->bits % 8));
    }
    static const struct http_ip none;
    return !agree(&rest, &none, 8 * TRUST_IP_SIZE);
}

static const char *parse_network(struct slice text, struct http_network *ret_network) {
    struct slice rest = text, address = SLICE_NONE;
    bool has_prefix = memchr(text.at, '/', text.len) != NULL;
    int64_t bits = 0;
    (void)slice_next(&rest, '/', &address);
    if (!http_ip_parse(address, &ret_network->ip)) {
        return "expected addresses and networks, such as 10.0.0.7,10.1.0.0/16,fd00::/8";
    }
    bool is_v4 = memchr(address.at, ':', address.len) == NULL;
    int longest = is_v4 ? 32 : 128;
    if (has_prefix && !slice_to_int(rest, 0, longest, &bits)) {
        return "expected a prefix of 0 to 32 bits (IPv4) or 0 to 128 (IPv6), such as 10.1.0.0/16";
    }
    ret_network->bits = (has_prefix ? (int)bits : longest) + (is_v4 ? MAPPED_BITS : 0);
    return has_host_bits(ret_network)
               ? "expected a network without bits behind its prefix, such as 10.1.0.0/16"
               : NULL;
}

const char *http_trust_parse(struct slice text, struct http_trust *ret_trust) {
    struct slice rest = slice_trim(text), item;
    ret_trust->len = 0;
    while (slice_next(&rest, ',', &item)) {
        item = slice_trim(item);
        if (ret_trust->len == TRUST_NETWORKS_MAX) {
            return "expected at most 64 addresses and networks";
        }
        const char *why = item.len == 0
                              ? "expected something between two commas, such as 10.0.0.7,10.0.0.8"
                              : parse_network(item, &ret_trust->networks[ret_trust->len]);
        if (why != NULL) {
            return why;
        }
        ret_trust->len++;
    }
    return NULL;
}

bool http_trust_has(const struct http_trust *trust, const struct http_ip *ip) {
    for (size_t i = 0; i < trust->len; i++) {
        if (agree(&trust->networks[i].ip, ip, trust->networks[i].bits)) {
            return true;
        }
    }
    return false;
}

bool http_trust_is_everybody(const struct http_trust *trust) {
    static const struct http_ip any_v4 = {{[10] = 0xff, [11] = 0xff}};
    for (size_t i = 0; i < trust->len; i++) {
        const struct http_network *network = &trust->networks[i];
        bool holds_v4 = network->bits <= MAPPED_BITS && agree(&network->ip, &any_v4, network->bits);
        if (network->bits == 0 || holds_v4) {
            return true;
        }
    }
    return false;
}
