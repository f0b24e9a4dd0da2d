/**
 * From a fresh clone to compiled code, with Node alone: checks what must be there, installs the npm packages and
 * builds, each only when its inputs have changed. What comes after is compiled TypeScript (src/setup).
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
/** `npm ci` and the build were done for these inputs. */
const PACKAGES_STAMP = join(root, 'node_modules', '.autoresearch-stamp');
const BUILD_STAMP = join(root, 'dist', '.stamp');
const BUILD_INPUTS = ['src', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];
const QUOTED_LINES = 30;

/** Ends this process with what happened, what was expected and what to do. */
function fail(message, todo) {
  console.error(`error: ${message}\n  → ${todo}`);
  process.exit(7); // a missing prerequisite, as in src/studies/errors.ts
}

function checkPrerequisites() {
  if (Number(process.versions.node.split('.')[0]) < NODE) {
    fail(
      `this is Node ${process.versions.node}, and ${NODE} or newer is needed`,
      'install it from https://nodejs.org',
    );
  }
  const git = spawnSync('git', ['--version'], { encoding: 'utf8' });
  const gitTodo = `install git ${GIT.join('.')} or newer (Debian, Ubuntu: apt-get install git)`;
  if (git.status !== 0) fail('git was not found', gitTodo);
  const [gitMajor = 0, gitMinor = 0] = (git.stdout.match(/\d+/gu) ?? []).map(Number);
  if (gitMajor < GIT[0] || (gitMajor === GIT[0] && gitMinor < GIT[1])) {
    fail(`this is ${git.stdout.trim()}, and ${GIT.join('.')} or newer is needed`, gitTodo);
  }
  const code = 'import sys; print(*sys.version_info[:2])';
  const python = spawnSync('python3', ['-I', '-S', '-c', code], { encoding: 'utf8' });
  const todo = `install Python ${PYTHON.join('.')} or newer as python3 (Debian, Ubuntu: apt-get install python3 python3-venv)`;
  if (python.status !== 0) fail('python3 was not found, or does not run', todo);
  const [major, minor] = python.stdout.trim().split(' ').map(Number);
  if (major !== PYTHON[0] || minor < PYTHON[1]) {
    fail(`python3 is Python ${major}.${minor}, and ${PYTHON.join('.')} or newer is needed`, todo);
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

/** Native packages are for one platform and one major version of Node. */
const packagesHash = () =>
  `${hashOf(['package-lock.json'])} ${process.platform}-${process.arch} node-${process.versions.modules}`;
const read = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

function packagesAreCurrent() {
  if (read(PACKAGES_STAMP) === packagesHash()) return true;
  // Installed by hand: npm leaves its own note of what it installed.
  const note = join(root, 'node_modules', '.package-lock.json');
  if (existsSync(PACKAGES_STAMP) || !existsSync(note)) return false;
  return statSync(note).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

const buildHash = () => `${hashOf(BUILD_INPUTS)} ${hashOf(['package-lock.json'])}`;
const buildIsCurrent = () => read(BUILD_STAMP) === buildHash() && existsSync(join(root, 'dist', 'build-id'));

/** Runs npm quietly and says how long it took; its words are shown only when it fails. */
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

/** One bootstrap of a checkout at a time, by the same lock that src/process/exclusive.ts uses. */
async function exclusively(work) {
  const id = createHash('sha256').update(root).digest('hex').slice(0, 12);
  const lock = join(tmpdir(), `autoresearch-${userInfo().uid}-${id}.lock`);
  const script = join(root, 'src', 'process', 'lock.py');
  const holder = spawn('python3', ['-I', '-S', script, lock], { stdio: ['pipe', 'pipe', 'inherit'] });
  for await (const line of createInterface(holder.stdout)) {
    if (line === 'held') break;
    console.log('another process sets this checkout up: waiting for it');
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
  await npm('build', ['run', 'build', '--silent'], 'mend what the compiler says above, then try again');
  writeFileSync(BUILD_STAMP, hash);
}

/** Takes well under a second when nothing has changed. */
async function bootstrap() {
  checkPrerequisites();
  if (packagesAreCurrent() && buildIsCurrent()) return;
  await exclusively(prepare);
}

/** Makes `dist/` current, runs `work`, and turns errors into words and an exit code as the CLI does. */
export async function main(work) {
  await bootstrap();
  try {
    process.exitCode = (await work()) ?? 0;
  } catch (error) {
    const { printError } = await compiled('cli/print-error.js');
    process.exitCode = printError(error, false);
  }
}

/** A module of `dist/`. */
export const compiled = async (path) => (await import(join(root, 'dist', path))).default;
