/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How old what a standby shows may be, measured on one clock: ours.
 *
 *     ours      moment ── ask the primary where its log ends ── ask the standby what it replayed
 *     primary             mark: 0/3000100
 *     standby                                                  0/3000140: it has the mark
 *
 * 1. The moment is taken before the primary is asked. Whatever it had acknowledged by then lies
 *    before the mark.
 * 2. A standby that has replayed the mark shows all of that from then on: replaying never goes
 *    back. So until moment + limit, nothing that it shows is older than the limit.
 * 3. The primary's mark stands still while nobody writes: an idle primary makes nobody look late.
 * 4. Marks that are given up for newer ones are kept until they are reached: a standby that has not
 *    replayed one is behind by its age at least. Those of a long lag are kept further apart.
 * 5. A standby that receives nothing (no WAL receiver) is not believed, even when it has the mark:
 *    it may follow another server than the primary by now.
 *
 * Pure. Thread: the owner's. Positions are bytes of the log since its beginning.
 */
#ifndef TURNOUT_STORE_POSTGRES_LAG_H
#define TURNOUT_STORE_POSTGRES_LAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PG_LAG_MARKS = 32 };

struct pg_lag_mark {
    int64_t at_us;
    int64_t position;
};

struct pg_lag {
    int64_t limit_us;
    int64_t fresh_until_us; /* 0: it is not known to be */
    struct pg_lag_mark marks[PG_LAG_MARKS]; /* not reached yet, oldest first */
    size_t marks_len;
};

void pg_lag_init(struct pg_lag *lag, int64_t limit_us);
/* After a new connection to either server: what was known was about another one. */
void pg_lag_forget(struct pg_lag *lag);
bool pg_lag_is_fresh(const struct pg_lag *lag, int64_t now_us);
/* Whether a new mark is to be taken: there is none, or the newest proves nothing any more. */
bool pg_lag_wants_mark(const struct pg_lag *lag, int64_t now_us);
void pg_lag_mark(struct pg_lag *lag, int64_t moment_us, int64_t position);
/* By how much the standby is behind, at least; 0: by nothing that is known. */
int64_t pg_lag_behind_us(const struct pg_lag *lag, int64_t now_us);
/* The standby has replayed up to `position`; `receives`: its WAL receiver runs. */
void pg_lag_see(struct pg_lag *lag, int64_t position, bool receives);

#endif
