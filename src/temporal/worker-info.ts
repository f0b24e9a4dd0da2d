/**
 * What a worker says of itself (`worker.json`), written by the worker once it polls. A detached worker keeps
 * the environment and the build that it was started with: others read here what those are.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonIfWhole, writeJsonAtomic } from '../process/json-file';
import { ownerSchema } from '../process/owner';
import { workerState } from '../process/paths';
import { codecKeys } from './codec';

/** Not strict: after a step back to an older release, that one reads what a newer one wrote. */
const workerInfoSchema = z.object({
  format: z.literal(1),
  owner: ownerSchema,
  /** See build-id.ts. */
  build: z.string(),
  address: z.string(),
  namespace: z.string(),
  /** See `credentialsId`; null before it was written down. */
  credentials: z.string().nullable().default(null),
  /** Every task queue that it polls. */
  queues: z.array(z.string()),
  /** `cuda:0`, `cpu`: what its lanes train on. */
  devices: z.array(z.string()),
  /** The trainer's Python interpreter. */
  python: z.string(),
  /** The version of torch that it had; null before it was written down. */
  torch: z.string().nullable().default(null),
  /** What its environment has, never the values. */
  has: z.object({
    anthropicKey: z.boolean(),
    /** Ids of the codec's keys, the one that encrypts first. */
    codecKeys: z.array(z.string()).default([]),
  }),
  /** ISO 8601. */
  startedAt: z.string(),
  /** It has been asked to end, and takes no more work. */
  isEnding: z.boolean().default(false),
});
export type WorkerInfo = z.infer<typeof workerInfoSchema>;

export const workerInfoFile = (): string => join(workerState(), 'worker.json');
/** Held by the worker for its life. */
export const workerLock = (): string => join(workerState(), 'worker.lock');

/** What the last worker said, alive or not; null if there never was one, or that cannot be read any more. */
export const readWorkerInfo = (): Promise<WorkerInfo | null> =>
  readJsonIfWhole(workerInfoFile(), workerInfoSchema);

/** For the worker alone, once it runs. */
export const writeWorkerInfo = (info: WorkerInfo): Promise<void> => writeJsonAtomic(workerInfoFile(), info);

/** What of this process's environment a worker's work depends on. */
export const environmentHas = (): WorkerInfo['has'] => ({
  anthropicKey: (process.env['ANTHROPIC_API_KEY'] ?? '') !== '',
  codecKeys: codecKeys().map(({ id }) => id),
});
