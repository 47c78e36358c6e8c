// SPDX-License-Identifier: Apache-2.0
// The routes that scans, and whoever compares the books behind them, need.
import Fastify from "fastify";
import { Cache } from "./cache.mjs";
import { Conflict, Store } from "./store.mjs";

const BODY_MAX = 64 << 20;
const text = { type: "string" };
const nullable = { type: ["string", "null"] };

const scanSchema = {
    body: {
        type: "object",
        required: ["token", "gate"],
        properties: {
            token: { type: "string", minLength: 1, maxLength: 256 },
            gate: { type: "string", pattern: "^[A-Za-z0-9._-]{1,64}$" },
            method: { enum: ["qr", "nfc", "ble", "manual"], default: "qr" },
            direction: { enum: ["entry", "exit"], default: "entry" },
            scanned_at: { type: "string", format: "date-time" },
            nonce: { type: "string", minLength: 1, maxLength: 64 },
        },
    },
    response: {
        200: {
            type: "object",
            properties: {
                verdict: text, reason: nullable, record_id: text, replayed: { type: "boolean" },
                forced: { type: "boolean" },
                participant: {
                    type: ["object", "null"],
                    properties: { id: text, name: text, status: text, attention: nullable },
                },
                first: { type: ["object", "null"], properties: { at: text, gate: text } },
                inside: { type: "integer" }, scanned_at: text, decided_at: text,
            },
        },
    },
};

class Problem extends Error {
    constructor(status, code) {
        super(code);
        this.status = status;
        this.code = code;
    }
}

// What refuses without a look at the ledger, in the order of precedence.
function refusal(gate, person, scan) {
    if (!person) {
        return "unknown_token";
    }
    if (scan.direction === "exit") {
        return null; // it is recorded as it happened
    }
    if (person.status !== "active") {
        return person.status;
    }
    if (person.gates.length > 0 && !person.gates.includes(gate.code)) {
        return "wrong_gate";
    }
    return gate.status === "open" ? null : "gate_closed";
}

function parseCsv(body) {
    const [head, ...rows] = body.trim().split("\n").map((line) => line.trim().split(","));
    const column = (name) => rows.map((row) => row[head.indexOf(name)] ?? "");
    return ["token", "name", "email", "gates"].map(column);
}

class Service {
    constructor() {
        this.store = new Store(process.env.DATABASE_URL);
        this.cache = new Cache(process.env.REDIS);
    }

    async event(code) {
        const found = await this.cache.get(`event:${code}`, () => this.store.row("event", code));
        if (!found) {
            throw new Problem(404, "unknown_event");
        }
        return found;
    }

    gate(event, code) {
        return this.cache.get(`gate:${event.id}:${code}`,
                              () => this.store.row("gate", event.id, code));
    }

    person(event, token) {
        return this.cache.get(`person:${event.id}:${token}`,
                              () => this.store.row("person", event.id, token));
    }

    async checkIn(code, scan) {
        const event = await this.event(code);
        const [gate, person] = await Promise.all([this.gate(event, scan.gate),
                                                  this.person(event, scan.token)]);
        if (!gate) {
            throw new Problem(404, "unknown_gate");
        }
        const scannedAt = new Date(scan.scanned_at ?? Date.now());
        const decided = await this.store.decide({
            event, gate, person, token: scan.token, nonce: scan.nonce ?? null,
            method: scan.method, direction: scan.direction, scannedAt,
            refusal: refusal(gate, person, scan) });
        return decided.replay ? this.replay(event, scan, person, decided.replay)
                              : this.answer(event, person, scannedAt, decided);
    }

    async answer(event, person, scannedAt, { record, verdict, reason, first, delta }) {
        return {
            verdict, reason, record_id: record.id, replayed: false, forced: false,
            participant: person && { id: person.id, name: person.name, status: person.status,
                                     attention: null },
            first: first && { at: first.at.toISOString(), gate: first.gate },
            inside: await this.cache.addInside(event.id, delta),
            scanned_at: scannedAt.toISOString(), decided_at: record.recorded_at.toISOString() };
    }

    async replay(event, scan, person, was) {
        if (was.token !== scan.token || was.gate !== scan.gate ||
            was.direction !== scan.direction) {
            throw new Problem(409, "nonce_conflict");
        }
        const known = was.participant_id === null ? null : person;
        const answer = await this.answer(event, known, was.scanned_at, {
            record: was, verdict: was.verdict, reason: was.reason, first: null, delta: 0 });
        return { ...answer, replayed: true };
    }

    async import(code, body) {
        const event = await this.event(code);
        const rows = await this.store.rows("import", event.id, ...parseCsv(body));
        const created = rows.filter((row) => row.created).length;
        return { created, updated: rows.length - created, rejected: [] };
    }

    async history(code, query) {
        const event = await this.event(code);
        const limit = Number(query.limit ?? 100);
        const rows = await this.store.rows("history", event.id,
                                           query.cursor ?? "9223372036854775807", limit);
        return {
            items: rows.map((row) => ({
                record_id: row.id, participant: row.participant_id, gate: row.gate,
                method: row.method, direction: row.direction, verdict: row.verdict,
                reason: row.reason, forced: false, annulled_at: null,
                scanned_at: row.scanned_at.toISOString(),
                recorded_at: row.recorded_at.toISOString() })),
            next: rows.length === limit ? rows.at(-1).id : null };
    }

    async stats(code) {
        const event = await this.event(code);
        const [totals, gates, methods] = await Promise.all([
            this.store.row("totals", event.id), this.store.rows("by_gate", event.id),
            this.store.rows("by_method", event.id)]);
        const refused = gates.reduce((sum, gate) => sum + gate.refused, 0);
        const scans = methods.reduce((sum, method) => sum + method.count, 0);
        return { ...totals, scans, refused, gates,
                 methods: Object.fromEntries(methods.map(({ method, count }) => [method, count])),
                 as_of: new Date().toISOString() };
    }
}

function answerProblem(error, _, reply) {
    const status = error.status ?? (error instanceof Conflict ? 409 : error.statusCode ?? 503);
    if (status === 503) {
        reply.header("Retry-After", "1");
    }
    const code = error instanceof Conflict ? "conflict"
        : error.status ? error.code : status === 503 ? "store_unavailable" : "invalid_field";
    reply.code(status).type("application/problem+json").send({ status, code, title: code });
}

export async function serve(port) {
    const app = Fastify({ bodyLimit: BODY_MAX, keepAliveTimeout: 75000, logger: false });
    const service = new Service();
    app.setErrorHandler(answerProblem);
    app.addContentTypeParser("text/csv", { parseAs: "string" }, (_, body, done) => done(null, body));

    app.post("/v1/events", async ({ body }, reply) => {
        await service.store.create("add_event", body.code, body.name,
                                   body.reentry ?? "after_exit", body.capacity ?? null);
        return reply.code(201).send(body);
    });
    app.get("/v1/events/:event", ({ params }) => service.event(params.event));
    app.post("/v1/events/:event/gates", async ({ params, body }, reply) => {
        const event = await service.event(params.event);
        await service.store.create("add_gate", event.id, body.code, body.name);
        return reply.code(201).send(body);
    });
    app.get("/v1/events/:event/gates", async ({ params }) => {
        const event = await service.event(params.event);
        return { items: await service.store.rows("gates", event.id), next: null };
    });
    app.post("/v1/events/:event/participants::import",
             ({ params, body }) => service.import(params.event, body));
    app.get("/v1/events/:event/participants", async ({ params, query }) => {
        const event = await service.event(params.event);
        const found = await service.person(event, query.token ?? "");
        return { items: found ? [found] : [], next: null };
    });
    app.post("/v1/events/:event/checkins", { schema: scanSchema },
             ({ params, body }) => service.checkIn(params.event, body));
    app.get("/v1/events/:event/attendance",
            ({ params, query }) => service.history(params.event, query));
    app.get("/v1/events/:event/stats", ({ params }) => service.stats(params.event));
    app.addHook("onClose", async () => {
        service.cache.close();
        await service.store.close();
    });
    process.on("disconnect", () => app.close().then(() => process.exit(0)));
    await app.listen({ host: "127.0.0.1", port });
}
