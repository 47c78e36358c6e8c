/* SPDX-License-Identifier: Apache-2.0 */
/* A set-associative table of accounts. */
#include "api/limiter.h"

#include <arpa/inet.h>

enum { NETWORK_BYTES = 8 }; /* of an IPv6 address: the /64 */

void limiter_init(struct limiter *limiter, uint64_t seed) {
    *limiter = (struct limiter){.seed = seed};
}

static uint64_t mix(uint64_t x) { /* the finisher of SplitMix64 */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t hash_of(const struct limiter *limiter, struct slice peer) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (slice_to_cstr(peer, text, sizeof text) && inet_pton(AF_INET6, text, &address) == 1 &&
        !IN6_IS_ADDR_V4MAPPED(&address)) {
        peer = slice_from((const char *)address.s6_addr, NETWORK_BYTES);
    }
    uint64_t hash = mix(slice_hash(peer) ^ limiter->seed);
    return hash == 0 ? 1 : hash;
}

static const struct limiter_account *find(const struct limiter *limiter, uint64_t hash) {
    const struct limiter_account *set = limiter->accounts[hash % LIMITER_SETS];
    for (size_t i = 0; i < LIMITER_WAYS; i++) {
        if (set[i].address == hash) {
            return &set[i];
        }
    }
    return NULL;
}

static struct limiter_account *find_or_take(struct limiter *limiter, uint64_t hash) {
    struct limiter_account *set = limiter->accounts[hash % LIMITER_SETS];
    struct limiter_account *least = &set[0];
    for (size_t i = 0; i < LIMITER_WAYS; i++) {
        if (set[i].address == hash) {
            return &set[i];
        }
        if (set[i].clear_at_us < least->clear_at_us) {
            least = &set[i];
        }
    }
    *least = (struct limiter_account){.address = hash, .clear_at_us = INT64_MIN};
    return least;
}

void limiter_note_failure(struct limiter *limiter, struct slice peer, int64_t now_us) {
    struct limiter_account *account = find_or_take(limiter, hash_of(limiter, peer));
    int64_t from = account->clear_at_us > now_us ? account->clear_at_us : now_us;
    account->clear_at_us = from + LIMITER_INTERVAL_US;
}

int64_t limiter_wait_s(const struct limiter *limiter, struct slice peer, int64_t now_us) {
    const struct limiter_account *account = find(limiter, hash_of(limiter, peer));
    if (account == NULL) {
        return 0;
    }
    int64_t over_us =
        account->clear_at_us - now_us - (int64_t)(LIMITER_BURST - 1) * LIMITER_INTERVAL_US;
    return over_us <= 0 ? 0 : (over_us + 999999) / 1000000;
}
