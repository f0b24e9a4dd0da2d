/** Opens a study: base ref, ledger, branch and data are made or found, and the state is rebuilt from the ledger. */
import { createHash } from 'node:crypto';
import { summarize, type ExperimentRecord } from '../domain/experiment';
import { rebuild, type StudyConfig } from '../domain/study';
import { lastTaken } from '../domain/waiting';
import { advanceBranch } from '../ledger/branch';
import type { LabConfig } from '../labs/lab-yaml';
import { Git, RefConflict } from '../ledger/git';
import { LabError } from '../ledger/git';
import { checkBranches, readLabConfigAt } from '../labs/lab';
import { LedgerError, openLedger, readLedger } from '../ledger/ledger';
import { listTree } from '../ledger/objects';
import { baseRef } from '../ledger/refs';
import { checkAgentSettings } from '../researchers/agent-settings';
import { StudyMismatch, withFailures } from './failures';
import { heartbeatWhile } from '../runs/heartbeat';
import type { ControlActivities, OpenedStudy } from './interface';
import type { Lane } from '../domain/run';
import { classText, type RunClass } from '../domain/run-class';
import { checkClass } from './comparability';
import type { PreparedData } from './prepare-data';
import { claimStateFolder } from './state-folder';

export interface OpenStudyDependencies {
  /** The GPU, or the CPU, that the study trains on. */
  lane(): Promise<Lane>;
  /** What the lane's scores may be compared with. */
  machine(lane: Lane): Promise<RunClass>;
  prepareData(study: StudyConfig, lab: LabConfig): Promise<PreparedData>;
}

export function createOpenStudy(dependencies: OpenStudyDependencies): ControlActivities['openStudy'] {
  return (study) => withFailures(() => heartbeatWhile(open(dependencies, study), { study }));
}

async function open(dependencies: OpenStudyDependencies, study: StudyConfig): Promise<OpenedStudy> {
  const git = new Git(study.lab);
  const lab = await openBase(git, study);
  if (study.researcher.split('+').includes('command')) checkAgentSettings(study.lab, lab);
  await checkBranches(git);
  const kept = await openLedger(git, study);
  checkSame(study, kept);
  const records = await readLedger(git, study.tag);
  checkWhole(study, records);
  await claimStateFolder({ ...study, createdAt: kept.createdAt }, records.at(-1));
  const state = rebuild(study.limits, records.map(summarize));
  await advanceBranch(git, study.tag, state.incumbent?.commit ?? study.base);
  const data = await dependencies.prepareData(study, lab);
  checkData(study, records, data);
  const lane = await dependencies.lane();
  const machine = await dependencies.machine(lane);
  const runClass = {
    ...machine,
    lab: await lockedHash(git, study.base, lab),
    data: data.hash,
  };
  checkClass(study.tag, records.at(-1)?.class, machine);
  const { startup_seconds: startup, submission_seconds: submission, score_seconds: score } = lab.caps;
  return {
    state,
    last: lastTaken(records),
    lane,
    class: runClass,
    seal: 'graph',
    caps: { startup, submission, score },
  };
}

async function openBase(git: Git, { tag, base }: StudyConfig): Promise<LabConfig> {
  if ((await git.resolve(`${base}^{commit}`)) === null) {
    throw new LabError(
      `${git.directory} has no commit ${base}, the base of study ${tag}: \`autoresearch fetch\` the study first`,
    );
  }
  await git.moveRef(baseRef(tag), base, null).catch((error: unknown) => {
    if (error instanceof RefConflict)
      throw new StudyMismatch(
        `study ${tag} began from ${error.actual ?? 'nothing'}, not from ${base}: use another tag`,
      );
    throw error;
  });
  return readLabConfigAt(git, base);
}

/** Scores of another metric, base or budget do not compare with those in the ledger. */
function checkSame(study: StudyConfig, ledger: StudyConfig): void {
  for (const key of ['tag', 'base', 'metric', 'direction', 'budget'] as const) {
    const [asked, kept] = [JSON.stringify(study[key]), JSON.stringify(ledger[key])];
    if (asked !== kept)
      throw new StudyMismatch(
        `study ${study.tag} has ${key} ${kept} in its ledger, not ${asked}: use another tag`,
      );
  }
}

function checkWhole({ tag }: StudyConfig, records: readonly ExperimentRecord[]): void {
  const missing = records.findIndex(({ number }, index) => number !== index);
  if (missing >= 0) {
    throw new LedgerError(
      `the ledger of study ${tag} has no experiment ${missing} but later ones: fetch it again, or start a new study`,
    );
  }
}

function checkData(study: StudyConfig, records: readonly ExperimentRecord[], data: PreparedData): void {
  const last = records.at(-1);
  const before = last?.class['data'];
  if (before === undefined || before === data.hash) return;
  throw new StudyMismatch(
    `the data is not what study ${study.tag} was scored on so far (${classText(data.hash)}, not ${classText(before)}): ` +
      'put its source back as it was, or start a new study',
  );
}

/** The locked files, as one hash: scores by other rules do not compare. */
async function lockedHash(git: Git, base: string, { locked }: LabConfig): Promise<string> {
  const files = (await listTree(git, base)).filter(({ path }) => locked.includes(path));
  return createHash('sha256')
    .update(JSON.stringify(files.map(({ path, id }) => [path, id])))
    .digest('hex');
}
