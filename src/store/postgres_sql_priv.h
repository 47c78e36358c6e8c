/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every fixed statement of the PostgreSQL store. A connection prepares those of its role when it
 * opens: W the writers', R the readers' (on a standby too), B both, L a lease's. Columns are read
 * in the order they stand here.
 */
#ifndef TURNOUT_STORE_POSTGRES_SQL_PRIV_H
#define TURNOUT_STORE_POSTGRES_SQL_PRIV_H

#define PG_EVENT_COLUMNS                                                                           \
    "e.id, e.code, e.name, e.timezone, e.starts_at, e.ends_at, e.capacity, e.reentry"
#define PG_PARTICIPANT_COLUMNS                                                                     \
    "p.id, p.token, p.name, p.email, p.status, p.valid_from, p.valid_until, p.gates, p.attention"
#define PG_STANDING_COLUMNS                                                                        \
    "l.admissions, l.inside, l.last_at, l.last_id, l.last_gate, l.first_at, l.first_gate"
#define PG_RECORD_COLUMNS                                                                          \
    "r.id, r.participant_id, g.code, r.method, r.direction, r.verdict, r.reason, r.overrode,"      \
    " r.annulled_at, r.timestamp, r.recorded_at"
#define PG_KEY_COLUMNS "id, name, scope, event, hash, created_at, revoked_at"
#define PG_EVENT_ID "(SELECT id FROM events WHERE code = $1)"
#define PG_IN_MS(ms) "clock_timestamp() + " ms "::bigint * interval '1 millisecond'"
#define PG_IS_TURN(term, holder)                                                                   \
    "(" term "::bigint = 0 OR EXISTS (SELECT FROM leases WHERE name = 'controller' AND holder = "  \
    holder " AND leases.term = " term " AND until > clock_timestamp()))"

/* size: one table of statements reads better than several */
#define PG_SQL_TABLE(X)                                                                            \
    X(BEGIN, W, "BEGIN")                                                                           \
    X(COMMIT, W, "COMMIT")                                                                         \
    X(ROLLBACK, W, "ROLLBACK")                                                                     \
    X(LIMIT_READ, R, "SELECT set_config('statement_timeout', $1, true)")                           \
    /* bytes of the log; the bigint is exact for 8 exabytes of it */                               \
    X(PRIMARY_POSITION, R, "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint")          \
    X(REPLICA_POSITION, R,                                                                         \
      "SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint,"            \
      " EXISTS (SELECT FROM pg_stat_get_wal_receiver() AS w WHERE w.pid IS NOT NULL)")             \
    X(PROBE, W, "INSERT INTO turnout_meta VALUES ('probe', $1)"                                    \
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value")                         \
    X(META_GET, W, "SELECT value FROM turnout_meta WHERE key = $1")                                \
    X(META_PUT, W, "INSERT INTO turnout_meta VALUES ($1, $2) ON CONFLICT DO NOTHING")              \
    X(PARTITION_WAIT, W, "SELECT set_config('lock_timeout', $1, true)")                            \
    X(PARTITION_MAKE, W, "SELECT turnout_make_partition($1)")                                      \
    /* ── a group of scans ── */                                                                   \
    X(EVENT_IDS, W, "SELECT id, code FROM events WHERE code = ANY($1::text[])")                    \
    X(EVENTS_LOCK, W, "SELECT event_id FROM event_stats WHERE event_id = ANY($1::bigint[])"        \
                      " ORDER BY event_id FOR UPDATE")                                             \
    /* Look-ups one by one, by key: LATERAL with LIMIT leaves the planner no choice. Plans are made\
     * once, often when the tables are empty, and a join would then read all of a table for each   \
     * group, for ever. Of people the second look-up is made only when the first finds nobody, so  \
     * one of each pair is NULL. */                                                                \
    X(GROUP_EVENTS, W, "SELECT q.n, e.id, e.capacity, e.reentry, s.inside"                         \
                       " FROM unnest($1::bigint[]) WITH ORDINALITY AS q(id, n)"                    \
                       " CROSS JOIN LATERAL (SELECT * FROM events WHERE id = q.id LIMIT 1) e"      \
                       " CROSS JOIN LATERAL (SELECT inside FROM event_stats WHERE event_id = q.id" \
                       "  LIMIT 1) s")                                                             \
    X(GROUP_GATES, W, "SELECT q.n, g.id, g.code, g.name, g.status"                                 \
                      " FROM unnest($1::bigint[], $2::text[])"                                     \
                      " WITH ORDINALITY AS q(event_id, code, n)"                                   \
                      " CROSS JOIN LATERAL (SELECT * FROM gates WHERE event_id = q.event_id"       \
                      "  AND code = q.code LIMIT 1) g")                                            \
    X(GROUP_PEOPLE, W,                                                                             \
      "SELECT q.n, coalesce(a.id, i.id), coalesce(a.name, i.name), coalesce(a.status, i.status),"  \
      " coalesce(a.valid_from, i.valid_from), coalesce(a.valid_until, i.valid_until),"             \
      " coalesce(a.gates, i.gates), coalesce(a.attention, i.attention), "                          \
      PG_STANDING_COLUMNS                                                                          \
      " FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS q(event_id, token, n)"            \
      " LEFT JOIN LATERAL (SELECT * FROM participants WHERE token = q.token"                       \
      "  AND event_id = q.event_id AND status = 'active' LIMIT 1) a ON true"                       \
      " LEFT JOIN LATERAL (SELECT * FROM participants WHERE a.id IS NULL AND token = q.token"      \
      "  AND event_id = q.event_id AND status <> 'active' ORDER BY id DESC LIMIT 1) i ON true"     \
      " LEFT JOIN LATERAL (SELECT * FROM ledger WHERE participant_id = coalesce(a.id, i.id)"       \
      "  LIMIT 1) l ON true"                                                                       \
      " WHERE coalesce(a.id, i.id) IS NOT NULL")                                                   \
    X(GATE_CODES_BY_ID, W, "SELECT id, code FROM gates WHERE id = ANY($1::bigint[])")              \
    X(GROUP_NONCES, W,                                                                             \
      "SELECT q.n, " PG_RECORD_COLUMNS ", r.token_hash, r.first_at, fg.code,"                      \
      " p.name, p.status, p.attention, p.erased_at"                                                \
      " FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS q(event_id, nonce, n)"            \
      " CROSS JOIN LATERAL (SELECT record_id, timestamp FROM scan_nonces"                          \
      "  WHERE event_id = q.event_id AND nonce = q.nonce LIMIT 1) s"                               \
      " LEFT JOIN LATERAL (SELECT * FROM attendance_records WHERE id = s.record_id"                \
      "  AND timestamp = s.timestamp LIMIT 1) r ON true"                                           \
      " LEFT JOIN LATERAL (SELECT code FROM gates WHERE id = r.gate_id LIMIT 1) g ON true"         \
      " LEFT JOIN LATERAL (SELECT code FROM gates WHERE id = r.first_gate LIMIT 1) fg ON true"     \
      " LEFT JOIN LATERAL (SELECT * FROM participants WHERE id = r.participant_id LIMIT 1) p"      \
      "  ON true")                                                                                 \
    X(RECORD_IDS, W, "SELECT nextval('attendance_record_ids') FROM generate_series(1, $1::bigint)")\
    /* Rows of a table come as one array of its row type: a third less work for the server than an \
     * array for each column. */                                                                   \
    X(ROW_TYPES, W, "SELECT 'attendance_records'::regtype::oid::bigint,"                           \
                    " 'scan_nonces'::regtype::oid::bigint, 'ledger'::regtype::oid::bigint")        \
    X(RECORDS_ADD, W, "INSERT INTO attendance_records"                                             \
                      " SELECT * FROM unnest($1::attendance_records[])")                           \
    X(NONCES_ADD, W, "INSERT INTO scan_nonces SELECT * FROM unnest($1::scan_nonces[])")            \
    X(NONCES_DROP, W, "DELETE FROM scan_nonces s USING unnest($1::bigint[], $2::text[])"           \
                      " AS q(event_id, nonce) WHERE s.event_id = q.event_id AND s.nonce = q.nonce" \
                      " AND s.event_id = ANY($1::bigint[]) AND s.nonce = ANY($2::text[])")         \
    /* gates, minutes and seconds: what this transaction adds to each */                           \
    X(GATES_ADD, W,                                                                                \
      "WITH g AS (INSERT INTO gate_stats AS s"                                                     \
      "  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])"             \
      "  ON CONFLICT (gate_id) DO UPDATE SET admitted = s.admitted + excluded.admitted,"           \
      "  exited = s.exited + excluded.exited, refused = s.refused + excluded.refused),"            \
      " m AS (INSERT INTO gate_minutes AS s SELECT * FROM unnest($6::bigint[], $7::bigint[],"      \
      "  $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])"                                \
      "  ON CONFLICT (event_id, minute, gate_id) DO UPDATE SET"                                    \
      "  admitted = s.admitted + excluded.admitted, exited = s.exited + excluded.exited,"          \
      "  refused = s.refused + excluded.refused)"                                                  \
      " INSERT INTO gate_seconds AS s SELECT q.gate_id, $5::bigint & 63, $5, q.admitted"           \
      "  FROM unnest($1::bigint[], $2::bigint[]) AS q(gate_id, admitted) WHERE q.admitted > 0"     \
      "  ON CONFLICT (gate_id, slot) DO UPDATE SET second = excluded.second,"                      \
      "  admitted = excluded.admitted +"                                                           \
      "   CASE WHEN s.second = excluded.second THEN s.admitted ELSE 0 END"                         \
      "  WHERE s.second <= excluded.second")                                                       \
    /* under the event's lock nobody else makes a row of its people */                             \
    X(LEDGER_ADD, W, "INSERT INTO ledger SELECT * FROM unnest($1::ledger[])")                      \
    /* not UPDATE … FROM: planned on an empty table, that reads all of it for each group */        \
    X(LEDGER_CHANGE, W,                                                                            \
      "INSERT INTO ledger AS l SELECT * FROM unnest($1::ledger[])"                                 \
      " ON CONFLICT (participant_id) DO UPDATE SET admissions = excluded.admissions,"              \
      "  inside = excluded.inside, last_at = excluded.last_at, last_id = excluded.last_id,"        \
      "  last_gate = excluded.last_gate, first_at = excluded.first_at,"                            \
      "  first_gate = excluded.first_gate")                                                        \
    X(EVENT_STATS_ADD, W,                                                                          \
      "UPDATE event_stats s SET admitted = s.admitted + q.admitted, inside = s.inside + q.inside," \
      "  scans = s.scans + q.scans, refused = s.refused + q.refused, qr = s.qr + q.qr,"            \
      "  nfc = s.nfc + q.nfc, ble = s.ble + q.ble, manual = s.manual + q.manual"                   \
      " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],"         \
      "  $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])"                                  \
      "  AS q(event_id, admitted, inside, scans, refused, qr, nfc, ble, manual)"                   \
      " WHERE s.event_id = q.event_id AND s.event_id = ANY($1::bigint[])")                         \
    /* ── annulment ── */                                                                          \
    X(EVENT_LOCK, W, "SELECT event_id FROM event_stats WHERE event_id = " PG_EVENT_ID              \
                     " FOR UPDATE")                                                                \
    X(RECORD_BY_ID, W, "SELECT " PG_RECORD_COLUMNS ", r.gate_id FROM attendance_records r"         \
                       " JOIN gates g ON g.id = r.gate_id"                                         \
                       " WHERE r.id = $2 AND r.event_id = " PG_EVENT_ID)                           \
    X(RECORD_ANNUL, W, "UPDATE attendance_records SET annulled_at = $3"                            \
                       " WHERE id = $1 AND timestamp = $2")                                        \
    X(STANDING_GET, W, "SELECT " PG_STANDING_COLUMNS " FROM ledger l WHERE l.participant_id = $1") \
    X(STANDING_OF, W, "SELECT id, timestamp, verdict, gate_id FROM attendance_records"             \
                      " WHERE participant_id = $1 AND annulled_at IS NULL"                         \
                      " AND verdict <> 'refused' ORDER BY timestamp, id")                          \
    X(LEDGER_DELETE, W, "DELETE FROM ledger WHERE participant_id = $1")                            \
    X(GATE_STATS_TAKE, W, "UPDATE gate_stats SET admitted = admitted - $2, exited = exited - $3"   \
                          " WHERE gate_id = $1")                                                   \
    X(GATE_MINUTE_TAKE, W, "UPDATE gate_minutes SET admitted = admitted - $4, exited = exited - $5"\
                           " WHERE event_id = $1 AND minute = $2 AND gate_id = $3")                \
    X(GATE_SECOND_TAKE, W, "UPDATE gate_seconds SET admitted = admitted - $3"                      \
                           " WHERE gate_id = $1 AND slot = $2::bigint & 63 AND second = $2")       \
    /* ── events, gates, keys ── */                                                                \
    X(EVENT_BY_CODE, B, "SELECT " PG_EVENT_COLUMNS " FROM events e WHERE e.code = $1")             \
    X(EVENTS_PAGE, R, "SELECT " PG_EVENT_COLUMNS " FROM events e WHERE e.id > $1"                  \
                      " ORDER BY e.id LIMIT $2")                                                   \
    X(EVENT_INSERT, W,                                                                             \
      "WITH e AS (INSERT INTO events (code, name, timezone, starts_at, ends_at, capacity,"         \
      "  reentry, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id)"               \
      " INSERT INTO event_stats (event_id) SELECT id FROM e RETURNING event_id")                   \
    X(EVENT_ROW_LOCK, W, "SELECT id FROM events WHERE code = $1 FOR NO KEY UPDATE")                \
    X(EVENT_UPDATE, W, "UPDATE events SET name = $2, timezone = $3, starts_at = $4, ends_at = $5," \
                       " capacity = $6, reentry = $7 WHERE id = $1")                               \
    X(GATE_BY_CODE, B, "SELECT g.id, g.code, g.name, g.status FROM gates g"                        \
                       " WHERE g.event_id = " PG_EVENT_ID " AND g.code = $2")                      \
    X(GATES_PAGE, R, "SELECT g.id, g.code, g.name, g.status FROM gates g"                          \
                     " WHERE g.event_id = " PG_EVENT_ID " AND g.id > $2 ORDER BY g.id LIMIT $3")   \
    X(GATE_INSERT, W, "INSERT INTO gates (event_id, code, name, status) VALUES ($1, $2, $3, $4)"   \
                      " RETURNING id")                                                             \
    X(GATE_UPDATE, W, "UPDATE gates SET name = $2, status = $3 WHERE id = $1")                     \
    X(GATE_CODES, W, "SELECT g.code FROM gates g WHERE g.event_id = " PG_EVENT_ID)                 \
    X(KEY_INSERT, W, "INSERT INTO api_keys (id, name, scope, event, hash, created_at)"             \
                     " VALUES ($1, $2, $3, $4, $5, $6)")                                           \
    X(KEY_REVOKE, W, "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1"     \
                     " RETURNING " PG_KEY_COLUMNS)                                                 \
    X(KEY_BY_ID, R, "SELECT " PG_KEY_COLUMNS " FROM api_keys WHERE id = $1")                       \
    X(KEYS_ALL, R, "SELECT " PG_KEY_COLUMNS " FROM api_keys ORDER BY created_at, id LIMIT $1")     \
    /* ── actions ── */                                                                            \
    X(ACTION_INSERT, W,                                                                            \
      "INSERT INTO action_journal (at, system, actor, action, target, outcome, evidence,"          \
      " figures_before, figures_after, detail) SELECT $1::timestamptz, $2, $3, $4, $5, $6,"        \
      " $7::text::jsonb, $8::text::jsonb, $9::text::jsonb, $10"                                    \
      " WHERE " PG_IS_TURN("$11", "$12") " RETURNING id")                                          \
    X(ACTIONS_TRIM, W, "DELETE FROM action_journal WHERE id <= $1")                                \
    X(ACTION_END, W, "UPDATE action_journal SET outcome = $2, figures_after = $3::text::jsonb,"    \
                     " detail = $4, at = CASE outcome WHEN 'waiting' THEN $7 ELSE at END"          \
                     " WHERE id = $1 AND " PG_IS_TURN("$5", "$6") " RETURNING id")                 \
    X(ACTIONS_END, W, "UPDATE action_journal SET outcome = $2, figures_after = $3::text::jsonb,"   \
                      " detail = $4 WHERE system = $1 AND outcome = $5"                            \
                      " AND ($6::text = '' OR actor = $6) AND " PG_IS_TURN("$7", "$8")             \
                      " RETURNING id")                                                             \
    X(ACTIONS_PAGE, R,                                                                             \
      "SELECT id, at, system, actor, action, target, outcome, evidence::text,"                     \
      " figures_before::text, figures_after::text, detail FROM action_journal"                     \
      " WHERE id < $1 ORDER BY id DESC LIMIT $2")                                                  \
    /* ── orders and notices ── */                                                                 \
    X(ORDER_PUT, W,                                                                                \
      "INSERT INTO control_orders (name, value, author, at, until)"                                \
      " SELECT $1, $2::text::jsonb, $3, $4::timestamptz, $5::timestamptz"                          \
      " WHERE $6::bigint > (SELECT count(*) FROM control_orders"                                   \
      "  WHERE name <> $1 AND (until IS NULL OR until > $4))"                                      \
      " ON CONFLICT (name) DO UPDATE SET value = excluded.value, author = excluded.author,"        \
      "  at = excluded.at, until = excluded.until RETURNING name")                                 \
    X(ORDERS_TRIM, W, "DELETE FROM control_orders WHERE until < $1")                               \
    X(ORDER_END, W, "UPDATE control_orders SET until = $2"                                         \
                    " WHERE name = $1 AND (until IS NULL OR until > $2)"                           \
                    " RETURNING name, value::text, author, at, until")                             \
    X(ORDERS_ALL, R, "SELECT name, value::text, author, at, until FROM control_orders"             \
                     " WHERE until IS NULL OR until > $1"                                          \
                     " ORDER BY until DESC NULLS FIRST, name LIMIT $2")                            \
    X(NOTICE_INSERT, W,                                                                            \
      "INSERT INTO notices (key, receiver, actor, at, changed, state, attempts, body, detail)"     \
      " VALUES ($1, $2, $3, $4, $4, $5, $6, $7::text::jsonb, $8) RETURNING id")                    \
    X(NOTICES_TRIM, W, "DELETE FROM notices WHERE id <= $1")                                       \
    X(NOTICE_END, W, "UPDATE notices SET state = $2, attempts = $3, detail = $4, changed = $5"     \
                     " WHERE id = $1 RETURNING id")                                                \
    X(NOTICES_PAGE, R,                                                                             \
      "SELECT id, key, receiver, actor, at, changed, state, attempts, body::text, detail"          \
      " FROM notices WHERE id < $1 AND ($2::text = '' OR state = $2)"                              \
      " ORDER BY id DESC LIMIT $3")                                                                \
    /* ── nodes ── */                                                                              \
    X(NODE_PUT, W,                                                                                 \
      "INSERT INTO nodes (id, url, version, incarnation, started_at, capabilities, draining,"      \
      " until) VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $9::bigint = 1, " PG_IN_MS("$7") ")"   \
      " ON CONFLICT (id) DO UPDATE SET url = excluded.url, version = excluded.version,"            \
      "  incarnation = excluded.incarnation, started_at = excluded.started_at,"                    \
      "  capabilities = excluded.capabilities, draining = excluded.draining,"                      \
      "  until = excluded.until"                                                                   \
      " WHERE $8::bigint = 1 OR nodes.incarnation = excluded.incarnation"                          \
      "  OR nodes.until < clock_timestamp() RETURNING id")                                         \
    X(NODE_DROP, W, "DELETE FROM nodes WHERE id = $1 AND incarnation = $2")                        \
    /* whoever else is at a row takes care of it: nobody waits, so nobody deadlocks */             \
    X(NODES_TRIM, W, "DELETE FROM nodes WHERE id IN (SELECT id FROM nodes WHERE until"             \
                     " < clock_timestamp() - interval '1 hour' FOR UPDATE SKIP LOCKED)")           \
    X(NODES_ALL, R,                                                                                \
      "SELECT id, url, version, incarnation, capabilities::text, started_at, draining,"            \
      " (date_part('epoch', until - clock_timestamp()) * 1000)::bigint FROM nodes"                 \
      " WHERE until > clock_timestamp() - interval '1 hour' ORDER BY id LIMIT $1")                 \
    /* Takes it when it is free, renews it when it is ours, and tells who has it. */               \
    X(LEASE_TRY, L,                                                                                \
      "WITH ours AS (INSERT INTO leases (name, holder, url, term, until)"                          \
      "  SELECT $1, $2, $3, 1, " PG_IN_MS("$4")                                                    \
      "  WHERE NOT EXISTS (SELECT FROM leases WHERE name = $1 AND holder <> $2"                    \
      "   AND until > clock_timestamp())" /* a look costs others nothing, a conflict locks */      \
      "  ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, url = excluded.url,"           \
      "   term = leases.term + (leases.holder <> excluded.holder"                                  \
      "    OR leases.until < clock_timestamp())::int, until = excluded.until"                      \
      "  WHERE leases.holder = excluded.holder OR leases.until < clock_timestamp()"                \
      "  RETURNING holder, url, term)"                                                             \
      " SELECT holder, url, term FROM ours UNION ALL SELECT holder, url, term FROM leases"         \
      " WHERE name = $1 AND NOT EXISTS (SELECT FROM ours)")                                        \
    X(LEASE_LOOK, L, "SELECT holder, url, term FROM leases"                                        \
                     " WHERE name = $1 AND until > clock_timestamp()")                             \
    X(LEASE_GIVE_BACK, L, "UPDATE leases SET until = '-infinity' WHERE name = $1 AND holder = $2") \
    /* ── the change mark ── */                                                                    \
    X(MARK_CHANGE, W, "UPDATE change_marks SET mark = mark # $1"                                   \
                      " WHERE slot = pg_backend_pid() % 16")                                       \
    X(MARK, R, "SELECT bit_xor(mark) FROM change_marks")                                           \
    /* ── participants ── */                                                                       \
    X(PERSON_LOCKED, W, "SELECT " PG_PARTICIPANT_COLUMNS " FROM participants p"                    \
                        " WHERE p.id = $2 AND p.event_id = " PG_EVENT_ID                           \
                        " AND p.erased_at IS NULL FOR UPDATE")                                     \
    X(PERSON_ACTIVE, W, "SELECT id FROM participants WHERE token = $1 AND event_id = $2"           \
                        " AND status = 'active'")                                                  \
    X(PERSON_INSERT, W, "INSERT INTO participants (event_id, token, name, email, status,"          \
                        " valid_from, valid_until, gates, attention, created_at)"                  \
                        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id")          \
    X(PERSON_UPDATE, W, "UPDATE participants SET token = $2, name = $3, email = $4, status = $5,"  \
                        " valid_from = $6, valid_until = $7, gates = $8, attention = $9"           \
                        " WHERE id = $1")                                                          \
    X(PERSON_ERASE, W, "UPDATE participants SET token = NULL, name = '', email = '',"              \
                       " attention = NULL, status = 'cancelled', erased_at = $2 WHERE id = $1")    \
    X(PEOPLE_COUNT, W, "UPDATE event_stats SET participants = participants + $2"                   \
                       " WHERE event_id = $1")                                                     \
    X(IMPORT_PEOPLE, W,                                                                            \
      "SELECT q.n, " PG_PARTICIPANT_COLUMNS                                                        \
      " FROM unnest($2::text[]) WITH ORDINALITY AS q(token, n) CROSS JOIN LATERAL"                 \
      " ((SELECT * FROM participants a WHERE a.token = q.token AND a.event_id = $1"                \
      "   AND a.status = 'active') UNION ALL"                                                      \
      "  (SELECT * FROM participants i WHERE i.token = q.token AND i.event_id = $1"                \
      "   AND i.status <> 'active' ORDER BY i.id DESC LIMIT 1)) p")                                \
    X(IMPORT_IDS, W, "SELECT nextval('participant_ids') FROM generate_series(1, $1::bigint)")      \
    X(IMPORT_UPDATE, W,                                                                            \
      "UPDATE participants p SET name = q.name, email = q.email, status = q.status,"               \
      "  valid_from = q.valid_from, valid_until = q.valid_until, gates = q.gates,"                 \
      "  attention = q.attention FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[],"    \
      "  $5::timestamptz[], $6::timestamptz[], $7::text[], $8::text[])"                            \
      "  AS q(id, name, email, status, valid_from, valid_until, gates, attention)"                 \
      " WHERE p.id = q.id AND p.id = ANY($1::bigint[])")                                           \
    X(IMPORT_INSERT, W,                                                                            \
      "INSERT INTO participants (event_id, created_at, id, name, email, status, valid_from,"       \
      "  valid_until, gates, attention, token) SELECT $1::bigint, $2::timestamptz, q.*"            \
      " FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],"          \
      "  $8::timestamptz[], $9::text[], $10::text[], $11::text[]) AS q")                           \
    X(PERSON_BY_ID, R, "SELECT " PG_PARTICIPANT_COLUMNS " FROM participants p"                     \
                       " WHERE p.id = $2 AND p.event_id = " PG_EVENT_ID                            \
                       " AND p.erased_at IS NULL")                                                 \
    X(PEOPLE_PAGE, R, "SELECT " PG_PARTICIPANT_COLUMNS " FROM participants p"                      \
                      " WHERE p.event_id = " PG_EVENT_ID " AND p.id > $2 AND p.erased_at IS NULL"  \
                      " ORDER BY p.id LIMIT $3")                                                   \
    /* few rows have a token: they are found first (OFFSET 0 keeps the planner from walking all    \
     * people in the order of their ids) */                                                        \
    X(PEOPLE_BY_TOKEN, R, "SELECT " PG_PARTICIPANT_COLUMNS " FROM (SELECT * FROM participants o"   \
                          " WHERE o.event_id = " PG_EVENT_ID " AND o.token = $4"                   \
                          " AND (o.status = 'active' OR o.status <> 'active') OFFSET 0) p"         \
                          " WHERE p.id > $2 ORDER BY p.id LIMIT $3")                               \
    /* Common words are found by walking the next people, rare ones in the index: the planner      \
     * cannot know which, walks everybody for a rare one, and works the words out for each. */     \
    X(PEOPLE_SEARCH, R,                                                                            \
      "WITH q AS MATERIALIZED"                                                                     \
      "  (SELECT turnout_query(id, $4::text[]) AS words FROM events WHERE code = $1),"             \
      " near AS MATERIALIZED"                                                                      \
      "  (SELECT w.* FROM (SELECT * FROM participants WHERE id > $2::bigint"                       \
      "   ORDER BY id LIMIT $3::bigint * 20) w"                                                    \
      "   WHERE w.search @@ (SELECT words FROM q) ORDER BY w.id LIMIT $3)"                         \
      " SELECT " PG_PARTICIPANT_COLUMNS " FROM"                                                    \
      "  (SELECT * FROM near WHERE (SELECT count(*) FROM near) = $3 UNION ALL"                     \
      "   SELECT * FROM (SELECT * FROM participants o WHERE o.search @@ (SELECT words FROM q)"     \
      "    AND (SELECT count(*) FROM near) < $3 OFFSET 0) f WHERE f.id > $2) p"                    \
      " ORDER BY p.id LIMIT $3")                                                                   \
    /* ── stats and timeline ── */                                                                 \
    X(EVENT_STATS, R, "SELECT s.participants, s.admitted, s.inside, s.scans, s.refused, s.qr,"     \
                      " s.nfc, s.ble, s.manual FROM event_stats s WHERE s.event_id = " PG_EVENT_ID)\
    X(GATE_STATS, R,                                                                               \
      "SELECT g.code, coalesce(s.admitted, 0), coalesce(s.exited, 0), coalesce(s.refused, 0),"     \
      " coalesce((SELECT sum(admitted)::bigint FROM gate_seconds m WHERE m.gate_id = g.id"         \
      "  AND m.second > $2::bigint - 60 AND m.second <= $2), 0)"                                   \
      " FROM gates g LEFT JOIN gate_stats s ON s.gate_id = g.id"                                   \
      " WHERE g.event_id = " PG_EVENT_ID " ORDER BY g.code")                                       \
    X(TIMELINE_MINUTES, R,                                                                         \
      "SELECT (m.minute * 60000 - $2::bigint) / $4::bigint, g.code, sum(m.admitted)::bigint,"      \
      " sum(m.exited)::bigint, sum(m.refused)::bigint FROM gate_minutes m"                         \
      " JOIN gates g ON g.id = m.gate_id WHERE m.event_id = " PG_EVENT_ID                          \
      " AND m.minute >= $2::bigint / 60000 AND m.minute < $3::bigint / 60000"                      \
      " GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $5")                                                     \
    X(TIMELINE_RECORDS, R,                                                                         \
      "SELECT floor((date_part('epoch', r.timestamp) - $6::bigint) * 1000 / $4::bigint)::bigint,"  \
      " g.code, count(*) FILTER (WHERE r.verdict = 'admitted'),"                                   \
      " count(*) FILTER (WHERE r.verdict = 'exited'),"                                             \
      " count(*) FILTER (WHERE r.verdict = 'refused')"                                             \
      " FROM attendance_records r JOIN gates g ON g.id = r.gate_id"                                \
      " WHERE r.event_id = " PG_EVENT_ID " AND r.timestamp >= $2 AND r.timestamp < $3"             \
      " AND r.annulled_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $5")

enum pg_sql_e {
#define X(name, role, text) PG_SQL_##name,
    PG_SQL_TABLE(X)
#undef X
    PG_SQL_COUNT
};

#endif
