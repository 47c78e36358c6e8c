-- SPDX-License-Identifier: Apache-2.0
-- One of two parts of the records of fill_records.sql.
-- Variables: part, records, people, gates, hours.
SET synchronous_commit = off;
INSERT INTO attendance_records (id, event_id, participant_id, gate_id, method, direction, verdict,
        reason, "timestamp", recorded_at)
    SELECT n, e.id, p.first + (n * 7919) % :people, g.first + n % :gates,
        (ARRAY['qr', 'nfc', 'ble', 'manual'])[1 + n % 4],
        CASE WHEN n % 2 = 0 THEN 'entry' ELSE 'exit' END,
        CASE WHEN n % 50 = 0 THEN 'refused' WHEN n % 2 = 0 THEN 'admitted' ELSE 'exited' END,
        CASE WHEN n % 50 = 0 THEN 'already_used' END, at, at
    FROM (SELECT n, ('2026-01-01'::timestamp + (n * 8 / :records) * interval '3 months'
                     + interval '12 hours'
                     + n % (:records / 8) * :hours * interval '1 hour' / (:records / 8))
                    AT TIME ZONE 'UTC' AS at
          FROM generate_series(:part * (:records::bigint / 2),
                               (:part + 1) * (:records::bigint / 2) - 1) AS n) AS r,
        (SELECT id FROM events) AS e, (SELECT min(id) AS first FROM participants) AS p,
        (SELECT min(id) AS first FROM gates) AS g;
