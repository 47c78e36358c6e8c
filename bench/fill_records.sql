-- SPDX-License-Identifier: Apache-2.0
-- Begins to fill a migrated database: the event `demo`, gates g01.., people demo-000001.. and
-- partitions for eight quarters from 2026 on. fill_part.sql writes the records, some hours of doors
-- on the first day of each quarter, fill_counts.sql their roll-ups. The ledger stays empty, so that
-- scans can follow. Indexes that are no constraints are dropped: `turnout db indexes` builds them.
-- Variables: people, gates.
SELECT format('DROP INDEX %I', c.relname) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
WHERE i.indrelid IN ('attendance_records'::regclass, 'participants'::regclass)
    AND NOT i.indisprimary \gexec
SELECT turnout_make_partition('2026-01-01'::timestamptz + q * interval '3 months')
FROM generate_series(0, 7) AS q \g /dev/null
INSERT INTO events (code, name, timezone, reentry, created_at)
    VALUES ('demo', 'Demo', 'UTC', 'after_exit', now());
INSERT INTO gates (event_id, code, name, status)
    SELECT (SELECT id FROM events), 'g' || lpad(n::text, 2, '0'), 'Gate ' || n, 'open'
    FROM generate_series(1, :gates) AS n;
INSERT INTO participants (event_id, token, name, email, status, gates, created_at)
    SELECT (SELECT id FROM events), 'demo-' || lpad(n::text, 6, '0'), 'Name ' || n, '', 'active',
        '', now()
    FROM generate_series(1, :people) AS n;
