/** A verdict compares only scores of one device and one torch version. */
import type { Machine } from '../domain/run';
import { StudyMismatch } from './failures';

/**
 * @param before the device and torch version of the study's scores so far; undefined when unknown
 * @throws StudyMismatch if this worker has another device or torch version
 */
export function checkLeague(tag: string, before: Machine | undefined, now: Machine): void {
  for (const key of ['device', 'torch'] as const) {
    if (before === undefined || before[key] === now[key]) continue;
    throw new StudyMismatch(
      `study ${tag} was scored with ${key} ${before[key]} so far, but this worker has ${now[key]}: ` +
        'restore the earlier one (AUTORESEARCH_DEVICES, AUTORESEARCH_PYTHON), or start a new study from its branch',
    );
  }
}
