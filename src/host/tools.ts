/** What has to be fetched once and is then only found: the trainer's Python environment and the Temporal server. */
import { ensureTemporal } from './temporal-binary';
import type { Say } from '../process/progress';
import { ensureTrainerPython } from './trainer-python';

/**
 * Gets both at the same time: one waits for the network, the other, where it is built, for the CPU.
 * @returns the trainer's interpreter
 * @throws MissingPrerequisite once both have ended
 */
export async function ensureTools(say: Say): Promise<string> {
  const [python, temporal] = await Promise.allSettled([ensureTrainerPython(say), ensureTemporal(say)]);
  if (python.status === 'rejected') throw python.reason;
  if (temporal.status === 'rejected') throw temporal.reason;
  return python.value;
}
