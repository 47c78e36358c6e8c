// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: a pool, prepared statements, one transaction for each scan.
import pg from "pg";

const UNIQUE_VIOLATION = "23505";

export class Conflict extends Error {}

const sql = {
    event: "SELECT id, code, name, reentry, capacity FROM events WHERE code = $1",
    gate: "SELECT id, code, name, status FROM gates WHERE event_id = $1 AND code = $2",
    gates: "SELECT code, name, status FROM gates WHERE event_id = $1 ORDER BY code",
    person: `SELECT id, token, name, email, status, gates FROM participants
        WHERE event_id = $1 AND token = $2`,
    add_event: "INSERT INTO events (code, name, reentry, capacity) VALUES ($1, $2, $3, $4)",
    add_gate: "INSERT INTO gates (event_id, code, name) VALUES ($1, $2, $3)",
    import: `INSERT INTO participants (event_id, token, name, email, gates)
        SELECT $1, token, name, email, string_to_array(gates, ' ')
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS r(token, name, email, gates)
        ON CONFLICT (event_id, token) DO UPDATE
        SET name = excluded.name, email = excluded.email, gates = excluded.gates
        RETURNING xmax = 0 AS created`,
    // One row tells who is inside: an entry that finds it in the way changes nothing.
    come_in: `INSERT INTO ledger (participant_id, event_id, inside, last_at, last_gate)
        VALUES ($1, $2, true, $3, $4)
        ON CONFLICT (participant_id) DO UPDATE
        SET inside = true, last_at = excluded.last_at, last_gate = excluded.last_gate
        WHERE NOT ledger.inside AND $5 = 'after_exit' RETURNING 1`,
    in_the_way: "SELECT inside, last_at, last_gate FROM ledger WHERE participant_id = $1",
    go_out: `UPDATE ledger SET inside = false, last_at = $2, last_gate = $3
        WHERE participant_id = $1 AND inside RETURNING 1`,
    lock_event: "SELECT 1 FROM events WHERE id = $1 FOR UPDATE",
    inside: "SELECT count(*)::int AS count FROM ledger WHERE event_id = $1 AND inside",
    record: `INSERT INTO attendance_records (event_id, participant_id, gate_id, method, direction,
            verdict, reason, token, nonce, scanned_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id, recorded_at`,
    by_nonce: `SELECT r.id, r.participant_id, g.code AS gate, r.direction, r.token, r.verdict,
            r.reason, r.scanned_at, r.recorded_at
        FROM attendance_records r JOIN gates g ON g.id = r.gate_id
        WHERE r.event_id = $1 AND r.nonce = $2`,
    history: `SELECT r.id, r.participant_id, g.code AS gate, r.method, r.direction, r.verdict,
            r.reason, r.scanned_at, r.recorded_at
        FROM attendance_records r JOIN gates g ON g.id = r.gate_id
        WHERE r.event_id = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3`,
    totals: `SELECT (SELECT count(*) FROM participants WHERE event_id = $1)::int AS participants,
            (SELECT count(*) FROM ledger WHERE event_id = $1)::int AS admitted,
            (SELECT count(*) FROM ledger WHERE event_id = $1 AND inside)::int AS inside`,
    by_gate: `SELECT g.code AS gate, count(*) FILTER (WHERE verdict = 'admitted')::int AS admitted,
            count(*) FILTER (WHERE verdict = 'exited')::int AS exited,
            count(*) FILTER (WHERE verdict = 'refused')::int AS refused
        FROM attendance_records r JOIN gates g ON g.id = r.gate_id
        WHERE r.event_id = $1 GROUP BY g.code ORDER BY g.code`,
    by_method: `SELECT method, count(*)::int AS count FROM attendance_records
        WHERE event_id = $1 GROUP BY method`,
};

// A statement is prepared on each connection the first time it is used there.
function run(client, name, values) {
    return client.query({ name, text: sql[name], values });
}

export class Store {
    constructor(url) {
        this.pool = new pg.Pool({ connectionString: url, max: 20 });
        this.pool.on("error", () => {}); // an idle connection broke: the next one is opened anew
    }

    async rows(name, ...values) {
        return (await run(this.pool, name, values)).rows;
    }

    async row(name, ...values) {
        return (await this.rows(name, ...values))[0] ?? null;
    }

    async create(name, ...values) {
        try {
            await run(this.pool, name, values);
        } catch (error) {
            throw error.code === UNIQUE_VIOLATION ? new Conflict() : error;
        }
    }

    // Decides and records one scan: { record, verdict, reason, first, delta }. With a nonce that
    // has a record already nothing is written, and { replay } is that record.
    async decide(scan) {
        const client = await this.pool.connect();
        try {
            await client.query("BEGIN");
            const ruling = scan.refusal
                ? { verdict: "refused", reason: scan.refusal, first: null, delta: 0 }
                : await rule(client, scan);
            const { rows: [record] } = await run(client, "record", [
                scan.event.id, scan.person?.id ?? null, scan.gate.id, scan.method, scan.direction,
                ruling.verdict, ruling.reason, scan.token, scan.nonce, scan.scannedAt]);
            await client.query("COMMIT");
            client.release();
            return { record, ...ruling };
        } catch (error) {
            return await this.recover(client, error, scan);
        }
    }

    async recover(client, error, scan) {
        try {
            await client.query("ROLLBACK");
            client.release();
        } catch (broken) {
            client.release(broken);
        }
        if (error.code !== UNIQUE_VIOLATION || !scan.nonce) {
            throw error;
        }
        return { replay: await this.row("by_nonce", scan.event.id, scan.nonce) };
    }

    async close() {
        await this.pool.end();
    }
}

async function rule(client, { event, gate, person, direction, scannedAt }) {
    if (direction === "exit") {
        const left = await run(client, "go_out", [person.id, scannedAt, gate.code]);
        return { verdict: "exited", reason: null, first: null, delta: -left.rowCount };
    }
    if (event.capacity !== null && await isFull(client, event)) {
        const used = await alreadyUsed(client, event, person);
        return used ?? { verdict: "refused", reason: "capacity_full", first: null, delta: 0 };
    }
    const came = await run(client, "come_in",
        [person.id, event.id, scannedAt, gate.code, event.reentry]);
    if (came.rowCount === 1) {
        return { verdict: "admitted", reason: null, first: null, delta: 1 };
    }
    return await alreadyUsed(client, event, person);
}

// Entries of an event with a limit come one at a time.
async function isFull(client, event) {
    await run(client, "lock_event", [event.id]);
    const { rows: [{ count }] } = await run(client, "inside", [event.id]);
    return count >= Number(event.capacity);
}

// The admission in the way of another one, or null.
async function alreadyUsed(client, event, person) {
    const { rows: [way] } = await run(client, "in_the_way", [person.id]);
    if (!way || (event.reentry === "after_exit" && !way.inside)) {
        return null;
    }
    return { verdict: "refused", reason: "already_used", delta: 0,
             first: { at: way.last_at, gate: way.last_gate } };
}
