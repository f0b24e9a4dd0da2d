/** Scores what a training has handed in, with the scorer of the study's base commit. */
import { ApplicationFailure } from '@temporalio/common';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { ScoreResult } from '../domain/experiment';
import { GRAPH_FILE, WEIGHTS_FILE } from '../runner/handin';
import { withFailures } from './failures';
import type { DeviceActivities, EvaluateInput } from './interface';
import {
  attend,
  checkRoom,
  commonSpec,
  handinFolder,
  taskName,
  type RunDependencies,
  type ScoreTask,
} from './watch';

export function createEvaluate(dependencies: RunDependencies): DeviceActivities['evaluate'] {
  return async (input) =>
    withFailures(async () => {
      const { status, failure, wallSeconds } = await attend({
        kind: 'score',
        input,
        runner: dependencies.runner,
        prepare: (folder) => prepare(dependencies, input, folder),
      });
      const result: ScoreResult = {
        failure,
        score: failure === null ? (status.score?.value ?? null) : null,
        tokens: status.score?.tokens ?? 0,
        bytes: status.score?.bytes ?? 0,
        scoreSeconds: status.score?.seconds ?? 0,
        wallSeconds,
        parameters: status.parameters,
      };
      return result;
    });
}

async function prepare(
  dependencies: RunDependencies,
  input: EvaluateInput,
  folder: string,
): Promise<ScoreTask> {
  await checkHandin(input);
  const setting = await dependencies.resolveRun(input);
  const { lab } = setting;
  await checkRoom(input, setting, 0);
  const tree = join(folder, 'tree');
  // The base commit and nothing else: no file of the candidate's lies where the scorer imports from.
  await dependencies.exportTree(input.study, input.study.base, tree);
  return {
    kind: 'score',
    ...commonSpec(input, setting, tree),
    command: lab.score.command,
    scoreSeconds: lab.caps.score_seconds,
  };
}

async function checkHandin(input: EvaluateInput): Promise<void> {
  const folder = handinFolder(input);
  try {
    await Promise.all([GRAPH_FILE, WEIGHTS_FILE].map((file) => access(join(folder, file))));
  } catch {
    throw ApplicationFailure.nonRetryable(
      `no hand-in of ${taskName(input)} in ${folder}: it was trained on another host, or was cleaned up`,
      'HandinMissing',
    );
  }
}
