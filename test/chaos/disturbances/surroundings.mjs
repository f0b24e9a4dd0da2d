/** What is around an installation changes: the date, the network. */
import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../processes.mjs';
import { pick } from '../random.mjs';

const HOUR = 3_600;
const DAY = 24 * HOUR;

/** The date jumps, for everything but the server, and stays so until it jumps again; now and then the worker dies of it. */
export async function clockJump({ installation, random }) {
  installation.setClock(pick([-DAY, -HOUR, -30, 0, 30, HOUR, 400 * DAY], random));
  await sleep(1_500);
  const victims = random() < 0.5 ? installation.only('worker') : [];
  signal(victims, 'SIGKILL');
  return { hit: victims.length, struck: [] };
}

/** Between worker and server nothing passes for a while. */
export function cut(state, ms) {
  return async ({ installation, random }) => {
    installation.proxy.become(state);
    await sleep(ms(random));
    installation.proxy.become('open');
    return { hit: 1, struck: [] };
  };
}
