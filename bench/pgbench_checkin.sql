-- SPDX-License-Identifier: Apache-2.0
-- One check-in as an application writes it: the ledger row that decides, the record and the nonce,
-- in one transaction, on the tables that `turnout db migrate` makes. It looks nothing up, asks no
-- rule and counts nothing, so it does less than the product does for the same answer.
-- Variables: event, first_person, people, first_gate, gates.
\set person random(:first_person, :first_person + :people - 1)
\set gate :first_gate + :person % :gates
BEGIN;
SELECT nextval('attendance_record_ids') AS record \gset
INSERT INTO ledger AS l (participant_id, admissions, inside, last_at, last_id, last_gate, first_at,
        first_gate)
    VALUES (:person, 1, true, now(), :record, :gate, now(), :gate)
    ON CONFLICT (participant_id) DO UPDATE SET admissions = l.admissions + 1,
        inside = NOT l.inside, last_at = excluded.last_at, last_id = excluded.last_id,
        last_gate = excluded.last_gate;
INSERT INTO attendance_records (id, event_id, participant_id, gate_id, method, direction, verdict,
        "timestamp", recorded_at, nonce, token_hash)
    VALUES (:record, :event, :person, :gate, 'qr', 'entry', 'admitted', now(), now(),
        'n' || :record, decode('000102030405060708090a0b0c0d0e0f', 'hex'));
INSERT INTO scan_nonces (event_id, nonce, record_id, "timestamp")
    VALUES (:event, 'n' || :record, :record, now());
COMMIT;
