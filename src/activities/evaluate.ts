/** Scores what a training has submitted, with the scorer of the study's base commit. */
import { ApplicationFailure } from '@temporalio/common';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { ScoreResult } from '../domain/experiment';
import { GRAPH_FILE, WEIGHTS_FILE } from '../runner/model/submission';
import { attemptsOf, markAsLost } from '../runs/attempts';
import { withFailures } from './failures';
import type { DeviceActivities, EvaluateInput } from './interface';
import { checkClass } from './comparability';
import {
  attend,
  checkRoom,
  commonSpec,
  submissionFolder,
  taskName,
  type RunDependencies,
  type ScoreTask,
} from '../runs/watch';

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
        metrics: { parameters: status.parameters },
        scoreSeconds: status.score?.seconds ?? 0,
        wallSeconds,
      };
      return result;
    });
}

async function prepare(
  dependencies: RunDependencies,
  input: EvaluateInput,
  folder: string,
): Promise<ScoreTask> {
  await checkSubmission(input);
  const setting = await dependencies.resolveRun(input);
  const { lab, machine } = setting;
  // A worker may have come back with another torch, or as another machine.
  checkClass(input.study.tag, input.class, machine);
  await checkRoom(input, setting, 0);
  const tree = join(folder, 'tree');
  // The base commit and nothing else: no file of the candidate's lies where the scorer imports from.
  const blobs = await dependencies.exportTree(input.study, input.study.base, tree);
  return {
    kind: 'score',
    ...commonSpec(input, setting, tree),
    blobs,
    command: lab.score.command,
    scoreSeconds: lab.caps.score_seconds,
  };
}

async function checkSubmission(input: EvaluateInput): Promise<void> {
  const trainings = await attemptsOf(input, 'train');
  const folder = submissionFolder(input);
  try {
    await Promise.all([GRAPH_FILE, WEIGHTS_FILE].map((file) => access(join(folder, file))));
  } catch {
    // Only those that had ended before we looked: another may be submitting just now.
    await Promise.all(
      trainings.map((attempt) => markAsLost(attempt, 'its submission was gone before it was scored')),
    );
    throw ApplicationFailure.nonRetryable(
      `no submission of ${taskName(input)} in ${folder}: the disk has lost it, or it was trained on another host`,
      'SubmissionMissing',
    );
  }
}
