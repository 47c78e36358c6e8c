/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One scan, or a queue of scans that an offline scanner uploads, from request to durable verdict.
 *
 * Thread: all of it on the loop it was created on; the store's answers come back through the loop's
 * mailbox. Ownership: scans and everything they point at are borrowed until `done` has returned.
 */
#ifndef TURNOUT_CHECKIN_CHECKIN_H
#define TURNOUT_CHECKIN_CHECKIN_H

#include "io/loop.h"
#include "store/store.h"

struct checkin;

struct checkin_options {
    size_t scans_max;      /* single scans in flight on this loop; beyond it ERR_OVERLOADED */
    size_t batches_max;    /* batches in flight on this loop */
    size_t chunk;          /* scans of a batch in one store operation, 1..STORE_SCANS_MAX */
    int64_t deadline_ms;   /* a single scan that waits longer is answered ERR_DEADLINE; 0: none */
    struct store_meter meter; /* of store operations, with the scan's or batch's owner */
};

/* NULL without memory. */
struct checkin *checkin_create(struct loop *loop, struct store *store,
                               const struct checkin_options *options);
void checkin_destroy(struct checkin *checkin); /* nothing in flight */
/* Others from now on: all of `options` but the meter. */
void checkin_set_limits(struct checkin *checkin, const struct checkin_options *options);

/* `result->err` says whether it was decided; `result` lives until `done` returns. Called once, on
 * the loop, never from within checkin_scan. */
typedef void (*checkin_scan_fn)(const struct scan_result *result, void *owner);
/* ERR_OVERLOADED at once when too many are in flight: then `done` is not called. */
enum err_e checkin_scan(struct checkin *checkin, struct slice event, const struct scan *scan,
                        checkin_scan_fn done, void *owner) MUST_CHECK;

/* Decides `len` scans in the order of scanned_at (equal ones keep their order, those without come
 * last), in chunks, so that single scans pass between them. `results` is indexed as `scans` is; a
 * scan whose `skip` byte is set is not looked at and its result is left alone. Results live until
 * checkin_batch_free, which the caller owes after `done`. */
struct checkin_batch;
size_t checkin_batches_max(const struct checkin *checkin); /* beyond it ERR_OVERLOADED at once */
typedef void (*checkin_batch_fn)(struct checkin_batch *batch, const struct scan_result *results,
                                 void *owner);
/* size: inputs, their marks and the completion; a struct would be filled at its one call site */
enum err_e checkin_batch(struct checkin *checkin, struct slice event, const struct scan *scans,
                         const unsigned char *skip, size_t len, checkin_batch_fn done,
                         void *owner) MUST_CHECK;
void checkin_batch_free(struct checkin_batch *batch);

#endif
