-- SPDX-License-Identifier: Apache-2.0
-- Admissions, exits and refusals by minute and gate, of one of two parts of the records of
-- fill_part.sql: four quarters. Variables: part.
SET work_mem = '256MB';
SET synchronous_commit = off;
INSERT INTO gate_minutes SELECT event_id, floor(date_part('epoch', "timestamp") / 60)::bigint,
        gate_id, count(*) FILTER (WHERE verdict = 'admitted'),
        count(*) FILTER (WHERE verdict = 'exited'), count(*) FILTER (WHERE verdict = 'refused')
    FROM attendance_records
    WHERE "timestamp" >= make_timestamptz(2026 + :part, 1, 1, 0, 0, 0, 'UTC')
        AND "timestamp" < make_timestamptz(2027 + :part, 1, 1, 0, 0, 0, 'UTC')
    GROUP BY 1, 2, 3 ORDER BY 2, 3; -- as they come, minute by minute
