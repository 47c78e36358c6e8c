/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A browser's session: who has shown a key once gets a cookie that stands for it for a while.
 *
 *   turnout_session=ID.ENDS.MAC      MAC = HMAC-SHA256(hash of the key's secret, ID and ENDS)
 *
 * The cookie holds no secret of the key, and no node keeps a list: whoever can load the key can
 * judge the session, so it holds on every node, ends with the key's revocation, and ends by itself.
 * It reads (GET, HEAD) and never changes anything, so that a page of another site cannot act
 * through it, and so that the hashes in the store make nobody who read them able to write.
 * Pure; thread: any.
 */
#ifndef TURNOUT_API_SESSION_H
#define TURNOUT_API_SESSION_H

#include "store/store.h"

#define SESSION_COOKIE "turnout_session"

enum {
    SESSION_MAC_SIZE = 32,
    SESSION_TEXT_SIZE = 96, /* KEY_ID_SIZE, a time, 43 characters, two dots and a NUL */
};

struct session {
    struct slice id; /* of the key; borrowed from the text */
    int64_t ends_s;  /* wall clock, since 1970 */
    unsigned char mac[SESSION_MAC_SIZE];
};

/* "ID.ENDS.MAC" taken apart, not judged; false for anything else. */
bool session_parse(struct slice text, struct session *ret_session);
/* The MAC that a session with this id and end has under a key; false: OpenSSL refused. */
bool session_mac(const unsigned char key_hash[KEY_HASH_SIZE], struct slice id, int64_t ends_s,
                 unsigned char ret_mac[SESSION_MAC_SIZE]);
bool session_format(const unsigned char key_hash[KEY_HASH_SIZE], struct slice id, int64_t ends_s,
                    char ret_text[SESSION_TEXT_SIZE]);

/* The session's text in a Cookie field; empty when there is none. */
struct slice session_of_cookies(struct slice cookies);

#endif
