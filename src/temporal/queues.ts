/**
 * Task queue names. All of them name the host: a study's lab and its runs lie on one, and another host's worker on the
 * same server must not take its work.
 */
import { hostName } from './host-name';

const host = (): string =>
  hostName()
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-');

/** Workflows, and the activities that need the lab's git. */
export const controlQueue = (): string => `autoresearch-${host()}`;

/** One device's own queue, by its id (`cuda:0`, `cpu`); the same when the worker is started again. */
export function laneQueue(device: string): string {
  const index = /^cuda:(\d+)$/.exec(device)?.[1];
  return index === undefined ? `cpu-${host()}` : `gpu-${host()}-${index}`;
}
