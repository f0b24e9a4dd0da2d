/** A verdict compares within one class: a score from other hardware, or from another torch, says nothing here. */
import { classDifferences, type RunClass } from '../domain/run-class';
import { StudyMismatch } from './failures';

/**
 * @param before the class of the study's scores; undefined where that is not known
 * @param machine the part of it that this worker brings
 * @throws StudyMismatch if it brings something else
 */
export function checkClass(tag: string, before: RunClass | undefined, machine: RunClass): void {
  if (before === undefined) return;
  const part = Object.fromEntries(Object.entries(before).filter(([key]) => key in machine));
  const different = classDifferences([part, machine]);
  if (different.length === 0) return;
  throw new StudyMismatch(
    `study ${tag} was scored with another ${different.join(' and another ')} (first the study's, then this worker's): ` +
      'restore the earlier one (AUTORESEARCH_DEVICES, AUTORESEARCH_PYTHON), or start a new study with `start --from`',
  );
}
