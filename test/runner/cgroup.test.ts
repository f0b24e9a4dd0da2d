import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { supervise } from '../../src/process/supervise';
import { Cgroup, NoCgroupError, type CgroupFiles } from '../../src/runner/cgroup';

/** A tree of plain files as the kernel shows cgroups: it stores what is written, and bounds nothing. */
let files: CgroupFiles;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cgroup-'));
  files = { mount: join(root, 'mount'), own: join(root, 'own') };
  cgroup('', 'memory pids');
  writeFileSync(join(files.mount, 'cgroup.controllers'), 'cpu memory pids\n');
  cgroup('slice', 'memory pids');
  cgroup('slice/runner', '');
  writeFileSync(files.own, '0::/slice/runner\n');
});
afterEach(() => rmSync(root, { recursive: true }));

function cgroup(path: string, enabled: string): string {
  const folder = join(files.mount, path);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'cgroup.procs'), '');
  writeFileSync(join(folder, 'cgroup.subtree_control'), `${enabled}\n`);
  return folder;
}

/** The kernel takes a cgroup's files away with it; plain ones must go first. */
async function remove(made: Cgroup): Promise<void> {
  for (const name of readdirSync(made.folder)) rmSync(join(made.folder, name));
  await made.remove();
}

const read = (folder: string, name: string): string => readFileSync(join(folder, name), 'utf8').trim();

test('a run gets one below its own, with limits, and none is left', async () => {
  const made = Cgroup.make(files);
  expect(dirname(made.folder)).toBe(join(files.mount, 'slice/runner'));
  expect(read(join(files.mount, 'slice/runner'), 'cgroup.subtree_control')).toBe('+memory +pids');
  expect(Number(read(made.folder, 'memory.max'))).toBe(Math.floor(totalmem() * 0.9));
  expect(read(made.folder, 'pids.max')).toBe('4096');
  expect(read(made.folder, 'memory.oom.group')).toBe('1');
  await remove(made);
  expect(readdirSync(join(files.mount, 'slice/runner'))).toEqual(['cgroup.procs', 'cgroup.subtree_control']);
});

test('or beside its own, where the kernel lets it have no children', async () => {
  // What a busy cgroup answers is EBUSY; a folder in the file's place refuses to be written as well.
  const control = join(files.mount, 'slice/runner/cgroup.subtree_control');
  rmSync(control);
  mkdirSync(control);
  const made = Cgroup.make(files);
  expect(dirname(made.folder)).toBe(join(files.mount, 'slice'));
  await remove(made);
});

test("one that a dead runner left is taken away, a living one's is not", async () => {
  const parent = join(files.mount, 'slice/runner');
  mkdirSync(join(parent, 'autoresearch-4194305'));
  mkdirSync(join(parent, 'autoresearch-1'));
  const made = Cgroup.make(files);
  expect(readdirSync(parent).filter((name) => name.startsWith('autoresearch-'))).toEqual([
    'autoresearch-1',
    `autoresearch-${process.pid}`,
  ]);
  await remove(made);
});

test('memory that ran out shows in the count of the cgroup', () => {
  const made = Cgroup.make(files);
  const events = (kills: number): void =>
    writeFileSync(join(made.folder, 'memory.events'), `max 7\noom 1\noom_kill ${kills}\noom_group_kill 0\n`);
  events(0);
  expect(made.hasRunOut()).toBe(false);
  events(1);
  expect(made.hasRunOut()).toBe(true);
});

test('a command begins in its cgroup', async () => {
  const { folder } = Cgroup.make(files);
  const procs = join(folder, 'cgroup.procs');
  writeFileSync(procs, '');
  const supervised = await supervise({ command: ['/bin/cat', procs], cgroup: folder });
  let said = '';
  supervised.supervisor.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  expect(await supervised.exited).toEqual({ code: 0, signal: null });
  // "0" means the process that writes it.
  expect(said).toBe('0');
});

test.each([
  ['no cgroup v2', () => rmSync(join(files.mount, 'cgroup.controllers')), /no cgroup v2 at/],
  ['one that is not shown', () => writeFileSync(files.own, '0::/../..\n'), /is not below/],
  ['cgroup v1 only', () => writeFileSync(files.own, '4:memory:/x\n'), /is not below/],
  [
    'no controllers',
    () => {
      for (const path of ['', 'slice', 'slice/runner']) cgroup(path, '');
      const own = join(files.mount, 'slice/runner/cgroup.subtree_control');
      rmSync(own);
      mkdirSync(own);
    },
    /cannot be written: /,
  ],
])('%s: says so', (_what, change, message) => {
  change();
  expect(() => Cgroup.make(files)).toThrow(NoCgroupError);
  expect(() => Cgroup.make(files)).toThrow(message);
});
