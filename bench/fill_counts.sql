-- SPDX-License-Identifier: Apache-2.0
-- The other roll-ups of the records, behind both parts of fill_part.sql and fill_minutes.sql.
SET work_mem = '256MB';
INSERT INTO gate_stats SELECT gate_id, sum(admitted), sum(exited), sum(refused) FROM gate_minutes
    GROUP BY 1;
INSERT INTO event_stats (event_id, participants, scans, refused, qr, nfc, ble, manual)
    SELECT (SELECT id FROM events), (SELECT count(*) FROM participants), sum(n),
        (SELECT sum(refused) FROM gate_stats), sum(n) FILTER (WHERE method = 'qr'),
        sum(n) FILTER (WHERE method = 'nfc'), sum(n) FILTER (WHERE method = 'ble'),
        sum(n) FILTER (WHERE method = 'manual')
    FROM (SELECT method, count(*) AS n FROM attendance_records GROUP BY 1) AS m;
SELECT setval('attendance_record_ids', (SELECT max(id) FROM attendance_records)) \g /dev/null
