/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as text: made, taken apart, found among cookies. */
#include "api/session.h"

#include "base/text.h"
#include "domain/event.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

enum { MESSAGE_MAX = 96 };

#define ENDS_MAX_S (INT64_C(253402300799)) /* the end of the year 9999 */

bool session_parse(struct slice text, struct session *ret_session) {
    struct slice rest = text, id, ends, mac;
    if (!slice_next(&rest, '.', &id) || !slice_next(&rest, '.', &ends)) {
        return false;
    }
    mac = rest;
    ret_session->id = id;
    return id.len >= 1 && id.len <= KEY_ID_SIZE && code_is_valid(id) &&
           slice_to_int(ends, 1, ENDS_MAX_S, &ret_session->ends_s) &&
           text_from_base64(mac, ret_session->mac, SESSION_MAC_SIZE) == SESSION_MAC_SIZE;
}

bool session_mac(const unsigned char key_hash[KEY_HASH_SIZE], struct slice id, int64_t ends_s,
                 unsigned char ret_mac[SESSION_MAC_SIZE]) {
    char message[MESSAGE_MAX];
    unsigned len = 0;
    int written = snprintf(message, sizeof message, "turnout session 1\n%.*s\n%" PRId64,
                           SLICE_ARG(id), ends_s);
    return written > 0 && (size_t)written < sizeof message &&
           HMAC(EVP_sha256(), key_hash, KEY_HASH_SIZE, (const unsigned char *)message,
                (size_t)written, ret_mac, &len) != NULL &&
           len == SESSION_MAC_SIZE;
}

bool session_format(const unsigned char key_hash[KEY_HASH_SIZE], struct slice id, int64_t ends_s,
                    char ret_text[SESSION_TEXT_SIZE]) {
    unsigned char mac[SESSION_MAC_SIZE];
    char mac_text[TEXT_BASE64_LEN(SESSION_MAC_SIZE) + 1];
    if (!session_mac(key_hash, id, ends_s, mac)) {
        return false;
    }
    text_to_base64(mac, sizeof mac, mac_text);
    int len = snprintf(ret_text, SESSION_TEXT_SIZE, "%.*s.%" PRId64 ".%s", SLICE_ARG(id), ends_s,
                       mac_text);
    return len > 0 && len < SESSION_TEXT_SIZE;
}

struct slice session_of_cookies(struct slice cookies) {
    static const struct slice name = {SESSION_COOKIE "=", sizeof SESSION_COOKIE};
    struct slice part;
    while (slice_next(&cookies, ';', &part)) {
        part = slice_trim(part);
        if (slice_starts_with(part, name)) {
            return slice_skip(part, name.len);
        }
    }
    return SLICE_NONE;
}
