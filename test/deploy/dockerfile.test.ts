/** The Dockerfile without an engine: linted, and what it copies is there. test/production runs its build stage. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { validate, ValidationSeverity } from 'dockerfile-utils';
import { packageRoot } from '../../src/process/package-root';
import { fromStage, isCopy, stages, text, words } from './dockerfile';

/** What .dockerignore lets through, at the top level: it lists what there is, after `*`. */
const sent = readFileSync(join(packageRoot(), '.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('!'))
  .map((line) => line.slice(1));

test('a linter accepts it', () => {
  const problems = validate(text).filter(({ severity }) => severity === ValidationSeverity.ERROR);
  expect(problems).toEqual([]);
  expect(validate('FROM a\nRUNN b')).not.toEqual([]);
});

test('every source is in the repository and sent to the engine; every copied stage exists', () => {
  const copies = stages.flatMap((stage) => stage.steps).filter(isCopy);
  const names = copies.map(fromStage).filter((stage) => stage !== undefined);
  expect(stages.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
  const sources = copies
    .filter((step) => fromStage(step) === undefined)
    .flatMap((step) => words(step).slice(0, -1));
  expect(sources.filter((source) => !existsSync(join(packageRoot(), source)))).toEqual([]);
  expect(sources.filter((source) => !sent.includes(source.split('/')[0]!))).toEqual([]);
  expect(sources.length).toBeGreaterThan(5);
});

test('ends as a plain user, on one base with a version', () => {
  expect(new Set(stages.map(({ image }) => image)).size).toBe(1);
  expect(stages[0]?.image).toMatch(/^node:\d+\.\d+\.\d+-/u);
  const users = stages.at(-1)?.steps.filter((step) => step.getKeyword() === 'USER');
  expect(users?.map(words)).toEqual([['node']]);
});

test('the last stage has what runs need beside the trainer: a sandbox and a compiler for torch.compile', () => {
  const installed = stages.at(-1)?.steps.find((step) => step.getKeyword() === 'RUN');
  expect(installed === undefined ? [] : words(installed)).toEqual(
    expect.arrayContaining(['bubblewrap', 'git', 'python3', 'g++', 'libc6-dev', 'python3-dev']),
  );
});
