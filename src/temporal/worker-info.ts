/**
 * What a worker says of itself (`worker.json`), written by the worker once it polls. A detached worker keeps
 * the environment and the build that it was started with: others read here what those are.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeJsonAtomic } from '../process/json-file';
import { ownerSchema } from '../process/owner';
import { workerState } from '../process/paths';

const workerInfoSchema = z.strictObject({
  format: z.literal(1),
  owner: ownerSchema,
  /** See build-id.ts. */
  build: z.string(),
  address: z.string(),
  namespace: z.string(),
  /** Every task queue that it polls. */
  queues: z.array(z.string()),
  /** `cuda:0`, `cpu`: what its lanes train on. */
  devices: z.array(z.string()),
  /** The trainer's Python interpreter. */
  python: z.string(),
  /** What its environment has, never the values. */
  has: z.strictObject({ anthropicKey: z.boolean() }),
  /** ISO 8601. */
  startedAt: z.string(),
});
export type WorkerInfo = z.infer<typeof workerInfoSchema>;

export const workerInfoFile = (): string => join(workerState(), 'worker.json');
/** Held by the worker for its life. */
export const workerLock = (): string => join(workerState(), 'worker.lock');

/** What the last worker said, alive or not; null if there never was one. */
export const readWorkerInfo = (): Promise<WorkerInfo | null> => readJson(workerInfoFile(), workerInfoSchema);

/** For the worker alone, once it runs. */
export const writeWorkerInfo = (info: WorkerInfo): Promise<void> => writeJsonAtomic(workerInfoFile(), info);

/** What of a process's environment a worker's work depends on. */
export const environmentHas = (env: NodeJS.ProcessEnv): WorkerInfo['has'] => ({
  anthropicKey: (env['ANTHROPIC_API_KEY'] ?? '') !== '',
});
