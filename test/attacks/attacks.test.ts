/** The suite of attacks on the sandbox, and honest work in the same walls: main.mjs plays them. Needs a build. */
import { spawnSync } from 'node:child_process';
import { z } from 'zod';
import { asset } from '../../src/process/package-root';

jest.setTimeout(600_000);

const worldSchema = z.object({
  worker: z.number(),
  owner: z.number(),
  attacks: z.number(),
  honest: z.string(),
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

test('no attack succeeds, as root or as another user, and honest work is done', () => {
  const python = process.env['AUTORESEARCH_PYTHON'];
  const worlds = play(...(python === undefined ? [] : ['--python', python]));
  expect(worlds.flatMap(({ faults }) => faults)).toEqual([]);
  expect(worlds).toMatchObject(pairs);
  for (const { attacks } of worlds) expect(attacks).toBeGreaterThanOrEqual(40);
  expect(worlds[0]?.honest).toMatch(python === undefined ? /^$/ : /honest work done/);
});

const BY_ANYBODY = [
  'new namespaces by unshare',
  'new namespaces by clone',
  'new namespaces by clone3',
  'programs that unshare',
  'keyrings',
];
const BY_ROOT = [
  'capabilities',
  'remount writable',
  'mounts',
  'device files changed',
  'settings of the kernel',
];
const ON_OWN_FOLDERS = ['the lab', 'environment of python'];

test('the attacks are real: without capabilities dropped and without the filter they get through', () => {
  const worlds = play('--open');
  expect(worlds).toMatchObject(pairs);
  for (const { worker, owner, through } of worlds) {
    const expected = [
      ...BY_ANYBODY,
      ...(worker === 0 ? BY_ROOT : []),
      ...(worker === 0 && owner === 0 ? ON_OWN_FOLDERS : []),
    ];
    expect(through).toEqual(expect.arrayContaining(expected));
  }
});
