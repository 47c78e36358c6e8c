/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC of a token by OpenSSL. The context holds the key: beginning anew costs a fifth of a context
 * of its own for each token. */
#include "store/token_hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

struct token_mac {
    EVP_MAC_CTX *context;
};

static EVP_MAC_CTX *new_context(struct slice key) {
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    if (context != NULL &&
        EVP_MAC_init(context, (const unsigned char *)key.at, key.len, params) != 1) {
        EVP_MAC_CTX_free(context);
        return NULL;
    }
    return context;
}

struct token_mac *token_mac_create(struct slice key) {
    struct token_mac *mac = malloc(sizeof *mac);
    if (mac == NULL) {
        return NULL;
    }
    mac->context = new_context(key);
    if (mac->context == NULL) {
        free(mac);
        return NULL;
    }
    return mac;
}

void token_mac_destroy(struct token_mac *mac) {
    if (mac != NULL) {
        EVP_MAC_CTX_free(mac->context);
        free(mac);
    }
}

bool token_hash(struct token_mac *mac, struct slice token,
                unsigned char ret_hash[TOKEN_HASH_SIZE]) {
    unsigned char full[EVP_MAX_MD_SIZE];
    size_t len = 0;
    if (EVP_MAC_init(mac->context, NULL, 0, NULL) != 1 ||
        EVP_MAC_update(mac->context, (const unsigned char *)token.at, token.len) != 1 ||
        EVP_MAC_final(mac->context, full, &len, sizeof full) != 1) {
        return false;
    }
    memcpy(ret_hash, full, TOKEN_HASH_SIZE);
    return true;
}
