/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks when a proxy asks for somebody, by tables: networks as text, and lists of hops. */
#include "http/forwarded_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

enum { RAW_MAX = 64 * 1024 };

static struct http_ip ip_of(const char *text) {
    struct http_ip ip;
    assert_true(http_ip_parse(slice_of(text), &ip));
    return ip;
}

static struct http_trust trust_of(const char *text) {
    struct http_trust trust;
    assert_null(http_trust_parse(slice_of(text), &trust));
    return trust;
}

/* ---- networks ---- */

static void networks_are_read_or_refused_with_what_was_expected(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int networks; /* -1: refused */
    } rows[] = {
        {"", 0},
        {"  ", 0},
        {"10.0.0.7", 1},
        {"10.1.0.0/16", 1},
        {"10.0.0.7,10.1.0.0/16 , fd00::/8", 3},
        {"::1", 1},
        {"2001:db8::7/128", 1},
        {"::ffff:10.0.0.0/104", 1},
        {"0.0.0.0/0", 1},
        {"::/0", 1},
        {"10.0.0.7,", 1},
        {"10.0.0.7,,10.0.0.8", -1},
        {",10.0.0.7", -1},
        {"10.0.0", -1},
        {"10.0.0.7.8", -1},
        {"010.0.0.7", -1},
        {"10.0.0.7:80", -1},
        {"[::1]", -1},
        {"fe80::1%eth0", -1},
        {"proxy.example", -1},
        {"*", -1},
        {"10.1.2.3/16", -1}, /* a bit behind the prefix */
        {"10.0.0.1/31", -1},
        {"fd00::1/8", -1},
        {"10.0.0.0/33", -1},
        {"fd00::/129", -1},
        {"10.0.0.0/", -1},
        {"10.0.0.0/-1", -1},
        {"10.0.0.0/ 8", -1},
        {"10.0.0.0/8/8", -1},
        {"/8", -1},
        {"10.0.0.0 /8", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_trust trust;
        const char *why = http_trust_parse(slice_of(rows[i].text), &trust);
        if ((why == NULL) != (rows[i].networks >= 0) ||
            (why == NULL && (int)trust.len != rows[i].networks)) {
            fail_msg("\"%s\": %s, %zu networks", rows[i].text, why == NULL ? "taken" : why,
                     trust.len);
        }
    }
}

static void more_networks_than_fit_are_refused(void **state) {
    (void)state;
    char text[16 * (TRUST_NETWORKS_MAX + 1)] = "";
    struct http_trust trust;
    for (int i = 0; i <= TRUST_NETWORKS_MAX; i++) {
        assert_null(http_trust_parse(slice_of(text), &trust));
        assert_int_equal(trust.len, i);
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s10.0.0.%d", i == 0 ? "" : ",", i);
    }
    assert_non_null(http_trust_parse(slice_of(text), &trust));
}

static void an_address_is_in_its_networks_alone(void **state) {
    (void)state;
    static const struct {
        const char *trust, *ip;
        bool is_in;
    } rows[] = {
        {"", "127.0.0.1", false},
        {"10.0.0.7", "10.0.0.7", true},
        {"10.0.0.7", "10.0.0.6", false},
        {"10.1.0.0/16", "10.1.255.255", true},
        {"10.1.0.0/16", "10.2.0.0", false},
        {"10.0.0.4/30", "10.0.0.7", true},
        {"10.0.0.4/30", "10.0.0.8", false},
        {"10.0.0.4/30", "10.0.0.3", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"fd00::/9", "fd80::1", false},
        {"2001:db8::7", "2001:db8::7", true},
        {"2001:db8::7", "2001:db8::8", false},
        {"10.0.0.7", "::ffff:10.0.0.7", true}, /* the same address */
        {"::ffff:10.0.0.0/104", "10.200.0.1", true},
        {"10.0.0.7", "::10.0.0.7", false}, /* another one */
        {"10.0.0.7,fd00::/8", "fd00::1", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_trust trust = trust_of(rows[i].trust);
        struct http_ip ip = ip_of(rows[i].ip);
        if (http_trust_has(&trust, &ip) != rows[i].is_in) {
            fail_msg("\"%s\" and %s", rows[i].trust, rows[i].ip);
        }
    }
}

static void a_list_that_holds_everybody_is_known(void **state) {
    (void)state;
    static const struct {
        const char *trust;
        bool is_everybody;
    } rows[] = {
        {"", false},          {"10.0.0.0/8", false},          {"0.0.0.0/0", true},
        {"::/0", true},       {"10.0.0.7,0.0.0.0/0", true},   {"::ffff:0:0/96", true},
        {"::/64", true},      {"0.0.0.0/1", false},           {"8000::/1", false},
        {"fd00::/8", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_trust trust = trust_of(rows[i].trust);
        if (http_trust_is_everybody(&trust) != rows[i].is_everybody) {
            fail_msg("\"%s\"", rows[i].trust);
        }
    }
}

/* ---- lists of hops ---- */

/* A head with these field lines, each with its CR LF. */
static void read_head(const char *fields, struct head *ret_head, char raw[RAW_MAX]) {
    struct problem problem;
    int len = snprintf(raw, RAW_MAX, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_true(len > 0 && len < RAW_MAX);
    assert_int_equal(head_parse(slice_from(raw, (size_t)len), ret_head, &problem), ERR_OK);
}

static void expect_client(const char *proxies, const char *peer, const char *fields,
                          const char *client) {
    struct head *head = malloc(sizeof *head);
    char *raw = malloc(RAW_MAX), text[TRUST_IP_TEXT_SIZE];
    assert_true(head != NULL && raw != NULL);
    struct http_trust trust = trust_of(proxies);
    struct http_ip ip = ip_of(peer);
    struct origin origin;
    read_head(fields, head, raw);
    origin_read(&trust, head, &ip, &origin);
    http_ip_format(&origin.client, text);
    if (strcmp(text, client) != 0) {
        fail_msg("%s, peer %s, trusted \"%s\": %s is not %s", fields, peer, proxies, text, client);
    }
    free(head);
    free(raw);
}

#define XFF "X-Forwarded-For: "

static void the_client_is_the_last_entry_that_is_no_trusted_proxy(void **state) {
    (void)state;
    static const struct {
        const char *proxies, *peer, *fields, *client;
    } rows[] = {
        /* nobody is trusted, or not this one */
        {"", "10.0.0.1", XFF "203.0.113.9\r\n", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.9", XFF "10.0.0.1\r\n", "203.0.113.9"},
        {"10.0.0.1", "203.0.113.9", XFF "198.51.100.1\r\n", "203.0.113.9"},
        /* one proxy */
        {"10.0.0.1", "10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.1", "10.0.0.1", "x-fOrWaRdEd-FoR:203.0.113.9\r\n", "203.0.113.9"},
        /* what stands left of the client is the client's own word */
        {"10.0.0.1", "10.0.0.1", XFF "198.51.100.1, 203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.1", "10.0.0.1", XFF "10.0.0.1, 203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.1", "10.0.0.1", XFF "198.51.100.1\r\n" XFF "203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.1", "10.0.0.1", XFF "198.51.100.1\r\nX-Other: 1\r\n" XFF "203.0.113.9\r\n",
         "203.0.113.9"},
        /* a chain */
        {"10.0.0.0/8", "10.0.0.1", XFF "203.0.113.9, 10.0.0.2\r\n", "203.0.113.9"},
        {"10.0.0.0/8", "10.0.0.1", XFF "203.0.113.9\r\n" XFF "10.0.0.2 \t,\t10.0.0.3\r\n",
         "203.0.113.9"},
        {"10.0.0.0/8", "10.0.0.1", XFF "198.51.100.1, 203.0.113.9, 10.0.0.2\r\n", "203.0.113.9"},
        {"10.0.0.0/8,fd00::/8", "fd00::1", XFF "2001:db8::9, 10.0.0.2\r\n", "2001:db8::9"},
        /* everybody in it is trusted: the first of them asks for itself */
        {"10.0.0.0/8", "10.0.0.1", XFF "10.0.0.3, 10.0.0.2\r\n", "10.0.0.3"},
        /* as proxies write them */
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9:4711\r\n", "203.0.113.9"},
        {"10.0.0.1", "10.0.0.1", XFF "[2001:db8::9]:4711\r\n", "2001:db8::9"},
        {"10.0.0.1", "10.0.0.1", XFF "[2001:db8::9]\r\n", "2001:db8::9"},
        {"10.0.0.1", "10.0.0.1", XFF "2001:DB8:0::9\r\n", "2001:db8::9"},
        {"10.0.0.1", "10.0.0.1", XFF "::ffff:203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.1", "::ffff:10.0.0.1", XFF "203.0.113.9\r\n", "203.0.113.9"},
        /* no address: the last one that was known */
        {"10.0.0.1", "10.0.0.1", XFF "\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF ",\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9,\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "unknown\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9, unknown\r\n", "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", XFF "203.0.113.9, unknown, 10.0.0.2\r\n", "10.0.0.2"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9 198.51.100.1\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9;10.0.0.1\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "\"203.0.113.9\"\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9:x\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9:\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.9:65536\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "203.0.113.09\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "3405803785\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "0xcb.0.113.9\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "[2001:db8::9\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "2001:db8::9]\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "[]\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "[203.0.113.9]:1\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "[2001:db8::9]4711\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", XFF "fe80::1%eth0\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", "X-Forwarded-For-: 203.0.113.9\r\n", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", "Forwarded: for=203.0.113.9\r\n", "10.0.0.1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_client(rows[i].proxies, rows[i].peer, rows[i].fields, rows[i].client);
    }
}

static void a_list_as_long_as_a_head_may_be_is_read_to_its_beginning(void **state) {
    (void)state;
    enum { HOPS = 3000 };
    char *fields = malloc(RAW_MAX);
    assert_non_null(fields);
    size_t len = (size_t)snprintf(fields, RAW_MAX, XFF "203.0.113.9");
    for (int i = 0; i < HOPS; i++) {
        len += (size_t)snprintf(fields + len, RAW_MAX - len, ",10.%d.%d.1", i >> 8, i & 0xff);
    }
    snprintf(fields + len, RAW_MAX - len, "\r\n");
    expect_client("10.0.0.0/8", "10.0.0.1", fields, "203.0.113.9");
    free(fields);
}

static void a_proxy_that_is_not_trusted_says_nothing_and_is_told_of(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        bool is_ignored;
    } rows[] = {
        {"", false},
        {XFF "203.0.113.9\r\n", true},
        {XFF "\r\n", true},
        {"X-Forwarded-Proto: https\r\n", false},
    };
    struct head *head = malloc(sizeof *head);
    char *raw = malloc(RAW_MAX);
    assert_true(head != NULL && raw != NULL);
    struct http_ip peer = ip_of("10.0.0.1");
    struct http_trust nobody = trust_of(""), proxy = trust_of("10.0.0.1");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct origin origin;
        read_head(rows[i].fields, head, raw);
        origin_read(&nobody, head, &peer, &origin);
        assert_int_equal(origin.is_ignored, rows[i].is_ignored);
        origin_read(&proxy, head, &peer, &origin);
        assert_false(origin.is_ignored);
    }
    free(head);
    free(raw);
}

static void the_scheme_is_what_a_trusted_proxy_said_last(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        bool is_tls;
    } rows[] = {
        {"", false},
        {"X-Forwarded-Proto: https\r\n", true},
        {"x-forwarded-proto: HTTPS\r\n", true},
        {"X-Forwarded-Proto: http\r\n", false},
        {"X-Forwarded-Proto: https,http\r\n", false},
        {"X-Forwarded-Proto: http , https\r\n", true},
        {"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", false},
        {"X-Forwarded-Proto: \r\n", false},
        {"X-Forwarded-Proto: https,\r\n", false},
        {"X-Forwarded-Proto: httpss\r\n", false},
        {"X-Forwarded-Proto: \"https\"\r\n", false},
        {"X-Forwarded-Ssl: on\r\n", false},
    };
    struct head *head = malloc(sizeof *head);
    char *raw = malloc(RAW_MAX);
    assert_true(head != NULL && raw != NULL);
    struct http_ip peer = ip_of("10.0.0.1"), stranger = ip_of("10.0.0.2");
    struct http_trust trust = trust_of("10.0.0.1");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct origin origin;
        read_head(rows[i].fields, head, raw);
        origin_read(&trust, head, &peer, &origin);
        if (origin.is_tls != rows[i].is_tls) {
            fail_msg("%s", rows[i].fields);
        }
        origin_read(&trust, head, &stranger, &origin);
        assert_false(origin.is_tls);
    }
    free(head);
    free(raw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_read_or_refused_with_what_was_expected),
        cmocka_unit_test(more_networks_than_fit_are_refused),
        cmocka_unit_test(an_address_is_in_its_networks_alone),
        cmocka_unit_test(a_list_that_holds_everybody_is_known),
        cmocka_unit_test(the_client_is_the_last_entry_that_is_no_trusted_proxy),
        cmocka_unit_test(a_list_as_long_as_a_head_may_be_is_read_to_its_beginning),
        cmocka_unit_test(a_proxy_that_is_not_trusted_says_nothing_and_is_told_of),
        cmocka_unit_test(the_scheme_is_what_a_trusted_proxy_said_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
