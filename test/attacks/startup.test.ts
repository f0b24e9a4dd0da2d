/** Start-up is compute without a clock: what the runner does with a candidate that trains before it starts. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createTrain } from '../../src/activities/train';
import { baselineRun } from '../../src/runs/baseline-run';
import type { TrainInput } from '../../src/domain/run';
import type { RunResult } from '../../src/domain/experiment';
import { startupCap } from '../../src/domain/startup-cap';
import { hashTree } from '../../src/labs/export';
import { appendRecord, openLedger } from '../../src/ledger/ledger';
import { MockActivityEnvironment } from '@temporalio/testing';
import { cpSync, existsSync } from 'node:fs';
import { labOf } from '../activities/lab';
import { makeLab, makeRecord, makeRun, makeStudy } from '../labs/make-lab';
import { Workshop } from '../runner/workshop';

jest.setTimeout(180_000);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

/** In the place of nvidia-smi: a GPU that is this busy, in percent. */
function gpuAt(percent: string): Record<string, string> {
  const folder = join(workshop.folder, `gpu-${percent.replaceAll(/\W/g, '')}`);
  mkdirSync(folder, { recursive: true });
  const program = join(folder, 'nvidia-smi');
  writeFileSync(program, `#!/bin/sh\nwhile echo '${percent}'; do sleep 0.1; done\n`);
  chmodSync(program, 0o755);
  return { AUTORESEARCH_SANDBOX: 'none', PATH: `${folder}${delimiter}${process.env['PATH']}` };
}

/** An interpreter to whose probe the GPU works. */
function interpreter(): string {
  const python = join(workshop.folder, 'python');
  writeFileSync(python, '#!/bin/sh\n[ "$1" = -I ] && exit 0\nexec /usr/bin/python3 "$@"\n');
  chmodSync(python, 0o755);
  return python;
}

const onGpu = { device: 'cuda:0', startupSeconds: 100 };

it('a GPU at work before the start ends the run at the cap, long before the wall’s', async () => {
  const spec = { ...onGpu, python: interpreter(), startupGpuSeconds: 2 };
  const { status } = await workshop.run(workshop.trainSpec(['silent'], spec), { env: gpuAt('100') });
  expect(status.failure).toMatchObject({
    reason: 'timeout',
    message: 'start-up cap: the GPU was busy for 2 s before the start',
  });
});

it('what the GPU did before the start is in the status, and what it does later is not', async () => {
  const spec = { ...onGpu, python: interpreter(), startupGpuSeconds: 60 };
  const { status } = await workshop.run(workshop.trainSpec(['slow'], spec), { env: gpuAt('50') });
  expect(status.failure).toBeNull();
  expect(status.startupGpuSeconds).toBeLessThan(status.startupSeconds);
  expect(status.trainSeconds).toBeGreaterThan(1);
});

it.each(['[N/A]', 'No devices were found'])('a GPU that cannot tell (%s) has no such cap', async (said) => {
  const spec = { ...onGpu, python: interpreter(), startupGpuSeconds: 0.001 };
  const { status } = await workshop.run(workshop.trainSpec(['happy'], spec), { env: gpuAt(said) });
  expect(status).toMatchObject({ failure: null, startupGpuSeconds: null });
});

/** A study whose baseline took so long to start; makes the input of its n-th experiment. */
async function studied(startupSeconds: number) {
  const lab = makeLab();
  const study = makeStudy(lab.root, lab.base);
  await openLedger(lab.git, study);
  const run = { ...makeRun(2), startupSeconds, startupGpuSeconds: 1.5 };
  await appendRecord(lab.git, study, makeRecord(study, 0, { commit: lab.base, runs: [run] }));
  const input = (number: number): TrainInput => ({
    study,
    number,
    run: 1,
    commit: lab.base,
    seed: 7,
    split: 'val',
    budget: { steps: 3 },
    device: 'cpu',
    class: { device: 'x', torch: 'y', lab: '', data: '' },
  });
  return input;
}

describe('a study', () => {
  it('measures its candidates by its baseline', async () => {
    const { study } = (await studied(12))(1);
    expect(startupCap(await baselineRun(study), { startup_seconds: 600, startup_spare_seconds: 20 })).toEqual(
      { seconds: 44, gpuSeconds: 13 },
    );
  });

  it('ends a candidate that trains before it starts, and says how long it may take', async () => {
    const lab = labOf(['silent'], ['true'], { startup_seconds: 600 });
    const train = createTrain({
      runner: workshop.runner,
      comparableRuns: () => Promise.resolve({ own: [], parent: [] }),
      baselineRun: () => Promise.resolve({ trainSeconds: 1, startupSeconds: 0.01, startupGpuSeconds: null }),
      exportTree: async (_study, _commit, folder) => {
        if (!existsSync(folder)) cpSync(workshop.tree, folder, { recursive: true });
        return hashTree(folder);
      },
      resolveRun: async () => ({
        python: '/usr/bin/python3',
        data: workshop.data,
        lab,
        machine: { device: 'x', torch: 'y' },
      }),
    });
    const result = await new MockActivityEnvironment().run<[TrainInput], RunResult, typeof train>(
      train,
      (await studied(1))(1),
    );
    expect(result.failure).toMatchObject({ reason: 'timeout', message: 'start-up cap: no start after 20 s' });
    expect(result.wallSeconds).toBeLessThan(150);
  });
});
