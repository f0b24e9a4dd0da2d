import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { holderOf, launch } from '../../src/process/detach';
import { JsonFileError, readJson, writeJsonAtomic } from '../../src/process/json-file';
import { isAlive, ownerOf, terminate, type Owner } from '../../src/process/owner';

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
  const end = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('waited for 10 s in vain');
    await sleep(20);
  }
}

describe('launch', () => {
  it('gives one process for ten simultaneous launches', async () => {
    const owners = await Promise.all(Array.from({ length: 10 }, () => start(['sleep', '60'])));
    const ours = owners.filter((owner) => owner !== null);
    expect(ours).toHaveLength(1);
    expect(await holderOf(join(folder, 'lock'))).toEqual({ ...ours[0], name: 'test' });
  });

  it('keeps pid and start time over the exec, in a session of its own, and frees the lock when killed', async () => {
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

  it('waits for a further lock, says so, and goes on when it is free', async () => {
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

  it('does not hand its lock on to children of a Node process', async () => {
    const script =
      "require('node:child_process').spawn('sleep',['60'],{detached:true,stdio:'ignore'}).unref();console.log(1)";
    const owner = (await start([process.execPath, '-e', `const c=${script}`]))!;
    await until(() => !isAlive(owner));
    expect(await start(['sleep', '60'])).not.toBeNull();
  });

  it('says what could not be started', async () => {
    await expect(start(['/no/such/program'])).rejects.toThrow(
      /cannot start \/no\/such\/program: .*No such file/,
    );
    await expect(start(['sleep', '60'], { lock: '.' })).rejects.toThrow(/Is a directory/);
  });
});

describe('owner', () => {
  it('does not take another process with the pid, another boot or a zombie for the owner', async () => {
    const self = ownerOf(process.pid)!;
    expect(isAlive(self)).toBe(true);
    expect(isAlive({ ...self, startTime: '1' })).toBe(false);
    expect(isAlive({ ...self, bootId: 'another' })).toBe(false);
    // python never waits for its child, so that it stays a zombie
    const code =
      'import os,sys,time\npid=os.fork()\nif pid==0: os._exit(0)\nprint(pid,flush=True)\ntime.sleep(60)';
    const parent = spawn('python3', ['-c', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(parent.stdout, 'data');
    const zombie = Number(String(line));
    await until(() => ownerOf(zombie) === null);
    expect(process.kill(zombie, 0)).toBe(true);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
  });

  it('reads the start time behind a name with spaces and parentheses', async () => {
    const name = join(folder, 'a) b (c');
    await writeFile(name, '#!/bin/sh\nsleep 60\n', { mode: 0o755 });
    const owner = (await start([name]))!;
    expect(ownerOf(owner.pid)).toEqual(owner);
  });

  it('ends what ignores SIGTERM, and what is stopped', async () => {
    const deaf = (await start(['sh', '-c', "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]))!;
    await until(async () => (await readFile(join(folder, 'log'), 'utf8')) === 'deaf\n');
    process.kill(deaf.pid, 'SIGSTOP');
    await terminate(deaf, { graceMs: 200 });
    expect(isAlive(deaf)).toBe(false);
    await terminate(deaf, { graceMs: 200 });
  });
});

describe('json files', () => {
  const schema = z.strictObject({ a: z.number() });

  it('round-trips, replaces, and knows absent from broken', async () => {
    const path = join(folder, 'x.json');
    expect(await readJson(path, schema)).toBeNull();
    await writeJsonAtomic(path, { a: 1 });
    await writeJsonAtomic(path, { a: 2 });
    expect(await readJson(path, schema)).toEqual({ a: 2 });
    await writeFile(path, '{"a":');
    await expect(readJson(path, schema)).rejects.toThrow(JsonFileError);
    await writeFile(path, '{"a":"1"}');
    await expect(readJson(path, schema)).rejects.toThrow(`${path}: a: `);
  });
});
