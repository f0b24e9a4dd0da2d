/** All checks of `doctor`. */
import type { Check } from './check';
import { checkHost } from './doctor-host';
import { checkTemporal } from './doctor-temporal';

/** Runs all checks. Changes nothing; takes a few seconds at most. */
export async function examine(): Promise<Check[]> {
  const [host, temporal] = await Promise.all([checkHost(), checkTemporal()]);
  return [...host, ...temporal];
}
