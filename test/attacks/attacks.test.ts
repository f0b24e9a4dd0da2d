/** The suite of attacks on the sandbox, and honest work in the same walls: main.mjs plays them. Needs a build. */
import { spawnSync } from 'node:child_process';
import { z } from 'zod';
import { asset } from '../../src/process/package-root';

jest.setTimeout(600_000);

const worldSchema = z.object({
  worker: z.number(),
  owner: z.number(),
  attacks: z.number(),
  honest: z.string().nullable(),
  faults: z.array(z.string()),
  through: z.array(z.string()).default([]),
});

function play(...words: string[]): z.infer<typeof worldSchema>[] {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [asset('test', 'attacks', 'main.mjs'), '--json', ...words],
    { encoding: 'utf8' },
  );
  if (stdout === '') throw new Error(`the attacks were not played: ${stderr}`);
  return z.array(worldSchema).parse(JSON.parse(stdout));
}

const own = process.getuid?.() ?? 0;
const uids = own === 0 ? [0, 65_534] : [own];
const pairs = uids.flatMap((worker) => uids.map((owner) => ({ worker, owner })));

test('no attack gets through, whoever works and whoever owns the folders, and honest work is done', () => {
  const python = process.env['AUTORESEARCH_PYTHON'];
  const worlds = play(...(python === undefined ? [] : ['--python', python]));
  expect(worlds.flatMap(({ faults }) => faults)).toEqual([]);
  expect(worlds).toMatchObject(pairs);
  for (const { attacks } of worlds) expect(attacks).toBeGreaterThanOrEqual(40);
  if (python !== undefined) expect(worlds[0]?.honest).toContain('honest work done');
});

test('the attacks are real: without capabilities dropped and without the filter they get through', () => {
  const worlds = play('--open');
  for (const { worker, through } of worlds) {
    expect(through).toEqual(
      expect.arrayContaining([
        'new namespaces by unshare',
        'new namespaces by clone',
        'new namespaces by clone3',
        'programs that unshare',
        'keyrings',
      ]),
    );
    if (worker === 0)
      expect(through).toEqual(
        expect.arrayContaining([
          'capabilities',
          'remount writable',
          'mounts',
          'device files changed',
          'settings of the kernel',
        ]),
      );
  }
  const [first] = worlds;
  if (first?.worker === 0)
    expect(first.through).toEqual(expect.arrayContaining(['the lab', 'environment of python']));
});
