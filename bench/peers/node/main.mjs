// SPDX-License-Identifier: Apache-2.0
// The peer: a check-in service as a good team would write it in Node. One worker for each core,
// each with a pool of PostgreSQL connections, a client of Redis Cluster and a cache of its own.
//
//   DATABASE_URL=postgres://… [REDIS=host:port,…] [PORT=8080] [WORKERS=2] node main.mjs
//
// Prints `ready url=… pid=…` when it serves.
import cluster from "node:cluster";
import { readFile } from "node:fs/promises";
import os from "node:os";
import pg from "pg";

const port = Number(process.env.PORT ?? 8080);
const workers = Number(process.env.WORKERS ?? os.availableParallelism?.() ?? os.cpus().length);

async function lead() {
    const client = new pg.Client(process.env.DATABASE_URL);
    await client.connect();
    await client.query(await readFile(new URL("schema.sql", import.meta.url), "utf8"));
    await client.end();
    let listening = 0;
    cluster.on("listening", () => {
        if (++listening === workers) {
            console.log(`ready url=http://127.0.0.1:${port} pid=${process.pid}`);
        }
    });
    cluster.on("exit", (worker, code) => {
        if (!worker.exitedAfterDisconnect) {
            console.error(`worker ${worker.process.pid} ended with ${code}`);
            process.exit(1);
        }
    });
    process.on("SIGTERM", () => cluster.disconnect(() => process.exit(0)));
    for (let i = 0; i < workers; i++) {
        cluster.fork();
    }
}

if (cluster.isPrimary) {
    await lead();
} else {
    const { serve } = await import("./app.mjs");
    await serve(port);
}
