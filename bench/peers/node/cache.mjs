// SPDX-License-Identifier: Apache-2.0
// Two levels in front of the database: an LRU of 1000 entries and five minutes in the process, and
// Redis Cluster, which the workers share. A cache that fails is passed over, never an error.
import { Cluster } from "ioredis";
import { LRUCache } from "lru-cache";

const MINUTES_5 = 5 * 60;

export class Cache {
    constructor(nodes) {
        this.local = new LRUCache({ max: 1000, ttl: MINUTES_5 * 1000 });
        this.redis = nodes ? new Cluster(nodes.split(",").map(parse), {
            enableAutoPipelining: true,
            redisOptions: { commandTimeout: 250, maxRetriesPerRequest: 1 },
        }) : null;
        this.redis?.on("error", () => {});
    }

    // The value of a key, loaded once it is nowhere. What is not there is not kept.
    async get(key, load) {
        const near = this.local.get(key);
        if (near !== undefined) {
            return near;
        }
        const far = await this.ask((redis) => redis.get(key));
        const value = far ? JSON.parse(far) : await load();
        if (value) {
            this.local.set(key, value);
            if (!far) {
                this.ask((redis) => redis.set(key, JSON.stringify(value), "EX", MINUTES_5));
            }
        }
        return value;
    }

    async drop(key) {
        this.local.delete(key);
        await this.ask((redis) => redis.del(key));
    }

    // People inside, counted beside the database: what every answer shows.
    async addInside(event, delta) {
        const key = `inside:{${event}}`;
        const count = await this.ask((redis) =>
            delta === 0 ? redis.get(key) : redis.incrby(key, delta));
        return Math.max(0, Number(count ?? 0));
    }

    async ask(command) {
        if (!this.redis) {
            return null;
        }
        try {
            return await command(this.redis);
        } catch {
            return null;
        }
    }

    close() {
        this.redis?.disconnect();
    }
}

function parse(node) {
    const [host, port] = node.split(":");
    return { host, port: Number(port) };
}
