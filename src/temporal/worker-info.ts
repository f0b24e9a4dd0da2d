/**
 * Describes this host's worker (`worker.json`): its build, server and environment. The worker writes it once it polls; commands read
 * it to decide whether to replace the worker.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonIfWhole, writeJsonAtomic } from '../process/json-file';
import { ownerSchema } from '../process/owner';
import { workerState } from '../process/paths';
import { codecKeys } from './codec';
import { hashedVariables } from './worker-environment';

/** Not strict: after a downgrade within a minor version, the older release reads a newer one's file. */
const workerInfoSchema = z.object({
  format: z.literal(2),
  owner: ownerSchema,
  /** See build-id.ts. */
  build: z.string(),
  address: z.string(),
  namespace: z.string(),
  /** See `credentialsId`. */
  credentials: z.string(),
  /** The task queues that it polls. */
  queues: z.array(z.string()),
  /** Device ids of its lanes: `cuda:0`, `cpu`. */
  devices: z.array(z.string()),
  /** The trainer's Python interpreter. */
  python: z.string(),
  /** Its version of torch; null if unknown. */
  torch: z.string().nullable(),
  /** Its environment, without values. */
  has: z.object({
    anthropicKey: z.boolean(),
    /** See `hashedVariables`. */
    variables: z.record(z.string(), z.string()),
    /** Ids of the codec's keys, the encrypting key first. */
    codecKeys: z.array(z.string()),
  }),
  /** ISO 8601. */
  startedAt: z.string(),
  /** It is shutting down and takes no more tasks. */
  isEnding: z.boolean(),
});
export type WorkerInfo = z.infer<typeof workerInfoSchema>;

export const workerInfoFile = (): string => join(workerState(), 'worker.json');
/** The worker holds this lock for its life. */
export const workerLock = (): string => join(workerState(), 'worker.lock');

/** The last worker's description, alive or not; null if there was none or the file is damaged. */
export const readWorkerInfo = (): Promise<WorkerInfo | null> =>
  readJsonIfWhole(workerInfoFile(), workerInfoSchema);

/** Only the worker calls this, once it polls. */
export const writeWorkerInfo = (info: WorkerInfo): Promise<void> => writeJsonAtomic(workerInfoFile(), info);

/** This process's environment, as far as a worker's results depend on it. */
export const environmentHas = (): WorkerInfo['has'] => ({
  variables: hashedVariables(process.env),
  anthropicKey: (process.env['ANTHROPIC_API_KEY'] ?? '') !== '',
  codecKeys: codecKeys().map(({ id }) => id),
});
