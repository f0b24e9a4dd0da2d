/**
 * From a fresh clone to compiled code with Node alone: checks the prerequisites, installs the npm packages and builds, each
 * only if its inputs have changed. The rest of the set-up is compiled TypeScript (src/host).
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const NODE = 20;
const PYTHON = [3, 11];
const GIT = [2, 38]; // `worktree list -z`, `repack --geometric`; src/host/doctor-host.ts asks for the same
/** Hashes of the inputs of the last `npm ci` and build. */
const PACKAGES_STAMP = join(root, 'node_modules', '.autoresearch-stamp');
const BUILD_STAMP = join(root, 'dist', '.stamp');
const BUILD_INPUTS = ['src', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];
const QUOTED_LINES = 30;

/** Exits with an error message and its remedy. */
function fail(message, todo) {
  console.error(`error: ${message}\n  → ${todo}`);
  process.exit(7); // a missing prerequisite, as in src/studies/errors.ts
}

function checkPrerequisites() {
  if (Number(process.versions.node.split('.')[0]) < NODE) {
    fail(
      `this is Node ${process.versions.node}; expected ${NODE} or newer`,
      'install it from https://nodejs.org',
    );
  }
  const git = spawnSync('git', ['--version'], { encoding: 'utf8' });
  const gitTodo = `install git ${GIT.join('.')} or newer (Debian, Ubuntu: apt-get install git)`;
  if (git.status !== 0) fail('git is not on PATH', gitTodo);
  const [gitMajor = 0, gitMinor = 0] = (git.stdout.match(/\d+/gu) ?? []).map(Number);
  if (gitMajor < GIT[0] || (gitMajor === GIT[0] && gitMinor < GIT[1])) {
    fail(`this is ${git.stdout.trim()}; expected ${GIT.join('.')} or newer`, gitTodo);
  }
  const code = 'import sys; print(*sys.version_info[:2])';
  const python = spawnSync('python3', ['-I', '-S', '-c', code], { encoding: 'utf8' });
  const todo = `install Python ${PYTHON.join('.')} or newer as python3 (Debian, Ubuntu: apt-get install python3 python3-venv)`;
  if (python.status !== 0) fail('python3 is not on PATH or does not run', todo);
  const [major, minor] = python.stdout.trim().split(' ').map(Number);
  if (major !== PYTHON[0] || minor < PYTHON[1]) {
    fail(`python3 is Python ${major}.${minor}; expected ${PYTHON.join('.')} or newer`, todo);
  }
}

function hashOf(paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    const entries = statSync(join(root, path)).isDirectory()
      ? readdirSync(join(root, path), { recursive: true })
          .map((name) => join(path, name))
          .toSorted()
      : [path];
    for (const entry of entries) {
      if (!statSync(join(root, entry)).isFile() || entry.endsWith('.pyc')) continue;
      hash
        .update(entry)
        .update('\0')
        .update(readFileSync(join(root, entry)));
    }
  }
  return hash.digest('hex');
}

/** Native packages are built for one platform and one major version of Node. */
const packagesHash = () =>
  `${hashOf(['package-lock.json'])} ${process.platform}-${process.arch} node-${process.versions.modules}`;
const read = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

function packagesAreCurrent() {
  if (read(PACKAGES_STAMP) === packagesHash()) return true;
  // Installed by hand: npm writes this file itself.
  const note = join(root, 'node_modules', '.package-lock.json');
  if (existsSync(PACKAGES_STAMP) || !existsSync(note)) return false;
  return statSync(note).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

const buildHash = () => `${hashOf(BUILD_INPUTS)} ${hashOf(['package-lock.json'])}`;
const buildIsCurrent = () => read(BUILD_STAMP) === buildHash() && existsSync(join(root, 'dist', 'build-id'));

/** Runs npm quietly and prints the duration; prints npm's output only if it fails. */
async function npm(name, args, advice) {
  const began = performance.now();
  console.log(`${name} …`);
  const npmScript = process.env.npm_execpath;
  const [command, ...first] = npmScript?.endsWith('.js') ? [process.execPath, npmScript] : ['npm'];
  const child = spawn(command, [...first, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
  const [code] = await once(child, 'close').catch((error) => [error.message]);
  const seconds = Math.round((performance.now() - began) / 1000);
  if (code !== 0) {
    console.error(said.trim().split('\n').slice(-QUOTED_LINES).join('\n'));
    fail(`${name}: failed after ${seconds} s (npm ${args.join(' ')}: ${code})`, advice);
  }
  console.log(`${name}: done in ${seconds} s`);
}

/** Runs one bootstrap of a checkout at a time, with the lock of src/process/exclusive.ts. */
async function exclusively(work) {
  const id = createHash('sha256').update(root).digest('hex').slice(0, 12);
  const lock = join(tmpdir(), `autoresearch-${userInfo().uid}-${id}.lock`);
  const script = join(root, 'src', 'process', 'lock-and-exec.py');
  const task = { lock: null, name: 'set-up', wait: [lock], queued: null, adopt: false, command: ['cat'] };
  const holder = spawn('python3', ['-I', '-S', script, JSON.stringify(task)], {
    stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
  });
  for await (const line of createInterface(holder.stdio[3])) {
    if (line === 'queued') console.log('another process is setting up this checkout: waiting for it');
  }
  await work();
  holder.stdin.end();
}

async function prepare() {
  if (!packagesAreCurrent()) {
    await npm(
      'npm packages',
      ['ci', '--include=dev'],
      'check the network (and the registry that npm is set to), then try again',
    );
  }
  if (read(PACKAGES_STAMP) !== packagesHash()) writeFileSync(PACKAGES_STAMP, packagesHash());
  if (buildIsCurrent()) return;
  const hash = buildHash();
  mkdirSync(dirname(BUILD_STAMP), { recursive: true });
  rmSync(BUILD_STAMP, { force: true });
  await npm('build', ['run', 'build', '--silent'], 'fix the compiler errors above, then try again');
  writeFileSync(BUILD_STAMP, hash);
}

/** Takes well under a second if nothing has changed. */
async function bootstrap() {
  checkPrerequisites();
  if (packagesAreCurrent() && buildIsCurrent()) return;
  await exclusively(prepare);
}

/** Brings `dist/` up to date and runs `work`. Reports errors and sets the exit code as the CLI does. */
export async function main(work) {
  await bootstrap();
  try {
    process.exitCode = (await work()) ?? 0;
  } catch (error) {
    const { printError } = await compiled('cli/print-error.js');
    process.exitCode = printError(error, false);
  }
}

/** Imports a module of `dist/`. */
export const compiled = async (path) => (await import(join(root, 'dist', path))).default;
