/** Attacks on what scores, each by a real runner with a scorer in its sandbox. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { setTimeout as sleep } from 'node:timers/promises';
import { runFolder } from '../../src/runs/attempts';
import { createEvaluate } from '../../src/activities/evaluate';
import type { TrainInput } from '../../src/domain/run';
import type { ScoreResult } from '../../src/domain/experiment';
import { hashTree } from '../../src/labs/export';
import { checkEnvironment, ensureInventory } from '../../src/runner/inventory';
import type { ScoreSpec } from '../../src/runner/task';
import { labOf } from '../activities/lab';
import { Workshop } from '../runner/workshop';

jest.setTimeout(180_000);

let workshop: Workshop;
let place: { python: string; packages: string };
beforeAll(async () => {
  workshop = new Workshop();
  const folder = join(workshop.folder, 'environment');
  execFileSync('/usr/bin/python3', ['-m', 'venv', '--without-pip', folder]);
  const [version = ''] = readdirSync(join(folder, 'lib'));
  place = {
    python: join(folder, 'bin', 'python'),
    packages: join(folder, 'lib', version, 'site-packages'),
  };
  await ensureInventory(place.python);
});
afterEach(() => rmSync(join(place.packages, 'evil.pth'), { force: true }));
afterAll(() => workshop.close());

const HONEST = `import json, os, sys, time
a = dict(zip(sys.argv[1::2], sys.argv[2::2]))
open("/out/began", "w")
while "held" in sys.argv and not os.path.exists("/out/go"): time.sleep(0.02)
json.dump({"value": 1.5, "tokens": 1, "bytes": 2, "seconds": 0.5, "parameters": 3}, open(a["--out"], "w"))`;

function scoring(change: Partial<ScoreSpec> = {}, ...words: string[]): ScoreSpec {
  const spec = workshop.scoreSpec(['python', '-c', HONEST, ...words], { python: place.python, ...change });
  mkdirSync(spec.submission);
  for (const file of ['graph.json', 'weights.safetensors']) writeFileSync(join(spec.submission, file), file);
  return spec;
}

/** A host error: no verdict on the candidate, and no score. */
const refused = (message: RegExp) => ({
  phase: 'stopped',
  score: null,
  failure: { reason: 'lost', message: expect.stringMatching(message) },
});

it('an honest scoring has its score', async () => {
  const { status } = await workshop.run(scoring());
  expect(status).toMatchObject({ phase: 'done', failure: null, score: { value: 1.5 } });
});

it.each(['evil.pth', 'sitecustomize.py', 'usercustomize.py', 'json.py'])(
  'a planted %s scores nothing, and runs nowhere',
  async (name) => {
    const planted = join(place.packages, name);
    const ran = join(workshop.folder, `ran-${name}`);
    writeFileSync(planted, `import sys; open(${JSON.stringify(ran)}, "w")\n`);
    const { status } = await workshop.run(scoring());
    rmSync(planted);
    expect(status).toMatchObject(refused(new RegExp(`what scores is not what it was: .*${name} is new`)));
    expect(existsSync(ran)).toBe(false);
    expect((await workshop.run(scoring())).status).toMatchObject({ failure: null, score: { value: 1.5 } });
  },
);

it('what comes and goes while it scores takes the score with it', async () => {
  const spec = scoring({}, '--held', 'held');
  const { folder } = await workshop.start(spec);
  while (!existsSync(join(folder, 'out', 'began'))) await sleep(20);
  const planted = join(place.packages, 'evil.pth');
  writeFileSync(planted, 'import os\n');
  rmSync(planted);
  writeFileSync(join(folder, 'out', 'go'), '');
  const status = await workshop.until(folder, ({ phase }) => phase === 'stopped' || phase === 'done');
  expect(status).toMatchObject(refused(/changed during the scoring, whose score does not count/));
});

it('an environment that is not what it was ends the retries: the study pauses, and a person looks', async () => {
  const study = { tag: 'nov21', workflowId: 'study-nov21', lab: '/lab', labId: 'abcd1234', base: 'base' };
  const machine = { device: 'x', torch: 'y' };
  const input = {
    study,
    number: 1,
    run: 1,
    commit: 'c',
    seed: 7,
    split: 'val' as const,
    budget: { steps: 1 },
    device: 'cpu',
    class: { ...machine, lab: '0', data: '0' },
  };
  const submission = join(runFolder(input), 'submission');
  mkdirSync(submission, { recursive: true });
  const { commit, seed, budget } = input;
  writeFileSync(`${runFolder(input)}.json`, JSON.stringify({ base: study.base, commit, seed, budget }));
  for (const file of ['graph.json', 'weights.safetensors']) writeFileSync(join(submission, file), file);
  const evaluate = createEvaluate({
    runner: workshop.runner,
    comparableRuns: () => Promise.resolve({ own: [], parent: [] }),
    baselineRun: () => Promise.resolve(null),
    exportTree: async (_study, _commit, folder) => {
      cpSync(workshop.tree, folder, { recursive: true });
      return hashTree(folder);
    },
    resolveRun: async () => {
      await checkEnvironment(place.python);
      const lab = labOf([], ['python', '-c', HONEST]);
      return { python: place.python, data: workshop.data, lab, machine };
    },
  });
  const score = () =>
    new MockActivityEnvironment().run<[TrainInput], ScoreResult, typeof evaluate>(evaluate, input);
  const planted = join(place.packages, 'evil.pth');
  writeFileSync(planted, 'import os\n');
  await expect(score()).rejects.toMatchObject({
    type: 'EnvironmentChanged',
    nonRetryable: true,
    message: expect.stringMatching(/evil\.pth is new\. Nothing is scored with it\. .*Then resume$/),
  });
  rmSync(planted);
  expect(await score()).toMatchObject({ failure: null, score: 1.5 });
});

it.each([
  ['its score.py', 'candidate.py', /candidate\.py has other contents/],
  ['a module beside it that Python finds first', 'json.py', /json\.py is new/],
  ['bytecode beside it', '__pycache__/graph.pyc', /__pycache__\/graph\.pyc is new/],
])('%s, changed between export and scoring, scores nothing', async (_what, file, message) => {
  const tree = join(workshop.folder, `exported-${file.replaceAll('/', '-')}`);
  cpSync(workshop.tree, tree, { recursive: true });
  const blobs = await hashTree(tree);
  expect((await workshop.run(scoring({ tree, blobs }))).status).toMatchObject({ failure: null });
  mkdirSync(join(tree, file, '..'), { recursive: true });
  writeFileSync(join(tree, file), 'print(0)\n');
  const { status } = await workshop.run(scoring({ tree, blobs }));
  expect(status).toMatchObject(refused(message));
});
