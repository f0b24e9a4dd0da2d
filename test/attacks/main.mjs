/**
 * Attacks the sandbox from inside: `node test/attacks/main.mjs [--device cuda:0] [--python PYTHON] [--json] [--open]`.
 *
 * Needs a build (dist/), bubblewrap and Python; as root it plays all pairs of a worker and an owner of the folders, root
 * and nobody, otherwise the user itself. `--python` names an interpreter with torch: then honest work must succeed in
 * the same walls, on the device. `--open` takes the newer walls away, to show that the attacks are real.
 * Exits 1 if an attack got through, was refused in another way than expected, or left a marker on the host.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Contained } from '../../dist/runner/contained.js';
import { gpuFiles, isGpu } from '../../dist/runner/gpu-file.js';
import { enclose, findSandbox } from '../../dist/runner/sandbox.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const NOBODY = 65_534;
const SCRATCH_BYTES = 64 << 20;
/** torch.compile needs more. */
const HONEST_SCRATCH_BYTES = 4 * 2 ** 30;
const SYSTEM_PYTHON = '/usr/bin/python3';
/** Where a marker would lie, beside the world's own folders. */
const HOST_FOLDERS = [
  '/',
  '/usr',
  '/usr/bin',
  '/usr/lib',
  '/usr/local/bin',
  '/etc',
  '/dev',
  '/dev/shm',
  '/run',
  '/tmp',
];
const SETTINGS = ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/pid_max'];

const { values: options } = parseArgs({
  options: {
    device: { type: 'string', default: 'cpu' },
    python: { type: 'string' },
    json: { type: 'boolean', default: false },
    open: { type: 'boolean', default: false },
    world: { type: 'string' },
    bystander: { type: 'string' },
  },
});

process.exitCode = options.world === undefined ? await attackAll() : await attackOne(options.world);

/** Plays every pair of worker and owner in a process of the worker's uid. */
async function attackAll() {
  const own = process.getuid();
  const uids = own === 0 ? [0, NOBODY] : [own];
  const worlds = [];
  for (const worker of uids) for (const owner of uids) worlds.push(await play(worker, owner));
  if (options.json) console.log(JSON.stringify(worlds));
  else for (const world of worlds) report(world);
  return worlds.some(({ faults }) => faults.length > 0) ? 1 : 0;
}

function report({ worker, owner, attacks, faults, honest }) {
  console.log(
    `worker uid ${worker}, folders of uid ${owner}: ${attacks} attacks, ${faults.length} faults${honest === '' ? '' : `; ${honest}`}`,
  );
  for (const fault of faults) console.log(`  ${fault}`);
}

async function play(worker, owner) {
  const folder = makeWorld(owner);
  const args = process.argv.slice(1);
  const own = process.getuid();
  const prefix =
    worker === own ? [] : ['setpriv', `--reuid=${worker}`, `--regid=${worker}`, '--clear-groups'];
  // Not a child of the worker, which ends its own.
  const bystander = start([...prefix, 'sleep', '3600'], { stdio: 'ignore' });
  const command = [
    ...prefix,
    process.execPath,
    ...args,
    '--world',
    folder,
    '--bystander',
    String(bystander.pid),
  ];
  const env = {
    ...process.env,
    ATTACK_SECRET: 'sk-1234',
    ...(worker === own ? {} : { HOME: '/nonexistent' }),
  };
  const child = start(command, { stdio: ['ignore', 'pipe', 'inherit'], env });
  const exit = once(child, 'exit');
  const said = await text(child.stdout);
  await exit;
  bystander.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
  try {
    return { worker, owner, ...JSON.parse(said) };
  } catch {
    return {
      worker,
      owner,
      attacks: 0,
      honest: '',
      faults: [`the attacks did not run: ${said.slice(0, 500)}`],
    };
  }
}

function start([program, ...words], how) {
  return spawn(program, words, how);
}

/** A lab, an environment, another run and a key, all of `owner`. */
function makeWorld(owner) {
  const folder = mkdtempSync(join(tmpdir(), 'attacks-'));
  for (const name of ['lab', 'other']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'lab', 'train.py'), 'honest = True\n');
  for (const name of ['inside.py', 'honest.py']) copyFileSync(join(HERE, name), join(folder, 'lab', name));
  writeFileSync(join(folder, 'other', 'weights'), 'weights');
  writeFileSync(join(folder, 'key'), 'sk-1234');
  const made = spawnSync(SYSTEM_PYTHON, ['-m', 'venv', '--without-pip', join(folder, 'env')], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`no Python environment could be made: ${made.stderr}`);
  chmodSync(folder, 0o755);
  if (process.getuid() === 0) chownAll(folder, owner);
  return folder;
}

function chownAll(path, uid) {
  lchownSync(path, uid, uid);
  const entries = readdirSync(path, { withFileTypes: true });
  for (const entry of entries) {
    if (entry.isDirectory()) chownAll(join(path, entry.name), uid);
    else lchownSync(join(path, entry.name), uid, uid);
  }
}

/** Prints one JSON object: what did not hold. */
async function attackOne(folder) {
  const { sandbox, detail } = await findSandbox();
  if (sandbox !== 'bubblewrap') throw new Error(`no sandbox to attack: ${detail}`);
  const faults = [];
  const marker = `attack-marker-${process.pid}`;
  const before = settings();
  const victims = await openVictims(marker, faults);
  const world = {
    folder,
    marker,
    other: join(folder, 'other'),
    key: join(folder, 'key'),
    pid: Number(options.bystander),
    hostPidNamespace: statSync('/proc/self/ns/pid').ino,
    hostUserNamespace: statSync('/proc/self/ns/user').ino,
    port: victims.port,
    abstract: marker,
    socket: victims.socket,
    gpu: isGpu(options.device) ? gpuFiles(options.device).at(-1) : null,
    scratchBytes: SCRATCH_BYTES,
    open: options.open,
    oomIsFixed: holdsResourceCapability(),
  };
  const room = (python, command, scratchBytes, env) => ({
    python,
    command,
    device: options.device,
    tree: join(folder, 'lab'),
    scratchBytes,
    scratch: '/nonexistent',
    folders: [],
    env,
  });
  const attacks = await inSandbox(
    room(join(folder, 'env', 'bin', 'python'), ['python', 'inside.py'], SCRATCH_BYTES, {
      ATTACK_WORLD: JSON.stringify(world),
    }),
  );
  const results = attacks.output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  const failed = results.filter(({ asExpected }) => !asExpected);
  for (const { attack, through, said } of failed)
    faults.push(`${attack}: ${through ? 'GOT THROUGH' : 'refused in another way than expected'}: ${said}`);
  if (attacks.exit.code !== 0)
    faults.push(`the attacks ended with ${JSON.stringify(attacks.exit)}: ${attacks.output.slice(-500)}`);
  faults.push(...traces(folder, marker), ...differences(before, settings()));
  victims.close();
  let honest = '';
  if (options.python !== undefined && canRun(options.python)) {
    const work = await inSandbox(room(options.python, ['python', 'honest.py'], HONEST_SCRATCH_BYTES, {}));
    honest = work.output.trim().split('\n').at(-1);
    if (work.exit.code !== 0) faults.push(`honest work failed: ${work.output.slice(-1500)}`);
  }
  console.log(
    JSON.stringify({
      attacks: results.length,
      honest,
      faults,
      through: results.filter((r) => r.through).map((r) => r.attack),
    }),
  );
  return 0;
}

/** The user nobody cannot run what lies in root's home. */
function canRun(python) {
  try {
    accessSync(python, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function inSandbox(room) {
  const enclosed = await enclose('bubblewrap', room);
  let output = '';
  const contained = await Contained.start(
    'bubblewrap',
    options.open ? withoutNewWalls(enclosed) : enclosed,
    (chunk) => (output += chunk.toString('utf8')),
    null,
  );
  const exit = await contained.exited;
  await contained.kill();
  return { exit, output };
}

/** As version 0.4 had it. */
function withoutNewWalls(enclosed) {
  const words = enclosed.argv
    .join('\n')
    .replace('--cap-drop\nALL\n', '')
    .replace(/--seccomp\n\d+\n/, '');
  return { ...enclosed, argv: words.split('\n'), filter: null, devices: [] };
}

/** Servers that no process inside may reach. */
async function openVictims(name, faults) {
  const socketFolder = mkdtempSync(join(tmpdir(), 'attacked-'));
  const socket = join(socketFolder, 'socket');
  const servers = [];
  for (const address of [{ port: 0, host: '127.0.0.1' }, { path: `\0${name}` }, { path: socket }]) {
    const server = createServer(() => faults.push('a server of the host was reached')).listen(address);
    await once(server, 'listening');
    servers.push(server);
  }
  return {
    port: servers[0].address().port,
    socket,
    close() {
      for (const server of servers) server.close();
      rmSync(socketFolder, { recursive: true, force: true });
    },
  };
}

function traces(folder, marker) {
  const found = [];
  if (commandLine(options.bystander) === '') found.push('a process of the host was ended');
  for (const place of [...HOST_FOLDERS, ...everyFolder(folder)])
    if (existsSync(join(place, marker)) || existsSync(join(place, `${marker}.pth`))) {
      found.push(`there is a marker in ${place}`);
      rmSync(join(place, marker), { force: true });
    }
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    if (Number(pid) !== process.pid && commandLine(pid).includes(`: ${marker}`))
      found.push(`process ${pid} was left behind`);
  return found;
}

function everyFolder(folder) {
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [folder, ...below.flatMap((entry) => everyFolder(join(folder, entry.name)))];
}

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** The host's, by name. */
function settings() {
  const modes = ['/dev/null', '/dev/zero', '/dev/urandom', '/dev/tty'].map((path) => [
    path,
    statSync(path).mode,
  ]);
  return Object.fromEntries([...modes, ...SETTINGS.map((path) => [path, readFileSync(path, 'utf8')])]);
}

function differences(before, after) {
  return Object.keys(before)
    .filter((name) => before[name] !== after[name])
    .map((name) => `${name} has changed`);
}

/** CAP_SYS_RESOURCE outside every user namespace: only with it the kernel fixes an oom_score_adj. */
function holdsResourceCapability() {
  const held = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const isOutside = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'));
  return isOutside && (BigInt(`0x${held}`) & (1n << 24n)) !== 0n;
}
