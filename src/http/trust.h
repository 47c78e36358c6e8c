/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks whose word about a client is believed: the proxies in front. An address is 16 bytes, an
 * IPv4 one as IPv6 maps it, so that one comparison serves both. Pure. Thread: any.
 */
#ifndef TURNOUT_HTTP_TRUST_H
#define TURNOUT_HTTP_TRUST_H

#include "base/slice.h"

enum {
    TRUST_NETWORKS_MAX = 64, /* what fits into a setting and more than anybody has proxies */
    TRUST_IP_SIZE = 16,
    TRUST_IP_TEXT_SIZE = 46, /* with the NUL */
};

struct http_ip {
    unsigned char bytes[TRUST_IP_SIZE];
};

struct http_network {
    struct http_ip ip;
    int bits; /* of the 128 */
};

struct http_trust {
    struct http_network networks[TRUST_NETWORKS_MAX];
    size_t len; /* 0: nobody is believed */
};

/* "10.0.0.0/8, fd00::/8,192.0.2.7"; empty for nobody. Returns NULL, or what was expected. A network
 * with bits set behind its prefix is refused: who wrote it meant another one. */
const char *http_trust_parse(struct slice text, struct http_trust *ret_trust);
bool http_trust_has(const struct http_trust *trust, const struct http_ip *ip);
/* Every IPv4 or every IPv6 address is in it: any client may say who it is. */
bool http_trust_is_everybody(const struct http_trust *trust);

/* "192.0.2.7" or "2001:db8::7", nothing around it. */
bool http_ip_parse(struct slice text, struct http_ip *ret_ip);
void http_ip_format(const struct http_ip *ip, char ret_text[TRUST_IP_TEXT_SIZE]);

#endif
