import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { holderOf, launch } from '../../src/process/detach';
import { readJson, writeJsonAtomic } from '../../src/process/json-file';
import { isAlive, terminate, type Owner } from '../../src/process/owner';
import { packageRoot } from '../../src/process/package-root';

let folder: string;
const started: Owner[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detach-'));
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((owner) => terminate(owner, { graceMs: 0 })));
  await rm(folder, { recursive: true, force: true });
});

async function start(command: string[], more: { lock?: string; waitFor?: string[]; name?: string } = {}) {
  const { lock = 'lock', waitFor = [], name = 'test' } = more;
  const owner = await launch({
    command,
    cwd: folder,
    env: process.env,
    log: join(folder, 'log'),
    lock: join(folder, lock),
    name,
    waitFor: waitFor.map((file) => join(folder, file)),
    queued: { file: join(folder, 'queued.json'), content: { phase: 'queued' } },
  });
  if (owner !== null) started.push(owner);
  return owner;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('waited for a minute in vain');
    await sleep(20);
  }
}

describe('launch', () => {
  it('starts one process for ten simultaneous launches', async () => {
    const owners = await Promise.all(Array.from({ length: 10 }, () => start(['sleep', '60'])));
    const ours = owners.filter((owner) => owner !== null);
    expect(ours).toHaveLength(1);
    expect(await holderOf(join(folder, 'lock'))).toEqual({ ...ours[0], name: 'test' });
  });

  it('has the same pid and start time after exec, its own session, and frees the lock when killed', async () => {
    const owner = (await start(['sh', '-c', 'echo said; exec sleep 60']))!;
    expect(isAlive(owner)).toBe(true);
    const stat = await readFile(`/proc/${owner.pid}/stat`, 'utf8');
    expect(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]).toBe(String(owner.pid));
    await until(async () => (await readFile(join(folder, 'log'), 'utf8')) === 'said\n');
    expect(await start(['sleep', '60'])).toBeNull();
    await terminate(owner, { graceMs: 0 });
    expect(await holderOf(join(folder, 'lock'))).toBeNull();
    expect(await start(['sleep', '60'])).not.toBeNull();
  });

  it('waits for a second lock, reports it, and continues when it is free', async () => {
    const first = (await start(['sleep', '60'], { lock: 'device', name: 'nov21/0001 run 1' }))!;
    const second = (await start(['sh', '-c', 'touch began; exec sleep 60'], { waitFor: ['device'] }))!;
    expect((await holderOf(join(folder, 'device')))?.name).toBe('nov21/0001 run 1');
    const queued = await readJson(join(folder, 'queued.json'), z.unknown());
    expect(queued).toEqual({ phase: 'queued', owner: second });
    await expect(readFile(join(folder, 'began'))).rejects.toThrow('ENOENT');
    await terminate(first, { graceMs: 0 });
    await until(() =>
      readFile(join(folder, 'began')).then(
        () => true,
        () => false,
      ),
    );
    expect(isAlive(second)).toBe(true);
    expect((await holderOf(join(folder, 'device')))?.pid).toBe(second.pid);
  });

  it('does not pass its lock to children of a Node process', async () => {
    const script =
      "require('node:child_process').spawn('sleep',['60'],{detached:true,stdio:'ignore'}).unref();console.log(1)";
    const owner = (await start([process.execPath, '-e', `const c=${script}`]))!;
    await until(() => !isAlive(owner));
    expect(await start(['sleep', '60'])).not.toBeNull();
  });

  it('reports a command that cannot be started', async () => {
    await expect(start(['/no/such/program'])).rejects.toThrow(
      /cannot start \/no\/such\/program: .*No such file/,
    );
    await expect(start(['sleep', '60'], { lock: '.' })).rejects.toThrow(/Is a directory/);
  });

  it('does not start a command that has begun before, unless it never began', async () => {
    const queued = join(folder, 'queued.json');
    const first = (await start(['sleep', '60']))!;
    await terminate(first, { graceMs: 0 });
    const second = (await start(['sleep', '60']))!;
    await terminate(second, { graceMs: 0 });
    await writeJsonAtomic(queued, { phase: 'done' });
    expect(await start(['sleep', '60'])).toBeNull();
    expect(await readJson(queued, z.unknown())).toEqual({ phase: 'done' });
  });

  it('closes the pipes of its parent', async () => {
    const parent = spawn(process.execPath, ['-e', LAUNCH, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: packageRoot(),
    });
    // Ends when the last process with the pipe does.
    expect((await text(parent.stdout)).trim()).toBe('launched');
    const holder = (await holderOf(join(folder, 'lock')))!;
    started.push({ pid: holder.pid, startTime: holder.startTime, bootId: holder.bootId });
  });
});

/** Launches from another process, whose inherited descriptors the child must not get. */
const LAUNCH = `
  const { spawn } = require('node:child_process');
  const [folder] = process.argv.slice(1);
  const lock = folder + '/lock';
  const task = { lock, name: 'x', wait: [], queued: null, adopt: false, command: ['sleep', '60'] };
  const args = ['-I', '-S', 'src/process/lock-and-exec.py', JSON.stringify(task)];
  const stdio = ['ignore', 'ignore', 'inherit', 'pipe', 'ignore', 'ignore', 'ignore', 'ignore', 'ignore', 1];
  const child = spawn('python3', args, { detached: true, stdio });
  child.stdio[3].resume().on('close', () => { console.log('launched'); process.exit(); });
`;
