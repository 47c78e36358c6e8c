/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC by OpenSSL. */
#include "act/seal.h"

#include "base/assert.h"
#include "base/text.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

enum { MAC_SIZE = 32 };

static EVP_MAC_CTX *begin(struct slice secret) {
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    if (context != NULL &&
        EVP_MAC_init(context, (const unsigned char *)secret.at, secret.len, params) != 1) {
        EVP_MAC_CTX_free(context);
        return NULL;
    }
    return context;
}

static bool add(EVP_MAC_CTX *context, struct slice bytes) {
    return bytes.len == 0 ||
           EVP_MAC_update(context, (const unsigned char *)bytes.at, bytes.len) == 1;
}

bool seal_make(struct slice secret, const struct slice *parts, size_t parts_len,
               char ret_seal[SEAL_SIZE]) {
    unsigned char mac[MAC_SIZE];
    size_t len = 0;
    ASSERT(parts_len <= SEAL_PARTS_MAX && secret.len > 0);
    EVP_MAC_CTX *context = begin(secret);
    bool good = context != NULL;
    for (size_t i = 0; good && i < parts_len; i++) {
        good = add(context, i == 0 ? SLICE_NONE : SLICE_LIT("\n")) && add(context, parts[i]);
    }
    good = good && EVP_MAC_final(context, mac, &len, sizeof mac) == 1 && len == sizeof mac;
    EVP_MAC_CTX_free(context);
    if (good) {
        text_to_hex(mac, sizeof mac, ret_seal);
    }
    return good;
}

bool seal_fits(struct slice secret, const struct slice *parts, size_t parts_len,
               struct slice seal) {
    char expected[SEAL_SIZE];
    return seal.len == SEAL_SIZE - 1 && seal_make(secret, parts, parts_len, expected) &&
           CRYPTO_memcmp(expected, seal.at, SEAL_SIZE - 1) == 0;
}
