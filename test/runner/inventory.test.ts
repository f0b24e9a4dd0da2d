import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  checkEnvironment,
  checkUnchanged,
  ensureInventory,
  inventoryFile,
  takeInventory,
} from '../../src/runner/inventory';
import { temporary } from '../labs/make-lab';

jest.setTimeout(120_000);

const cacheBefore = process.env['XDG_CACHE_HOME'];
afterAll(() => {
  if (cacheBefore === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = cacheBefore;
});

const root = temporary('environment');
let inventory: string | null = null;

/** A real environment with a package of two modules, and its inventory: made anew at the same place, it is what it was. */
async function made(): Promise<{ folder: string; python: string; packages: string }> {
  process.env['XDG_CACHE_HOME'] = join(root, 'cache');
  const folder = join(root, 'venv');
  rmSync(folder, { recursive: true, force: true });
  execFileSync('/usr/bin/python3', ['-m', 'venv', '--without-pip', folder]);
  const lib = join(folder, 'lib', readdirSync(join(folder, 'lib'))[0]!);
  const packages = join(lib, 'site-packages');
  mkdirSync(join(packages, 'torch'));
  writeFileSync(join(packages, 'torch', '__init__.py'), 'loss = 1.25\n');
  writeFileSync(join(packages, 'torch', 'nothing.py'), '');
  const python = join(folder, 'bin', 'python');
  if (inventory !== null) writeFileSync(inventoryFile(python), inventory);
  await ensureInventory(python);
  inventory ??= readFileSync(inventoryFile(python), 'utf8');
  return { folder, python, packages };
}

type Made = Awaited<ReturnType<typeof made>>;

const attacks: [string, RegExp, (place: Made) => void][] = [
  [
    'a .pth planted among the packages',
    /evil\.pth is new/,
    ({ packages }) => writeFileSync(join(packages, 'evil.pth'), 'import os\n'),
  ],
  [
    'a sitecustomize.py',
    /sitecustomize\.py is new/,
    ({ packages }) => writeFileSync(join(packages, 'sitecustomize.py'), ''),
  ],
  [
    'a module of the same size with its time put back',
    /torch\/__init__\.py has other contents/,
    ({ packages }) => {
      const file = join(packages, 'torch', '__init__.py');
      const { atime, mtime } = statSync(file);
      writeFileSync(file, 'loss = 0.25\n');
      utimesSync(file, atime, mtime);
    },
  ],
  [
    'a module replaced by another file with its time put back',
    /torch\/__init__\.py has other contents/,
    ({ packages }) => {
      const file = join(packages, 'torch', '__init__.py');
      const { atime, mtime } = statSync(file);
      writeFileSync(`${file}.new`, 'loss = 0.25\n');
      utimesSync(`${file}.new`, atime, mtime);
      renameSync(`${file}.new`, file);
    },
  ],
  [
    'a module hidden among bytecode',
    /__pycache__\/evil\.py is new/,
    ({ packages }) => {
      mkdirSync(join(packages, 'torch', '__pycache__'));
      writeFileSync(join(packages, 'torch', '__pycache__', 'evil.py'), '');
    },
  ],
  [
    'bytecode without a source',
    /torch\/evil\.pyc is new/,
    ({ packages }) => writeFileSync(join(packages, 'torch', 'evil.pyc'), ''),
  ],
  [
    'another interpreter',
    /bin\/python3? is of another kind/,
    ({ python }) => {
      const real = realpathSync(python);
      rmSync(python);
      copyFileSync(real, python);
      chmodSync(python, 0o755);
    },
  ],
  [
    'another interpreter behind the link',
    /bin\/python3? has other contents/,
    ({ python }) => {
      rmSync(python);
      execFileSync('ln', ['-s', '/bin/sh', python]);
    },
  ],
  [
    'the environment led elsewhere',
    /pyvenv\.cfg has other contents/,
    ({ folder }) => writeFileSync(join(folder, 'pyvenv.cfg'), 'home = /elsewhere\n'),
  ],
  [
    'a module taken away, so that another is found',
    /torch\/nothing\.py is gone/,
    ({ packages }) => rmSync(join(packages, 'torch', 'nothing.py')),
  ],
];

test.each(attacks)('%s: refused, and by name', async (_what, message, attack) => {
  const place = await made();
  await checkEnvironment(place.python);
  attack(place);
  const refused = expect.objectContaining({
    name: 'EnvironmentChanged',
    message: expect.stringMatching(message),
  });
  await expect(checkEnvironment(place.python)).rejects.toEqual(refused);
  // Asking for an inventory again does not make it true.
  await ensureInventory(place.python);
  await expect(checkEnvironment(place.python)).rejects.toEqual(refused);
});

test('a folder on the path that was not there and is now: refused', async () => {
  const { python } = await made();
  const { roots } = JSON.parse(readFileSync(inventoryFile(python), 'utf8')) as { roots: string[] };
  // The zip of the standard library comes before the standard library itself.
  expect(roots).toContainEqual(expect.stringMatching(/python3\d+\.zip$/));
});

test('the message says what to do, and what it says works', async () => {
  const { python, packages } = await made();
  writeFileSync(join(packages, 'upgraded.py'), '');
  const said = await checkEnvironment(python).catch((error: Error) => error.message);
  expect(said).toContain(`remove ${inventoryFile(python)} and run \`autoresearch up\``);
  rmSync(inventoryFile(python));
  await expect(checkEnvironment(python)).rejects.toThrow(
    'run `autoresearch up`, which takes one, then resume',
  );
  await ensureInventory(python);
  await checkEnvironment(python);
});

test('bytecode that was planted is not what runs, and that of anybody’s Python stops nothing', async () => {
  const { python, packages } = await made();
  const compile = () => execFileSync(python, ['-m', 'compileall', '-q', packages]);
  const loss = () => String(execFileSync(python, ['-IB', '-c', 'import torch; print(torch.loss)'])).trim();
  const file = join(packages, 'torch', '__init__.py');
  // As if the source were another one: the same size and time.
  const { atime, mtime } = statSync(file);
  writeFileSync(file, 'loss = 0.25\n');
  utimesSync(file, atime, mtime);
  compile();
  writeFileSync(file, 'loss = 1.25\n');
  utimesSync(file, atime, mtime);
  expect(loss()).toBe('0.25');
  await checkEnvironment(python);
  expect(loss()).toBe('1.25');
  compile();
  await checkEnvironment(python);
  await checkEnvironment(python);
});

test('a damaged inventory is none, and vouches for nothing', async () => {
  const { python } = await made();
  writeFileSync(inventoryFile(python), '{"format": 1}');
  await expect(checkEnvironment(python)).rejects.toThrow('there is no inventory');
});

test('files that are only linked, copied or touched are what they were, and read once for it', async () => {
  const { python, packages } = await made();
  const file = join(packages, 'torch', '__init__.py');
  linkSync(file, join(temporary(), 'linked.py'));
  utimesSync(join(packages, 'torch', 'nothing.py'), 1, 1);
  copyFileSync(file, `${file}.copy`);
  renameSync(`${file}.copy`, file);
  const before = readFileSync(inventoryFile(python), 'utf8');
  await checkEnvironment(python);
  const after = readFileSync(inventoryFile(python), 'utf8');
  expect(after).not.toBe(before);
  await checkEnvironment(python);
  expect(readFileSync(inventoryFile(python), 'utf8')).toBe(after);
});

test('what was there only while it scored is seen afterwards', async () => {
  const { python, packages } = await made();
  const before = await checkEnvironment(python);
  await checkUnchanged('the environment', before);
  writeFileSync(join(packages, 'evil.pth'), 'import os\n');
  rmSync(join(packages, 'evil.pth'));
  await expect(checkUnchanged('the environment', before)).rejects.toMatchObject({
    name: 'EnvironmentChanged',
    message: expect.stringContaining('changed during the scoring, whose score does not count'),
  });
});

test('packages of another installation inside the standard library are nobody’s here', async () => {
  const { python } = await made();
  await takeInventory(python);
  const { files } = JSON.parse(readFileSync(inventoryFile(python), 'utf8')) as { files: object };
  expect(Object.keys(files).some((path) => path.endsWith('/json/__init__.py'))).toBe(true);
  expect(Object.keys(files).filter((path) => /^\/usr\/.*\/dist-packages\//.test(path))).toEqual([]);
});
