/* SPDX-License-Identifier: Apache-2.0 */
/* Making a key: 64 random bits name it, 256 are its secret, of which only the hash is kept. */
#include "api/api.h"

#include "base/assert.h"
#include "base/text.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>

enum { ID_BYTES = KEY_ID_SIZE / 2, SECRET_BYTES = 32 };

void api_key_make(struct rng *rng, struct arena *arena, struct api_key *ret_key,
                  char ret_text[API_KEY_TEXT_SIZE]) {
    unsigned char id[ID_BYTES], secret[SECRET_BYTES];
    char id_text[KEY_ID_SIZE + 1], secret_text[TEXT_BASE64_LEN(SECRET_BYTES) + 1];
    rng_fill(rng, id, sizeof id);
    rng_fill(rng, secret, sizeof secret);
    text_to_hex(id, sizeof id, id_text);
    text_to_base64(secret, sizeof secret, secret_text);
    ret_key->id = arena_copy(arena, slice_of(id_text));
    ASSERT(ret_key->id.at != NULL); /* a command's arena has room for 17 bytes */
    SHA256((const unsigned char *)secret_text, strlen(secret_text), ret_key->hash);
    int len = snprintf(ret_text, API_KEY_TEXT_SIZE, "tk_%s.%s", id_text, secret_text);
    ASSERT(len > 0 && len < API_KEY_TEXT_SIZE);
    OPENSSL_cleanse(secret, sizeof secret);
    OPENSSL_cleanse(secret_text, sizeof secret_text);
}
