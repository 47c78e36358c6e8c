-- SPDX-License-Identifier: Apache-2.0
-- The same check-in as pgbench_checkin.sql in a single statement: one round trip and one commit,
-- the best that a statement a scan can do.
\set person random(:first_person, :first_person + :people - 1)
\set gate :first_gate + :person % :gates
WITH r AS (
    INSERT INTO attendance_records (id, event_id, participant_id, gate_id, method, direction,
            verdict, "timestamp", recorded_at, nonce, token_hash)
        SELECT id, :event, :person, :gate, 'qr', 'entry', 'admitted', now(), now(), 'n' || id,
            decode('000102030405060708090a0b0c0d0e0f', 'hex')
        FROM (SELECT nextval('attendance_record_ids') AS id) AS s
        RETURNING id),
n AS (
    INSERT INTO scan_nonces (event_id, nonce, record_id, "timestamp")
        SELECT :event, 'n' || id, id, now() FROM r)
INSERT INTO ledger AS l (participant_id, admissions, inside, last_at, last_id, last_gate, first_at,
        first_gate)
    SELECT :person, 1, true, now(), id, :gate, now(), :gate FROM r
    ON CONFLICT (participant_id) DO UPDATE SET admissions = l.admissions + 1,
        inside = NOT l.inside, last_at = excluded.last_at, last_id = excluded.last_id,
        last_gate = excluded.last_gate;
