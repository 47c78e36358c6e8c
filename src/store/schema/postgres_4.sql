-- SPDX-License-Identifier: Apache-2.0
-- Schema 4 of the PostgreSQL store: what people told all controllers, and what controllers told
-- people.

-- An order stands until its time is over: "acting" (stop), "shedding", "silence/ID".
CREATE TABLE control_orders (
    name   text COLLATE "C" PRIMARY KEY,
    value  jsonb NOT NULL,
    author text NOT NULL,
    at     timestamptz NOT NULL,
    until  timestamptz);

-- A row for each notice to each receiver. `body` is what there is to tell, for another try after a
-- restart.
CREATE TABLE notices (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key      text NOT NULL,
    receiver text NOT NULL,
    actor    text NOT NULL,
    at       timestamptz NOT NULL,
    changed  timestamptz NOT NULL,
    state    text NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    body     jsonb NOT NULL,
    detail   text NOT NULL DEFAULT '');
CREATE INDEX notices_waiting ON notices (id) WHERE state = 'waiting';
