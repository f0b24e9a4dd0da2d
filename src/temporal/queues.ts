/**
 * Task queue names. They include the host: a study's lab and runs are on one host, and another host's worker must not take
 * its tasks.
 */
import { hostName } from './host-name';

const host = (): string =>
  hostName()
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-');

/** The queue of workflows and of activities that need the lab's git. */
export const controlQueue = (): string => `autoresearch-${host()}`;

/** The queue of one device, by its id (`cuda:0`, `cpu`); the same after a restart. */
export function laneQueue(device: string): string {
  const index = /^cuda:(\d+)$/.exec(device)?.[1];
  return index === undefined ? `cpu-${host()}` : `gpu-${host()}-${index}`;
}
