-- SPDX-License-Identifier: Apache-2.0
-- The tables that cases.sql asks: turnout's own, and some that are made to go wrong.
SELECT setseed(0.25);
CREATE TABLE participants (
    id bigint PRIMARY KEY, event_id int NOT NULL, token text NOT NULL, name varchar(100) NOT NULL,
    email text, status text NOT NULL);
INSERT INTO participants
SELECT i, 1, 'tok-' || i, 'Name ' || i, 'p' || i || '@example.org',
       CASE WHEN i % 100 = 0 THEN 'cancelled' ELSE 'active' END
FROM generate_series(1, 50000) i;
CREATE UNIQUE INDEX idx_participants_token_active ON participants (token, event_id)
    WHERE status = 'active';
CREATE INDEX idx_participants_search ON participants USING gin (to_tsvector('simple', name));

CREATE TABLE gates (id int PRIMARY KEY, code text NOT NULL, name text NOT NULL);
INSERT INTO gates SELECT i, 'g' || i, 'Gate ' || i FROM generate_series(1, 40) i;

CREATE TABLE attendance_records (
    id bigint NOT NULL, participant_id bigint NOT NULL, gate_id int NOT NULL, method text NOT NULL,
    "timestamp" timestamptz NOT NULL, note text) PARTITION BY RANGE ("timestamp");
CREATE TABLE attendance_records_2026_q1 PARTITION OF attendance_records
    FOR VALUES FROM ('2026-01-01') TO ('2026-04-01');
CREATE TABLE attendance_records_2026_q2 PARTITION OF attendance_records
    FOR VALUES FROM ('2026-04-01') TO ('2026-07-01');
CREATE TABLE attendance_records_2026_q3 PARTITION OF attendance_records
    FOR VALUES FROM ('2026-07-01') TO ('2026-10-01');
CREATE TABLE attendance_records_2026_q4 PARTITION OF attendance_records
    FOR VALUES FROM ('2026-10-01') TO ('2027-01-01');
CREATE TABLE attendance_records_2027_q1 PARTITION OF attendance_records
    FOR VALUES FROM ('2027-01-01') TO ('2027-04-01');
INSERT INTO attendance_records
SELECT i, 1 + (i * 7919::bigint) % 50000, 1 + i % 40, CASE WHEN i % 5000 = 0 THEN 'manual' ELSE
    'qr' END,
       '2026-01-01'::timestamptz + i * interval '78 seconds', 'note ' || i
FROM generate_series(1, 400000) i;
CREATE INDEX idx_attendance_participant_timestamp ON attendance_records (participant_id,
    "timestamp");
CREATE INDEX idx_attendance_gate_timestamp ON attendance_records (gate_id, "timestamp");

-- One table that is not partitioned, large enough for parallel plans.
CREATE TABLE scan_log (id bigint, participant_id bigint NOT NULL, gate_id int NOT NULL,
    method text NOT NULL, device text NOT NULL, "Note" text, at timestamptz NOT NULL);
INSERT INTO scan_log
SELECT i, 1 + (i * 7919::bigint) % 50000, 1 + i % 40, CASE WHEN i % 5000 = 0 THEN 'manual' ELSE
    'qr' END,
       'device-' || i % 1000, repeat('x', 20) || i % 7, '2026-01-01'::timestamptz + i * interval
           '30 seconds'
FROM generate_series(1, 1000000) i;
CREATE INDEX scan_log_gate ON scan_log (gate_id);
CREATE INDEX scan_log_at_brin ON scan_log USING brin (at);
CREATE INDEX scan_log_participant ON scan_log (participant_id);

-- Two columns that say the same: the planner multiplies what it should not.
CREATE TABLE correlated (a int, b int, c int, d int, pad text);
INSERT INTO correlated SELECT i % 100, i % 100, i % 100, i % 100, 'x' FROM generate_series(1,
    300000) i;

-- Analysed with one row a page, then filled with small rows.
CREATE TABLE refilled (id int, pad text);
ALTER TABLE refilled ALTER COLUMN pad SET STORAGE PLAIN;
INSERT INTO refilled SELECT i, repeat('x', 5000) FROM generate_series(1, 200) i;
ANALYZE refilled;
TRUNCATE refilled;
INSERT INTO refilled SELECT i, 'x' FROM generate_series(1, 100000) i;

-- Updated after its vacuum: the visibility map is gone.
CREATE TABLE updated (id int PRIMARY KEY, n int);
INSERT INTO updated SELECT i, 0 FROM generate_series(1, 100000) i;
CREATE TABLE settled (id int PRIMARY KEY, n int);
INSERT INTO settled SELECT i, 0 FROM generate_series(1, 100000) i;

-- Small partitions: what each discards is little, what all discard is not.
CREATE TABLE small_parts (k int NOT NULL, n int) PARTITION BY LIST (k);
DO $$ BEGIN
    FOR i IN 1..6 LOOP
        EXECUTE format('CREATE TABLE small_parts_%s PARTITION OF small_parts FOR VALUES IN (%s)',
            i, i);
    END LOOP;
END $$;
INSERT INTO small_parts SELECT 1 + i % 6, 1 + i % 6 FROM generate_series(1, 30000) i;

-- Foreign keys and triggers.
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 5000);
CREATE TABLE child (id int PRIMARY KEY, parent_id int NOT NULL REFERENCES parent (id) ON DELETE
    CASCADE);
INSERT INTO child SELECT i, 1 + i % 5000 FROM generate_series(1, 20000) i;
CREATE TABLE plain_target (id int PRIMARY KEY, n int);
CREATE TABLE tree (id int PRIMARY KEY, parent_id int);
INSERT INTO tree SELECT i, i / 10 FROM generate_series(1, 20000) i;
CREATE INDEX tree_parent ON tree (parent_id);
CREATE TABLE places (id int, at point);
INSERT INTO places SELECT i, point(i % 300, i / 300) FROM generate_series(1, 60000) i;
CREATE INDEX places_at ON places USING gist (at);
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
VACUUM (ANALYZE) participants, gates, attendance_records, scan_log, correlated, updated, settled,
    parent, child, plain_target, tree, places, small_parts;
UPDATE updated SET n = 1 WHERE id % 2 = 0;
