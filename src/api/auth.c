/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: parsing, caching, comparing. The secret itself is never kept. */
#include "api/auth.h"

#include "api/limiter.h"
#include "base/assert.h"
#include "base/pool.h"
#include "base/rng.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { SKEW_MS = 5 * 60 * 1000 }; /* between the clocks of two nodes */

struct cached_key {
    char id[KEY_ID_SIZE];
    size_t id_len; /* 0: free */
    unsigned char hash[KEY_HASH_SIZE];
    enum key_scope_e scope;
    char event[CODE_MAX];
    size_t event_len;
    int64_t asked_us; /* when the store was asked about it */
    int64_t used_us;
};

/* One question to the store and everybody who waits for its answer. */
struct load {
    struct loop_message message; /* first: brings it back to the loop */
    struct store_op op;
    bool has_op;
    struct auth *auth;
    struct load *next;
    char id[KEY_ID_SIZE];
    size_t id_len;
    int64_t asked_us;
    struct auth_request *first;
    struct auth_request **last;
};

struct auth {
    struct auth_options options;
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    struct limiter limiter;
    struct pool loads;
    struct load *under_way;
    struct cached_key keys[AUTH_SETS][AUTH_WAYS];
};

static void load_fini(void *object) {
    struct load *load = object;
    if (load->has_op) {
        store_op_fini(&load->op);
    }
}

struct auth *auth_create(const struct auth_options *options) {
    struct auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL) {
        return NULL;
    }
    auth->options = *options;
    auth->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    auth->digest = EVP_MD_CTX_new();
    limiter_init(&auth->limiter, rng_u64(options->rng));
    if (auth->sha256 == NULL || auth->digest == NULL ||
        !pool_init(&auth->loads, sizeof(struct load), AUTH_LOADS_MAX, load_fini)) {
        EVP_MD_CTX_free(auth->digest);
        EVP_MD_free(auth->sha256);
        free(auth);
        return NULL;
    }
    return auth;
}

void auth_destroy(struct auth *auth) {
    if (auth == NULL) {
        return;
    }
    ASSERT(auth_is_idle(auth));
    pool_fini(&auth->loads);
    EVP_MD_CTX_free(auth->digest);
    EVP_MD_free(auth->sha256);
    free(auth);
}

bool auth_is_idle(const struct auth *auth) {
    return auth->under_way == NULL;
}

bool auth_parse(struct slice header, struct slice *ret_id, struct slice *ret_secret) {
    static const struct slice scheme = {"Bearer ", 7}, prefix = {"tk_", 3};
    if (header.len <= scheme.len || !slice_eq_nocase(slice_from(header.at, scheme.len), scheme)) {
        return false;
    }
    struct slice key = slice_trim(slice_skip(header, scheme.len));
    if (!slice_starts_with(key, prefix)) {
        return false;
    }
    key = slice_skip(key, prefix.len);
    const char *dot = key.len == 0 ? NULL : memchr(key.at, '.', key.len);
    if (dot == NULL) {
        return false;
    }
    *ret_id = slice_from(key.at, (size_t)(dot - key.at));
    *ret_secret = slice_skip(key, ret_id->len + 1);
    return ret_id->len <= KEY_ID_SIZE && code_is_valid(*ret_id) && ret_secret->len >= 1 &&
           ret_secret->len <= AUTH_SECRET_MAX;
}

static bool hash_secret(struct auth *auth, struct slice secret, unsigned char hash[KEY_HASH_SIZE]) {
    unsigned len = 0;
    return EVP_DigestInit_ex2(auth->digest, auth->sha256, NULL) == 1 &&
           EVP_DigestUpdate(auth->digest, secret.at, secret.len) == 1 &&
           EVP_DigestFinal_ex(auth->digest, hash, &len) == 1 && len == KEY_HASH_SIZE;
}

static void end(struct auth_request *request, enum err_e err) {
    request->err = err;
    request->done(request);
}

static void end_unauthorized(struct auth *auth, struct auth_request *request) {
    limiter_note_failure(&auth->limiter, request->peer, loop_now_us(auth->options.loop));
    end(request, ERR_UNAUTHORIZED);
}

static bool has_right_secret(const struct cached_key *key, const struct auth_request *request) {
    if (request->ends_s == 0) {
        return CRYPTO_memcmp(key->hash, request->hash, KEY_HASH_SIZE) == 0;
    }
    unsigned char mac[SESSION_MAC_SIZE];
    return session_mac(key->hash, request->id, request->ends_s, mac) &&
           CRYPTO_memcmp(mac, request->mac, SESSION_MAC_SIZE) == 0;
}

static void end_granted(struct auth_request *request, const struct cached_key *key) {
    request->scope = key->scope;
    memcpy(request->event_text, key->event, key->event_len);
    request->event = slice_from(request->event_text, key->event_len);
    end(request, ERR_OK);
}

static struct cached_key *set_of(struct auth *auth, struct slice id) {
    return auth->keys[slice_hash(id) % AUTH_SETS];
}

static struct cached_key *find_key(struct auth *auth, struct slice id) {
    struct cached_key *set = set_of(auth, id);
    for (size_t i = 0; i < AUTH_WAYS; i++) {
        if (slice_eq(slice_from(set[i].id, set[i].id_len), id)) {
            return &set[i];
        }
    }
    return NULL;
}

/* The place of this key, else the one longest unused; a free one was never used. */
static struct cached_key *place_for(struct auth *auth, struct slice id) {
    struct cached_key *found = find_key(auth, id);
    if (found != NULL) {
        return found;
    }
    struct cached_key *set = set_of(auth, id), *oldest = &set[0];
    for (size_t i = 0; i < AUTH_WAYS; i++) {
        bool is_older = set[i].id_len == 0 || set[i].used_us < oldest->used_us;
        if (oldest->id_len > 0 && is_older) {
            oldest = &set[i];
        }
    }
    return oldest;
}

static struct slice load_id(const struct load *load) {
    return slice_from(load->id, load->id_len);
}

/* Takes what the store said into the cache; NULL when the key is not valid. */
static struct cached_key *remember(struct auth *auth, const struct load *load) {
    const struct api_key *key = &load->op.key;
    struct cached_key *known = find_key(auth, load_id(load));
    bool is_valid = load->op.err == ERR_OK && key->revoked_at_ms == TIME_NONE &&
                    key->event.len <= CODE_MAX;
    if (!is_valid) {
        if (known != NULL) {
            *known = (struct cached_key){.id_len = 0};
        }
        return NULL;
    }
    struct cached_key *place = place_for(auth, load_id(load));
    *place = (struct cached_key){
        .id_len = load->id_len,
        .scope = key->scope,
        .event_len = key->event.len,
        .asked_us = load->asked_us,
        .used_us = loop_now_us(auth->options.loop),
    };
    memcpy(place->id, load->id, load->id_len);
    memcpy(place->hash, key->hash, KEY_HASH_SIZE);
    if (key->event.len > 0) {
        memcpy(place->event, key->event.at, key->event.len);
    }
    return place;
}

static void answer_waiting(struct auth *auth, const struct load *load,
                           const struct cached_key *key) {
    bool is_answered = load->op.err == ERR_OK || load->op.err == ERR_UNKNOWN_KEY;
    for (struct auth_request *next, *request = load->first; request != NULL; request = next) {
        next = request->next;
        if (!is_answered) {
            end(request, load->op.err);
        } else if (key != NULL && has_right_secret(key, request)) {
            end_granted(request, key);
        } else {
            end_unauthorized(auth, request);
        }
    }
}

static void on_loaded(struct loop_message *message) {
    struct load *load = (struct load *)message;
    struct auth *auth = load->auth;
    struct load **at = &auth->under_way;
    while (*at != load) {
        at = &(*at)->next;
    }
    *at = load->next;
    bool is_answered = load->op.err == ERR_OK || load->op.err == ERR_UNKNOWN_KEY;
    struct cached_key copy, *key = is_answered ? remember(auth, load) : NULL;
    if (key != NULL) {
        copy = *key; /* an answer below may lead to a request that takes the place */
    }
    store_meter_see(&auth->options.meter, &load->op,
                    load->first == NULL ? NULL : load->first->owner);
    answer_waiting(auth, load, key != NULL ? &copy : NULL);
    store_op_clear(&load->op);
    pool_give_back(&auth->loads, load);
}

static void post_loaded(struct store_op *op) {
    struct load *load = op->owner;
    loop_post(load->auth->options.loop, &load->message);
}

static struct load *find_load(struct auth *auth, struct slice id) {
    for (struct load *load = auth->under_way; load != NULL; load = load->next) {
        if (slice_eq(load_id(load), id)) {
            return load;
        }
    }
    return NULL;
}

/* Asks the store about `id`, or joins the question that is under way. NULL when too many are. */
static struct load *ask(struct auth *auth, struct slice id) {
    struct load *load = find_load(auth, id);
    if (load != NULL) {
        return load;
    }
    load = pool_borrow(&auth->loads);
    if (load == NULL) {
        return NULL;
    }
    if (!load->has_op) {
        store_op_init(&load->op, STORE_LOAD_KEY);
        load->has_op = true;
    }
    load->auth = auth;
    load->first = NULL;
    load->last = &load->first;
    load->id_len = id.len;
    memcpy(load->id, id.at, id.len);
    load->asked_us = loop_now_us(auth->options.loop);
    load->message.fn = on_loaded;
    load->next = auth->under_way;
    auth->under_way = load;
    load->op.key.id = load_id(load);
    load->op.deadline_us =
        clock_mono_us(auth->options.clock) + *auth->options.deadline_ms * 1000;
    load->op.owner = load;
    load->op.done = post_loaded;
    store_submit(auth->options.store, &load->op);
    return load;
}

static void wait_for_store(struct auth *auth, struct auth_request *request, struct slice id) {
    struct load *load = ask(auth, id);
    if (load == NULL) {
        end(request, ERR_OVERLOADED);
        return;
    }
    request->next = NULL;
    *load->last = request;
    load->last = &request->next;
}

static void check_cached(struct auth *auth, struct auth_request *request, struct cached_key *key) {
    if (!has_right_secret(key, request)) {
        end_unauthorized(auth, request);
        return;
    }
    int64_t now_us = loop_now_us(auth->options.loop);
    int64_t age_us = now_us - key->asked_us;
    key->used_us = now_us;
    if (age_us > AUTH_TRUST_US) {
        wait_for_store(auth, request, slice_from(key->id, key->id_len));
        return;
    }
    if (age_us > AUTH_REFRESH_US) {
        (void)ask(auth, slice_from(key->id, key->id_len)); /* in the background; may be refused */
    }
    end_granted(request, key);
}

/* What was shown: a key, a session, or neither. */
static enum err_e read_shown(struct auth *auth, struct auth_request *request) {
    struct session session;
    struct slice secret;
    request->ends_s = 0;
    if (request->header.len > 0 || request->session.len == 0) {
        if (!auth_parse(request->header, &request->id, &secret)) {
            return ERR_UNAUTHORIZED;
        }
        return hash_secret(auth, secret, request->hash) ? ERR_OK : ERR_INTERNAL;
    }
    if (!session_parse(request->session, &session)) {
        return ERR_UNAUTHORIZED;
    }
    request->id = session.id;
    request->ends_s = session.ends_s;
    memcpy(request->mac, session.mac, SESSION_MAC_SIZE);
    return ERR_OK;
}

/* A page that stays open beyond its session guesses nothing: it is not noted as a failure. */
static bool has_ended(const struct auth *auth, const struct auth_request *request) {
    if (request->ends_s == 0) {
        return false;
    }
    int64_t left_ms = request->ends_s * 1000 - clock_wall_ms(auth->options.clock);
    return left_ms <= 0 || left_ms > *auth->options.session_ms + SKEW_MS;
}

static void check_shown(struct auth *auth, struct auth_request *request) {
    struct cached_key *key = find_key(auth, request->id);
    if (key != NULL && (request->retry_after_s == 0 || has_right_secret(key, request))) {
        check_cached(auth, request, key);
    } else if (request->retry_after_s > 0) {
        end(request, ERR_RATE_LIMITED);
    } else {
        wait_for_store(auth, request, request->id);
    }
}

void auth_check(struct auth *auth, struct auth_request *request) {
    request->retry_after_s =
        limiter_wait_s(&auth->limiter, request->peer, loop_now_us(auth->options.loop));
    enum err_e err = read_shown(auth, request);
    if (err == ERR_UNAUTHORIZED) {
        if (request->retry_after_s > 0) {
            end(request, ERR_RATE_LIMITED);
        } else {
            end_unauthorized(auth, request);
        }
    } else if (err != ERR_OK || has_ended(auth, request)) {
        end(request, err != ERR_OK ? err : ERR_UNAUTHORIZED);
    } else {
        check_shown(auth, request);
    }
}
