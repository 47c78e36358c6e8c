-- SPDX-License-Identifier: Apache-2.0
-- Schema 2 of the PostgreSQL store: a journal of what turnout did by itself, and partitions of any
-- period.

-- One row an action, whoever took it. `outcome` says what measuring again showed: better, no
-- effect, worse, undone, failed, or done when there is nothing to measure (turnout serve has more).
CREATE TABLE action_journal (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    system         text NOT NULL,
    actor          text NOT NULL,
    action         text NOT NULL,
    target         text NOT NULL,
    outcome        text NOT NULL,
    evidence       jsonb NOT NULL DEFAULT '{}',
    figures_before jsonb NOT NULL DEFAULT '{}',
    figures_after  jsonb NOT NULL DEFAULT '{}',
    detail         text NOT NULL DEFAULT '');
CREATE INDEX action_journal_at ON action_journal (at);

DO $$
BEGIN
    IF to_regclass('optimizer_actions') IS NOT NULL THEN
        INSERT INTO action_journal (at, system, actor, action, target, outcome, figures_before,
                                    figures_after, detail)
        SELECT at, 'database', 'optimizer', action, target, outcome, figures_before, figures_after,
               coalesce(detail, '') FROM optimizer_actions ORDER BY id;
        DROP TABLE optimizer_actions;
    END IF;
END $$;

-- What new partitions span: quarter, month or week. `turnout db partitions` keeps it as configured,
-- so that a node that needs a partition at once makes one of the same kind.
INSERT INTO turnout_meta (key, value) VALUES ('partition_period', 'quarter')
ON CONFLICT DO NOTHING;

-- The partition of attendance_records that `at` belongs in: the period around it, cut where its
-- neighbours begin and end, since periods may have been of another length before. Made beside the
-- table and attached: CREATE TABLE … PARTITION OF would stop every reader and writer of it. What
-- comes from before 2026 (a device without a clock) shares one partition. True when it was made.
CREATE OR REPLACE FUNCTION turnout_make_partition(at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    floor  constant timestamptz := '2026-01-01 00:00:00+00';
    period text := coalesce((SELECT convert_from(value, 'UTF8') FROM turnout_meta
                             WHERE key = 'partition_period'), 'quarter');
    here   timestamp := at AT TIME ZONE 'UTC';
    since  timestamptz := date_trunc(period, here) AT TIME ZONE 'UTC';
    until  timestamptz := (date_trunc(period, here) + CASE period WHEN 'quarter' THEN interval
                           '3 months' ELSE ('1 ' || period)::interval END) AT TIME ZONE 'UTC';
    whole  timestamptz[] := ARRAY[since, until];
    part   text := 'attendance_records_' || to_char(since AT TIME ZONE 'UTC', CASE period
                       WHEN 'quarter' THEN 'YYYY"_q"Q' WHEN 'month' THEN 'YYYY_MM'
                       ELSE 'IYYY"_w"IW' END);
    bound  text;
    rule   text;
    other  record;
    n      integer := 1;
    name   text;
BEGIN
    IF at < floor THEN
        part := 'attendance_records_past';
        since := '-infinity';
        until := floor;
    ELSE
        since := greatest(since, floor);
    END IF;
    FOR other IN
        SELECT coalesce(substring(b FROM 'FROM \(''([^'']+)'''), '-infinity')::timestamptz AS since,
               coalesce(substring(b FROM 'TO \(''([^'']+)'''), 'infinity')::timestamptz AS until
        FROM (SELECT pg_get_expr(c.relpartbound, c.oid) AS b FROM pg_inherits
              JOIN pg_class c ON c.oid = inhrelid
              WHERE inhparent = 'attendance_records'::regclass) AS bounds WHERE b <> 'DEFAULT'
    LOOP
        IF other.since <= at AND at < other.until THEN
            RETURN false;
        END IF;
        IF other.until <= at THEN
            since := greatest(since, other.until);
        ELSE
            until := least(until, other.since);
        END IF;
    END LOOP;
    IF since > '-infinity' AND ARRAY[since, until] <> whole THEN
        part := part || to_char(since AT TIME ZONE 'UTC', '"_"YYYYMMDD');
        IF since <> date_trunc('day', since AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' THEN
            part := part || to_char(since AT TIME ZONE 'UTC', '"t"HH24MISS');
        END IF;
    END IF;
    name := part; -- one that was detached may have it still
    WHILE to_regclass(quote_ident(name)) IS NOT NULL LOOP
        n := n + 1;
        name := part || '_' || n;
    END LOOP;
    IF since = '-infinity' THEN
        bound := format('FROM (MINVALUE) TO (%L)', until);
        rule := format('"timestamp" IS NOT NULL AND "timestamp" < %L', until);
    ELSE
        bound := format('FROM (%L) TO (%L)', since, until);
        rule := format('"timestamp" IS NOT NULL AND "timestamp" >= %L AND "timestamp" < %L',
                       since, until);
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE attendance_records INCLUDING DEFAULTS '
                   'INCLUDING CONSTRAINTS INCLUDING STORAGE)', name);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT bounds CHECK (%s)', name, rule);
    EXECUTE format('ALTER TABLE attendance_records ATTACH PARTITION %I FOR VALUES %s', name, bound);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT bounds', name);
    EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_insert_scale_factor = 0.02, '
                   'autovacuum_analyze_scale_factor = 0.02)', name);
    RETURN true;
END $$;
