/** A study with the `claude` researcher, through the real activity. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createCheck } from '../../../src/activities/check-proposal';
import type { Proposed } from '../../../src/activities/interface';
import { createPropose } from '../../../src/activities/propose';
import { experimentName } from '../../../src/domain/experiment';
import { UNLIMITED } from '../../../src/domain/limits';
import type { StudyConfig } from '../../../src/domain/study';
import { NOTHING_WAITS } from '../../../src/domain/waiting';
import { openLedger } from '../../../src/ledger/ledger';
import { studyState } from '../../../src/process/paths';
import { createClaude } from '../../../src/researchers/claude';
import type { CallTimes } from '../../../src/researchers/claude/call';
import { SpendGuard } from '../../../src/researchers/spend-guard';
import { makeLab, makeStudy, temporary } from '../../labs/make-lab';
import { answer, type Answered } from '../../messages-api/reply';
import { KEY, MODEL, propose } from './asking';

/** Limits that no answer of these tests reaches, also on a busy machine. */
export const PATIENT: CallTimes = { quietMs: 20_000, wholeMs: 25_000 };

export const EDIT = { path: 'train.py', search: 'DEPTH = 2', replace: 'DEPTH = 3' };
export const good = (): Answered => answer(propose({ edits: [EDIT], knobs: ['DEPTH'] }));

export async function newStudy(model = MODEL) {
  process.env['XDG_STATE_HOME'] = temporary('state');
  const lab = makeLab();
  const study: StudyConfig = { ...makeStudy(lab.root, lab.base), researcher: 'claude', model };
  await openLedger(lab.git, study);
  return { ...lab, study };
}
export type Studied = Awaited<ReturnType<typeof newStudy>>;

export function run(
  { study, base }: Studied,
  dollars: number | null = null,
  times = PATIENT,
): Promise<Proposed> {
  const activity = createPropose({
    python: 'python3',
    researcher: () => createClaude(times),
    check: createCheck('python3', () => Promise.resolve(null)),
  });
  const left = { ...UNLIMITED, dollars };
  const input = { study, number: 1, incumbent: base, waiting: NOTHING_WAITS, left, repair: null };
  return new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(activity, input);
}

/** US dollars spent on the proposal of its first experiment. */
export async function spent(studied: Studied): Promise<number> {
  return (await SpendGuard.open(journalOf(studied), null)).spent();
}

/** The reservations of its calls, in US dollars. */
export async function reservations(studied: Studied): Promise<number[]> {
  const lines = (await readFile(journalOf(studied), 'utf8')).split('\n').filter((line) => line !== '');
  return lines.flatMap((line) => (JSON.parse(line) as { reserve?: number }).reserve ?? []);
}

export const journalOf = ({ study }: Studied): string =>
  join(studyState(study.labId, study.tag), 'proposals', experimentName(1), 'spent.jsonl');

export async function failureOf(asked: Promise<unknown>): Promise<ApplicationFailure> {
  const error = await asked.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApplicationFailure)) throw new Error(`expected a failure, got ${String(error)}`);
  expect(`${error.message}${String(error.stack)}`).not.toContain(KEY);
  return error;
}
