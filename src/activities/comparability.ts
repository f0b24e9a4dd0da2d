/** A verdict compares within one league: what was scored on other hardware, or by another torch, says nothing here. */
import type { Machine } from '../domain/run';
import { StudyMismatch } from './failures';

/**
 * @param before what the study was scored with; undefined when that is not known
 * @throws StudyMismatch if it is something else now
 */
export function checkLeague(tag: string, before: Machine | undefined, now: Machine): void {
  for (const key of ['device', 'torch'] as const) {
    if (before === undefined || before[key] === now[key]) continue;
    throw new StudyMismatch(
      `study ${tag} was scored with ${key} ${before[key]} so far, and this worker has ${now[key]}: ` +
        'bring that back (AUTORESEARCH_DEVICES, AUTORESEARCH_PYTHON), or start a new study from its branch',
    );
  }
}
