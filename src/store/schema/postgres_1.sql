-- SPDX-License-Identifier: Apache-2.0
-- Schema 1 of the PostgreSQL store, run once, in one transaction, by `turnout db migrate`.
--
--   events ─┬─ gates ──────── gate_stats, gate_minutes, gate_seconds
--           ├─ participants ─ ledger                what stands for a person
--           ├─ attendance_records ─ scan_nonces     every scan, refused ones too
--           └─ event_stats                          roll-up, and the event's lock
--
-- attendance_records is partitioned by time, so nothing in it can be unique over time: a person's
-- standing is a row of ledger, a nonce a row of scan_nonces. Whoever decides scans of an event
-- holds the lock of its event_stats row; whoever changes its people holds that of its events row.
-- Indexes that are no constraints are declared in postgres_indexes.h and built without blocking.
-- Words and keys compare byte by byte (COLLATE "C"), whatever the database's locale: in an index
-- that is several times cheaper than a language's order, and nobody reads them in order.
-- Functions in PL/pgSQL keep the search_path of their making: a restore runs them with none.

CREATE TABLE turnout_schema (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE turnout_meta (
    key   text PRIMARY KEY,
    value bytea NOT NULL);

CREATE TABLE events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code       text COLLATE "C" NOT NULL UNIQUE,
    name       text NOT NULL,
    timezone   text NOT NULL,
    starts_at  timestamptz,
    ends_at    timestamptz,
    capacity   bigint CHECK (capacity >= 0),
    reentry    text NOT NULL CHECK (reentry IN ('none', 'after_exit', 'always')),
    created_at timestamptz NOT NULL);

CREATE TABLE gates (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES events,
    code     text COLLATE "C" NOT NULL,
    name     text NOT NULL,
    status   text NOT NULL CHECK (status IN ('open', 'closed')),
    UNIQUE (event_id, code));

-- What search compares: case folded, and accents of Latin letters taken off. It needs no extension
-- and gives the same for every locale of the database. Letters are put together again, or Hangul
-- would fall into its parts.
CREATE FUNCTION turnout_fold(txt text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN translate(lower(normalize(regexp_replace(normalize(txt, NFD),
        '([A-Za-z])[\u0300-\u036f]+', '\1', 'g'), NFC) COLLATE "und-x-icu"), 'ς', 'σ');

-- The words of a folded text as an array.
CREATE FUNCTION turnout_words(folded text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN array_remove(regexp_split_to_array(folded COLLATE "und-x-icu", '[^[:alnum:]]+'), '');

-- One lexeme of a tsvector or tsquery, whatever is in it.
CREATE FUNCTION turnout_lexeme(txt text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '''' || replace(replace(txt, '\', '\\'), '''', '''''') || '''';

-- What idx_participants_search holds for a person: the event, the words of the name, and of the
-- address at every character the next three, fewer at its end. Neighbours have neighbouring
-- positions, so a phrase of such grams is a part of the address.
CREATE FUNCTION turnout_search(event bigint, name text, email text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    words  text[] := turnout_words(turnout_fold(name));
    folded text := turnout_fold(email);
    parts  text := turnout_lexeme('v' || event);
BEGIN
    FOR i IN 1 .. cardinality(words) LOOP
        parts := parts || ' ' || turnout_lexeme('n' || words[i]) || ':' || i;
    END LOOP;
    FOR i IN 1 .. length(folded) LOOP
        parts := parts || ' ' || turnout_lexeme('e' || substr(folded, i, 3)) || ':' || 1000 + i;
    END LOOP;
    RETURN parts::tsvector;
END $$;

-- What one word of a query asks for: a beginning of a word in the name, or a part of the address.
CREATE FUNCTION turnout_search_word(word text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    folded text := turnout_fold(word);
    words  text[] := turnout_words(folded);
    last   integer := cardinality(words);
    phrase text := '';
    grams  text := turnout_lexeme('e' || substr(folded, 1, 3));
BEGIN
    IF length(folded) < 3 THEN
        grams := grams || ':*';
    END IF;
    FOR i IN 2 .. length(folded) - 2 LOOP
        grams := grams || ' <-> ' || turnout_lexeme('e' || substr(folded, i, 3));
    END LOOP;
    FOR i IN 1 .. last LOOP
        phrase := phrase || CASE WHEN i > 1 THEN ' <-> ' ELSE '' END ||
                  turnout_lexeme('n' || words[i]) || CASE WHEN i = last THEN ':*' ELSE '' END;
    END LOOP;
    RETURN '((' || grams || CASE WHEN last > 0 THEN ') | (' || phrase ELSE '' END || '))';
END $$;

CREATE FUNCTION turnout_query(event bigint, words text[]) RETURNS tsquery
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (turnout_lexeme('v' || event) || ' & ' ||
        (SELECT string_agg(turnout_search_word(word), ' & ') FROM unnest(words) AS word))::tsquery;

CREATE SEQUENCE participant_ids;
CREATE TABLE participants (
    id          bigint PRIMARY KEY DEFAULT nextval('participant_ids'),
    event_id    bigint NOT NULL REFERENCES events,
    token       text COLLATE "C",
    name        text NOT NULL,
    email       text NOT NULL,
    status      text COLLATE "C" NOT NULL
                CHECK (status IN ('active', 'cancelled', 'blocked')),
    valid_from  timestamptz,
    valid_until timestamptz,
    gates       text NOT NULL,
    attention   text,
    created_at  timestamptz NOT NULL,
    erased_at   timestamptz,
    search      tsvector NOT NULL
                GENERATED ALWAYS AS (turnout_search(event_id, name, email)) STORED);
ALTER SEQUENCE participant_ids OWNED BY participants.id;
CREATE UNIQUE INDEX idx_participants_token_active ON participants (token, event_id)
    WHERE status = 'active';

-- Rows are rewritten with every entry and exit: room in the page keeps them in it (HOT).
CREATE TABLE ledger (
    participant_id bigint PRIMARY KEY,
    admissions     bigint NOT NULL,
    inside         boolean NOT NULL,
    last_at        timestamptz NOT NULL,
    last_id        bigint NOT NULL,
    last_gate      bigint NOT NULL,
    first_at       timestamptz,
    first_gate     bigint) WITH (fillfactor = 80);

-- Numbers are taken under the event's lock, so they grow in the order of decision.
CREATE SEQUENCE attendance_record_ids;
CREATE TABLE attendance_records (
    id             bigint NOT NULL,
    event_id       bigint NOT NULL,
    participant_id bigint,
    gate_id        bigint NOT NULL,
    method         text COLLATE "C" NOT NULL,
    direction      text COLLATE "C" NOT NULL,
    verdict        text COLLATE "C" NOT NULL,
    reason         text,
    overrode       text,
    "timestamp"    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    nonce          text,
    token_hash     bytea,
    first_at       timestamptz,
    first_gate     bigint,
    annulled_at    timestamptz,
    PRIMARY KEY (id, "timestamp")) PARTITION BY RANGE ("timestamp");
ALTER SEQUENCE attendance_record_ids OWNED BY attendance_records.id;

CREATE TABLE scan_nonces (
    event_id    bigint NOT NULL,
    nonce       text COLLATE "C" NOT NULL,
    record_id   bigint NOT NULL,
    "timestamp" timestamptz NOT NULL,
    PRIMARY KEY (event_id, nonce));

CREATE TABLE event_stats (
    event_id     bigint PRIMARY KEY REFERENCES events,
    participants bigint NOT NULL DEFAULT 0,
    admitted     bigint NOT NULL DEFAULT 0,
    inside       bigint NOT NULL DEFAULT 0,
    scans        bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    qr           bigint NOT NULL DEFAULT 0,
    nfc          bigint NOT NULL DEFAULT 0,
    ble          bigint NOT NULL DEFAULT 0,
    manual       bigint NOT NULL DEFAULT 0) WITH (fillfactor = 20);
CREATE TABLE gate_stats (
    gate_id  bigint PRIMARY KEY,
    admitted bigint NOT NULL,
    exited   bigint NOT NULL,
    refused  bigint NOT NULL) WITH (fillfactor = 20);
-- `minute` counts from 1970.
CREATE TABLE gate_minutes (
    event_id bigint NOT NULL,
    minute   bigint NOT NULL,
    gate_id  bigint NOT NULL,
    admitted bigint NOT NULL,
    exited   bigint NOT NULL,
    refused  bigint NOT NULL,
    PRIMARY KEY (event_id, minute, gate_id)) WITH (fillfactor = 50);
-- Admissions of the last minute, by the second they were recorded in: a ring of 64 slots a gate,
-- so it needs no clearing.
CREATE TABLE gate_seconds (
    gate_id  bigint NOT NULL,
    slot     smallint NOT NULL,
    second   bigint NOT NULL,
    admitted bigint NOT NULL,
    PRIMARY KEY (gate_id, slot)) WITH (fillfactor = 50);

CREATE TABLE api_keys (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    scope      text NOT NULL,
    event      text,
    hash       bytea NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz);

CREATE FUNCTION turnout_quarter_start(at timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN date_trunc('quarter', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';

-- The quarter's partition of attendance_records: made beside the table and attached, since
-- CREATE TABLE … PARTITION OF would stop every reader and writer of it. What comes from before
-- 2026 (a device without a clock) shares one partition. True when it was made.
CREATE FUNCTION turnout_make_partition(at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    floor constant timestamptz := '2026-01-01 00:00:00+00';
    since timestamptz := turnout_quarter_start(at);
    until timestamptz := turnout_quarter_start(since + interval '100 days');
    part  text := 'attendance_records_' || to_char(since AT TIME ZONE 'UTC', 'YYYY"_q"Q');
    bound text;
    rule  text;
BEGIN
    IF at < floor THEN
        part := 'attendance_records_past';
        bound := format('FROM (MINVALUE) TO (%L)', floor);
        rule := format('"timestamp" IS NOT NULL AND "timestamp" < %L', floor);
    ELSE
        bound := format('FROM (%L) TO (%L)', since, until);
        rule := format('"timestamp" IS NOT NULL AND "timestamp" >= %L AND "timestamp" < %L',
                       since, until);
    END IF;
    IF EXISTS (SELECT FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
               WHERE inhparent = 'attendance_records'::regclass AND relname = part) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE attendance_records INCLUDING DEFAULTS '
                   'INCLUDING CONSTRAINTS INCLUDING STORAGE)', part);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT bounds CHECK (%s)', part, rule);
    EXECUTE format('ALTER TABLE attendance_records ATTACH PARTITION %I FOR VALUES %s', part, bound);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT bounds', part);
    EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_insert_scale_factor = 0.02, '
                   'autovacuum_analyze_scale_factor = 0.02)', part);
    RETURN true;
END $$;

SELECT turnout_make_partition('1970-01-01 00:00:00+00');
