/** How much of the questions the API's prompt cache serves during a study of the default lab. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLabConfig } from '../../../src/labs/lab-yaml';
import { packageRoot } from '../../../src/process/package-root';
import type { ExperimentRecord } from '../../../src/domain/experiment';
import { answer, toolUse } from '../../messages-api/reply';
import { ask, asked, propose, serve } from './asking';
import { madeRecord } from './records';

const trainer = (name: string): string => readFileSync(join(packageRoot(), 'trainer', name), 'utf8');

/** The fraction of input tokens read from the cache. @param minutes between two experiments */
async function hitRate(experiments: number, minutes: number): Promise<number> {
  let now = 0;
  const api = await serve(
    (_request, index) =>
      index % 3 === 0
        ? answer(toolUse('read_file', { path: 'train.py', first: 1, last: 60 }))
        : answer(propose({ ideas: [], idea: null })),
    { now: () => now },
  );
  const history: ExperimentRecord[] = [madeRecord(0)];
  let train = trainer('train.py');
  for (let number = 1; number <= experiments; number++) {
    // Each first proposal is refused once: three calls per experiment.
    let checks = 0;
    const check = () =>
      Promise.resolve(checks++ === 0 ? { kind: 'repeat' as const, message: 'that was #1' } : null);
    await ask(
      await asked(
        {
          lab: parseLabConfig(trainer('lab.yaml')),
          program: trainer('program.md'),
          incumbent: { commit: 'i'.repeat(40), files: { 'train.py': train } },
          check,
        },
        [...history],
      ),
    );
    const begun = now;
    now += minutes * 60_000;
    const record = madeRecord(number, {
      startedAt: new Date(begun).toISOString(),
      finishedAt: new Date(now).toISOString(),
    });
    history.push(record);
    if (record.verdict === 'keep') train += `# kept ${number}\n`;
  }
  expect(api.refused).toEqual([]);
  const usages = api.served.map(({ usage }) => usage!);
  const read = usages.reduce((sum, usage) => sum + usage.cache_read_input_tokens, 0);
  const all = usages.reduce(
    (sum, usage) =>
      sum + usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens,
    0,
  );
  await api.stop();
  return read / all;
}

test('most of a question comes from the cache, with experiments of two minutes or seven', async () => {
  const [quick, usual] = [await hitRate(20, 2), await hitRate(20, 7)];
  expect(quick).toBeGreaterThan(0.8);
  expect(usual).toBeGreaterThan(0.8);
});
