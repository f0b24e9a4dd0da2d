/** Provides what must be fetched once: the trainer's Python environment and the Temporal server. */
import { ensureTemporal } from './temporal-binary';
import type { Say } from '../process/progress';
import { ensureTrainerPython } from './trainer-python';

/**
 * Fetches both concurrently: one waits for the network, the other may need the CPU for a build.
 * @returns the trainer's interpreter
 * @throws MissingPrerequisite after both have ended
 */
export async function ensureTools(say: Say): Promise<string> {
  const [python, temporal] = await Promise.allSettled([ensureTrainerPython(say), ensureTemporal(say)]);
  if (python.status === 'rejected') throw python.reason;
  if (temporal.status === 'rejected') throw temporal.reason;
  return python.value;
}
