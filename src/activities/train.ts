/** Trains a commit once, with the seed and the budget that it is given. */
import { ApplicationFailure } from '@temporalio/common';
import { join } from 'node:path';
import type { Failure, RunResult } from '../domain/experiment';
import { seedEffect } from '../domain/seed';
import { startupCap } from '../domain/startup-cap';
import { trainCap } from '../domain/train-cap';
import { withFailures } from './failures';
import type { DeviceActivities } from './interface';
import type { TrainInput } from '../domain/run';
import type { TaskStatus } from '../runner/task';
import { checkClass } from './comparability';
import { attend, checkRoom, commonSpec, type RunDependencies, type TrainTask } from '../runs/watch';

/** A lab may allow more, and few submit as much: no study is to stand still for that. */
const LARGE_WEIGHTS_BYTES = 1e9;

export function createTrain(dependencies: RunDependencies): DeviceActivities['train'] {
  return async (input) =>
    withFailures(async () => {
      const { status, failure, attempts, wallSeconds } = await attend({
        kind: 'train',
        input,
        runner: dependencies.runner,
        prepare: (folder) => prepare(dependencies, input, folder),
      });
      const seen = seedEffect({ ...status, seed: input.seed }, await dependencies.comparableRuns(input));
      const result: RunResult = {
        seed: input.seed,
        attempts,
        failure: failure ?? (seen.isIgnored ? ignoredSeed(input.seed, seen.sameAsSeed) : null),
        metrics: metricsOf(status),
        trainSeconds: status.trainSeconds,
        wallSeconds,
        startupSeconds: status.startupSeconds,
        startupGpuSeconds: status.startupGpuSeconds,
        initialWeights: status.initialWeights,
        weights: status.weights,
        sameWeightsAsSeed: seen.sameAsSeed,
        sandbox: status.sandbox,
        device: input.device,
      };
      return result;
    });
}

/** What a training of a model lab measures beside its score. */
function metricsOf({
  step,
  tokens,
  dataWaitSeconds,
  peakMemoryMb,
  lastLoss,
}: TaskStatus): RunResult['metrics'] {
  const measured = { steps: step, tokens, dataWaitSeconds, peakMemoryMb };
  return lastLoss === null ? measured : { ...measured, lastLoss };
}

function ignoredSeed(seed: number, other: number): Failure {
  const message = `seed ignored: seeds ${seed} and ${other} gave the same initial weights, which differed before this change: draw them from lab.seed`;
  return { reason: 'rejected', message, tail: '' };
}

async function prepare(dependencies: RunDependencies, input: TrainInput, folder: string): Promise<TrainTask> {
  if (input.split === 'holdout')
    throw ApplicationFailure.nonRetryable(
      'the policy asks for a run on a holdout, and this lab has none: start the study with another policy',
      'NoHoldout',
    );
  const setting = await dependencies.resolveRun(input);
  const { lab, machine } = setting;
  // A worker may have come back with another torch, or as another machine.
  checkClass(input.study.tag, input.class, machine);
  await checkRoom(input, setting, Math.min(lab.caps.weights_bytes, LARGE_WEIGHTS_BYTES));
  const baseline = await dependencies.baselineRun(input.study);
  const startup = startupCap(baseline, lab.caps);
  const tree = join(folder, 'tree');
  await dependencies.exportTree(input.study, input.commit, tree);
  return {
    kind: 'train',
    ...commonSpec(input, setting, tree),
    command: lab.train.command,
    seed: input.seed,
    budget: input.budget,
    startupSeconds: startup.seconds,
    startupGpuSeconds: startup.gpuSeconds,
    submissionSeconds: lab.caps.submission_seconds,
    stallSeconds: lab.caps.stall_seconds,
    trainSeconds: trainCap(lab.caps.train_seconds, baseline),
    weightsBytes: lab.caps.weights_bytes,
  };
}
