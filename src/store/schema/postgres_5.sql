-- SPDX-License-Identifier: Apache-2.0
-- Schema 5 of the PostgreSQL store: the change mark.

-- All the marks together, bit by bit, are one number that nodes look at five times a second. Who
-- changed what caches keep and cannot tell the nodes through Redis turns some of its bits. Several
-- rows, so that such writers do not wait for one another: each has one by its backend's number.
CREATE TABLE change_marks (
    slot integer PRIMARY KEY,
    mark bigint NOT NULL DEFAULT 0);
INSERT INTO change_marks (slot) SELECT generate_series(0, 15);
