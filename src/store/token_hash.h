/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of tokens: they tell tokens apart without keeping them (records of unknown tokens, and
 * the comparison of a repeated nonce). HMAC-SHA-256 under a key of the store's own, cut to 128
 * bits. Thread: one at a time for each token_mac.
 */
#ifndef TURNOUT_STORE_TOKEN_HASH_H
#define TURNOUT_STORE_TOKEN_HASH_H

#include "base/slice.h"

enum { TOKEN_KEY_SIZE = 32, TOKEN_HASH_SIZE = 16 };

struct token_mac;

struct token_mac *token_mac_create(struct slice key); /* NULL without memory */
void token_mac_destroy(struct token_mac *mac);        /* NULL: nothing */

/* False without memory. */
bool token_hash(struct token_mac *mac, struct slice token,
                unsigned char ret_hash[TOKEN_HASH_SIZE]) MUST_CHECK;

#endif
