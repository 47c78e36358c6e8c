-- SPDX-License-Identifier: Apache-2.0
-- Schema 3 of the PostgreSQL store: the nodes that serve it, and who leads them.

-- A node writes its row when it starts, renews it and takes it away when it stops. `until` is by
-- the server's clock, which all nodes share: a row whose time is over belongs to a node that
-- crashed or lost the database. `incarnation` is drawn anew at each start of a process.
CREATE TABLE nodes (
    id           text COLLATE "C" PRIMARY KEY,
    url          text NOT NULL,
    version      text NOT NULL,
    incarnation  text NOT NULL,
    started_at   timestamptz NOT NULL,
    until        timestamptz NOT NULL,
    draining     boolean NOT NULL,
    capabilities jsonb NOT NULL DEFAULT '{}');

-- Whoever holds the lease of this name acts, for as long as it renews. `term` grows whenever it
-- begins anew, so that what an earlier holder still wants to write can be told apart. No advisory
-- lock: a process that is frozen keeps its session and with it every lock.
CREATE TABLE leases (
    name   text PRIMARY KEY,
    holder text NOT NULL,
    url    text NOT NULL,
    term   bigint NOT NULL,
    until  timestamptz NOT NULL);
