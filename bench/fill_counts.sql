-- SPDX-License-Identifier: Apache-2.0
-- The roll-ups of the records that fill_records.sql and fill_part.sql made.
SET work_mem = '256MB';
INSERT INTO gate_minutes SELECT event_id, floor(date_part('epoch', "timestamp") / 60)::bigint,
        gate_id, count(*) FILTER (WHERE verdict = 'admitted'),
        count(*) FILTER (WHERE verdict = 'exited'), count(*) FILTER (WHERE verdict = 'refused')
    FROM attendance_records GROUP BY 1, 2, 3 ORDER BY 2, 3; -- as they come, minute by minute
INSERT INTO gate_stats SELECT gate_id, sum(admitted), sum(exited), sum(refused) FROM gate_minutes
    GROUP BY 1;
INSERT INTO event_stats (event_id, participants, scans, refused, qr, nfc, ble, manual)
    SELECT (SELECT id FROM events), (SELECT count(*) FROM participants), sum(n),
        (SELECT sum(refused) FROM gate_stats), sum(n) FILTER (WHERE method = 'qr'),
        sum(n) FILTER (WHERE method = 'nfc'), sum(n) FILTER (WHERE method = 'ble'),
        sum(n) FILTER (WHERE method = 'manual')
    FROM (SELECT method, count(*) AS n FROM attendance_records GROUP BY 1) AS m;
SELECT setval('attendance_record_ids', (SELECT max(id) FROM attendance_records)) \g /dev/null
VACUUM (FREEZE, ANALYZE);
