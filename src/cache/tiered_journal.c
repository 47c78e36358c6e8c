/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What L2 must be told: the keys that were invalidated here and that it has not taken yet.
 *
 *   due ──► sent ──ok──► gone
 *    ▲        │
 *    └─failed─┘   (or to be repeated: the commit is unknown and may yet happen)
 *
 * While a key is in here, this node does not ask L2 for it.
 */
#include "cache/tiered_priv.h"

static size_t bucket_of(uint64_t hash) {
    return (hash >> 24) % TIERED_JOURNAL_BUCKETS;
}

static struct slice key_of(const struct tiered_entry *entry) {
    return slice_from(entry->key, entry->key_len);
}

static struct tiered_entry *find_locked(struct tiered_journal *journal, uint64_t hash,
                                        struct slice key) {
    struct tiered_entry *entry = journal->buckets[bucket_of(hash)];
    while (entry != NULL && (entry->hash != hash || !slice_eq(key_of(entry), key))) {
        entry = entry->after;
    }
    return entry;
}

static struct tiered_entry *make_locked(struct tiered *tiered, uint64_t hash, struct slice key) {
    struct tiered_journal *journal = &tiered->journal;
    if (journal->count >= TIERED_JOURNAL_MAX) {
        return NULL;
    }
    struct tiered_entry *entry = tiered->memory->take(tiered->memory, sizeof *entry + key.len);
    if (entry == NULL) {
        return NULL;
    }
    memset(entry, 0, sizeof *entry);
    entry->hash = hash;
    entry->key_len = key.len;
    memcpy(entry->key, key.at, key.len);
    struct tiered_entry **bucket = &journal->buckets[bucket_of(hash)];
    entry->after = *bucket;
    *bucket = entry;
    entry->older = journal->newest;
    if (journal->newest != NULL) {
        journal->newest->newer = entry;
    } else {
        journal->oldest = entry;
    }
    journal->newest = entry;
    journal->count++;
    return entry;
}

static void remove_locked(struct tiered *tiered, struct tiered_entry *entry) {
    struct tiered_journal *journal = &tiered->journal;
    struct tiered_entry **at = &journal->buckets[bucket_of(entry->hash)];
    while (*at != entry) {
        at = &(*at)->after;
    }
    *at = entry->after;
    if (entry->newer != NULL) {
        entry->newer->older = entry->older;
    } else {
        journal->newest = entry->older;
    }
    if (entry->older != NULL) {
        entry->older->newer = entry->newer;
    } else {
        journal->oldest = entry->newer;
    }
    journal->count--;
    tiered->memory->give(tiered->memory, entry);
}

static void answered_locked(struct tiered_loop *loop, struct tiered_entry *entry, enum err_e err) {
    int64_t now_us = tiered_now_us(loop);
    entry->sent = false;
    if (loop->closing) {
        remove_locked(loop->tiered, entry);
    } else if (err != ERR_OK) {
        entry->news.refused = true;
        entry->due_us = now_us + TIERED_AGAIN_MS * 1000;
    } else if (entry->again) {
        entry->due_us = now_us;
    } else if (entry->repeats > 0) {
        entry->news.number = 0;
        entry->repeats--;
        entry->due_us = now_us + 1000000;
    } else {
        remove_locked(loop->tiered, entry);
    }
}

static void answered(struct tiered_entry *entry, enum err_e err) {
    struct tiered_loop *loop = entry->loop;
    pthread_mutex_lock(&loop->tiered->mutex);
    answered_locked(loop, entry, err);
    bool more = loop->tiered->journal.count > 0;
    pthread_mutex_unlock(&loop->tiered->mutex);
    if (more) {
        (void)tiered_tick_soon(loop);
    }
}

static void on_told(void *data, const struct redis_answer *answer) {
    answered(data, answer->err);
}

/* The entry is marked as sent by this loop, so nobody else takes it out. */
static void tell(struct tiered_entry *entry) {
    struct tiered_loop *loop = entry->loop;
    tiered_forget_key(loop->tiered, key_of(entry)); /* what is repeated is for L1 too */
    if (!loop->port->has_l2) {
        answered(entry, ERR_OK);
        return;
    }
    struct redis_call call = {
        .op = REDIS_INVALIDATE, .key = key_of(entry), .fn = on_told, .data = entry};
    enum err_e err = tiered_send(loop, &call);
    if (err != ERR_OK) {
        answered(entry, err);
    }
}

static void set_sent_locked(struct tiered_entry *entry, struct tiered_loop *loop) {
    entry->sent = true;
    entry->again = false;
    entry->loop = loop;
    if (entry->news.number == 0) { /* what is repeated may have happened since */
        tiered_news_add_locked(loop->tiered, &entry->news, tiered_now_us(loop));
    }
}

void tiered_journal_add(struct tiered_loop *loop, struct slice key, unsigned repeats) {
    struct tiered *tiered = loop->tiered;
    uint64_t hash = l1_hash_of(tiered->l1, key);
    pthread_mutex_lock(&tiered->mutex);
    struct tiered_entry *entry = find_locked(&tiered->journal, hash, key);
    entry = entry == NULL ? make_locked(tiered, hash, key) : entry;
    bool was_sent = entry != NULL && entry->sent;
    if (entry != NULL) {
        tiered_news_add_locked(tiered, &entry->news, tiered_now_us(loop));
    }
    if (was_sent) {
        entry->again = true; /* the answer to come speaks of the time before */
    } else if (entry != NULL) {
        set_sent_locked(entry, loop);
    }
    if (entry != NULL && repeats > entry->repeats) {
        entry->repeats = repeats;
    }
    pthread_mutex_unlock(&tiered->mutex);
    enum tiered_class_e class;
    if (entry == NULL && tiered_class_of(key, &class)) {
        tiered_epoch_tell(loop, class);
    } else if (entry != NULL && !was_sent) {
        tell(entry);
    }
    if (loop->mark != NULL && entry != NULL) {
        (void)tiered_tick_soon(loop); /* to see whether L2 takes its time */
    }
}

bool tiered_journal_has_locked(const struct tiered *tiered, uint64_t hash) {
    const struct tiered_entry *entry = tiered->journal.buckets[bucket_of(hash)];
    while (entry != NULL && entry->hash != hash) {
        entry = entry->after;
    }
    return entry != NULL;
}

/* The oldest entry of this loop that is due, as sent; NULL: none. */
static struct tiered_entry *take_due(struct tiered_loop *loop, int64_t now_us) {
    struct tiered *tiered = loop->tiered;
    pthread_mutex_lock(&tiered->mutex);
    struct tiered_entry *entry = tiered->journal.oldest;
    while (entry != NULL && (entry->sent || entry->loop != loop || entry->due_us > now_us)) {
        entry = entry->newer;
    }
    if (entry != NULL) {
        set_sent_locked(entry, loop);
    }
    pthread_mutex_unlock(&tiered->mutex);
    return entry;
}

void tiered_journal_tick(struct tiered_loop *loop, int64_t now_us) {
    for (int i = 0; i < TIERED_TOLD_AT_ONCE; i++) { /* one that fails again is due later */
        struct tiered_entry *entry = take_due(loop, now_us);
        if (entry == NULL) {
            return;
        }
        tell(entry);
    }
}

void tiered_journal_leave(struct tiered_loop *loop) {
    struct tiered *tiered = loop->tiered;
    pthread_mutex_lock(&tiered->mutex);
    struct tiered_entry *next = tiered->journal.oldest;
    while (next != NULL) {
        struct tiered_entry *entry = next;
        next = entry->newer;
        if (entry->loop == loop && !entry->sent) {
            remove_locked(tiered, entry);
        }
    }
    pthread_mutex_unlock(&tiered->mutex);
}
