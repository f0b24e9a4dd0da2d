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
import { hashedVariables } from './worker-environment';

/** Not strict: after a step back within a minor version, that release reads what a newer one wrote. */
const workerInfoSchema = z.object({
  format: z.literal(2),
  owner: ownerSchema,
  /** See build-id.ts. */
  build: z.string(),
  address: z.string(),
  namespace: z.string(),
  /** See `credentialsId`. */
  credentials: z.string(),
  /** Every task queue that it polls. */
  queues: z.array(z.string()),
  /** `cuda:0`, `cpu`: what its lanes train on. */
  devices: z.array(z.string()),
  /** The trainer's Python interpreter. */
  python: z.string(),
  /** The version of torch that it had; null where that was not found out. */
  torch: z.string().nullable(),
  /** What its environment has, never the values. */
  has: z.object({
    anthropicKey: z.boolean(),
    /** See `hashedVariables`. */
    variables: z.record(z.string(), z.string()),
    /** Ids of the codec's keys, the one that encrypts first. */
    codecKeys: z.array(z.string()),
  }),
  /** ISO 8601. */
  startedAt: z.string(),
  /** It has been asked to end, and takes no more work. */
  isEnding: z.boolean(),
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
  variables: hashedVariables(process.env),
  anthropicKey: (process.env['ANTHROPIC_API_KEY'] ?? '') !== '',
  codecKeys: codecKeys().map(({ id }) => id),
});
