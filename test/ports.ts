/** Ports for the servers of tests. */
import { randomInt } from 'node:crypto';
import { isFree } from '../src/host/ports';

/** Each of jest's workers has a range of its own, and gives no port twice. */
const SIZE = 6_000;
const BEGIN = 20_000 + SIZE * (Number(process.env['JEST_WORKER_ID'] ?? 1) % 2);
const given = new Set<number>();

/**
 * A port that is free, and stays so while its server is away: not one of those above 32767, which the kernel gives to anybody's
 * connection. (PostgreSQL's table of Temporal's members has two bytes for a port, too.)
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(BEGIN, BEGIN + SIZE);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}
