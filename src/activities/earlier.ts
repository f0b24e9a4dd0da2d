/**
 * Inputs as version 0.1 sent them. A release takes over running studies, and finds activities that its predecessor
 * has asked for: each is completed here with what that one did not know.
 */
import { UNLIMITED } from '../domain/limits';
import { completeConfig, type StudyConfig } from '../domain/study';
import { NOTHING_WAITS } from '../domain/waiting';
import { Git } from '../lab/git';
import { readStudy } from '../lab/ledger';
import { LabError } from '../lab/lab';
import type { ApplyInput, ProposeInput, RecordInput } from './interface';

type Earlier<T, K extends keyof T, Old> = Omit<T, K> & Partial<Pick<T, K>> & Old;

type EarlierPropose = Earlier<ProposeInput, 'waiting' | 'left' | 'repair', { hints?: string[] }>;
type EarlierRecord = Earlier<
  RecordInput,
  'proposals' | 'taken' | 'repairs',
  { proposal?: string | null; hints?: string[] }
>;

/** It named where the study lies, and not what it is. */
export async function completePropose(input: EarlierPropose): Promise<ProposeInput> {
  const { waiting, left = UNLIMITED, repair = null, hints = [], ...given } = input;
  const study = 'plateauAfter' in given.study ? given.study : await studyOf(given.study);
  return { ...given, study, waiting: waiting ?? { ...NOTHING_WAITS, hints }, left, repair };
}

async function studyOf({ lab, tag }: Pick<StudyConfig, 'lab' | 'tag'>): Promise<StudyConfig> {
  const study = await readStudy(new Git(lab), tag);
  if (study === null)
    throw new LabError(`${lab} has no ledger for study ${tag}: fetch it, or start the study again`);
  return study;
}

export const completeApply = (input: Earlier<ApplyInput, 'repair', object>): ApplyInput => ({
  ...input,
  repair: input.repair ?? null,
});

export function completeRecord(input: EarlierRecord): RecordInput {
  const { proposal = null, proposals, taken = NOTHING_WAITS, repairs = [], ...given } = input;
  return {
    ...given,
    study: completeConfig(given.study),
    limits: { ...UNLIMITED, ...given.limits },
    proposals: proposals ?? (proposal === null ? [] : [proposal]),
    taken,
    repairs,
  };
}
