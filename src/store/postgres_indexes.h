/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every index of the PostgreSQL store that is no constraint of a table, in one table: what a
 * migration builds and what the optimizer watches, so that the two cannot differ.
 *
 * X(name, UNIQUE or PLAIN, table, definition). A definition is what pg_get_indexdef prints behind
 * " USING ", to the letter: a different one is told as such. Those of the critical queries come
 * first, and are built first. Thread: any.
 */
#ifndef TURNOUT_STORE_POSTGRES_INDEXES_H
#define TURNOUT_STORE_POSTGRES_INDEXES_H

#define POSTGRES_INDEX_TABLE(X)                                                                    \
    X("idx_participants_token_active", UNIQUE, "participants",                                     \
      "btree (token, event_id) WHERE (status = 'active'::text)")                                   \
    X("idx_attendance_participant_timestamp", PLAIN, "attendance_records",                         \
      "btree (participant_id, \"timestamp\")")                                                     \
    X("idx_attendance_gate_timestamp", PLAIN, "attendance_records",                                \
      "btree (gate_id, \"timestamp\")")                                                            \
    X("idx_attendance_event_timestamp", PLAIN, "attendance_records",                               \
      "btree (event_id, \"timestamp\")")                                                           \
    X("idx_attendance_method_timestamp", PLAIN, "attendance_records",                              \
      "btree (event_id, method, \"timestamp\")")                                                   \
    X("idx_attendance_refused", PLAIN, "attendance_records",                                       \
      "btree (event_id, \"timestamp\") WHERE (verdict = 'refused'::text)")                         \
    X("idx_attendance_recorded", PLAIN, "attendance_records", "brin (recorded_at)")                \
    X("idx_participants_token_inactive", PLAIN, "participants",                                    \
      "btree (token, event_id, id) WHERE (status <> 'active'::text)")                              \
    X("idx_participants_event", PLAIN, "participants", "btree (event_id, id)")                     \
    X("idx_participants_search", PLAIN, "participants", "gin (search)")

#endif
