-- SPDX-License-Identifier: Apache-2.0
-- What the peer needs and no more: fewer tables and indexes than turnout keeps.
CREATE TABLE IF NOT EXISTS events (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code     text NOT NULL UNIQUE,
    name     text NOT NULL,
    reentry  text NOT NULL CHECK (reentry IN ('none', 'after_exit')),
    capacity bigint);

CREATE TABLE IF NOT EXISTS gates (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES events,
    code     text NOT NULL,
    name     text NOT NULL,
    status   text NOT NULL DEFAULT 'open',
    UNIQUE (event_id, code));

CREATE TABLE IF NOT EXISTS participants (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES events,
    token    text NOT NULL,
    name     text NOT NULL,
    email    text NOT NULL,
    status   text NOT NULL DEFAULT 'active',
    gates    text[] NOT NULL DEFAULT '{}',
    UNIQUE (event_id, token));

-- One row for each person who was ever let in: it decides the next entry.
CREATE TABLE IF NOT EXISTS ledger (
    participant_id bigint PRIMARY KEY,
    event_id       bigint NOT NULL,
    inside         boolean NOT NULL,
    last_at        timestamptz NOT NULL,
    last_gate      text NOT NULL) WITH (fillfactor = 80);

CREATE TABLE IF NOT EXISTS attendance_records (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id       bigint NOT NULL,
    participant_id bigint,
    gate_id        bigint NOT NULL,
    method         text NOT NULL,
    direction      text NOT NULL,
    verdict        text NOT NULL,
    reason         text,
    token          text NOT NULL,
    nonce          text,
    scanned_at     timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX IF NOT EXISTS attendance_records_nonce
    ON attendance_records (event_id, nonce) WHERE nonce IS NOT NULL;
CREATE INDEX IF NOT EXISTS attendance_records_participant
    ON attendance_records (participant_id, scanned_at);
CREATE INDEX IF NOT EXISTS attendance_records_gate ON attendance_records (gate_id, scanned_at);
