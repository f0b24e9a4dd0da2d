import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, isOfEarlierLife, ownerOf, terminate } from '../../src/process/owner';

async function printed(child: { stdout: NodeJS.ReadableStream }): Promise<string> {
  const [line]: unknown[] = await once(child.stdout, 'data');
  return String(line).trim();
}

describe('owner', () => {
  it('differs from another process with the same pid, and from one of another boot', () => {
    const self = ownerOf(process.pid)!;
    expect(isAlive(self)).toBe(true);
    expect(isAlive({ ...self, startTime: '1' })).toBe(false);
    expect(isAlive({ ...self, bootId: 'another' })).toBe(false);
  });

  it('is of an earlier life if machine or container have started since', () => {
    const self = ownerOf(process.pid)!;
    expect(isOfEarlierLife(self)).toBe(false);
    expect(isOfEarlierLife(ownerOf(1)!)).toBe(false);
    expect(isOfEarlierLife({ ...self, bootId: 'another' })).toBe(true);
    // A container has its host's boot id and its own process 1.
    const begun = Number(ownerOf(1)!.startTime);
    expect(isOfEarlierLife({ ...self, startTime: String(begun - 1) })).toBe(true);
  });

  it('is not alive as a zombie, which still accepts a signal', async () => {
    // Python never waits for its child.
    const code =
      'import os,time\npid=os.fork()\nif pid==0: os._exit(0)\nprint(pid,flush=True)\ntime.sleep(60)';
    const parent = spawn('python3', ['-c', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    const zombie = Number(await printed(parent));
    while (ownerOf(zombie) !== null) await sleep(10);
    expect(process.kill(zombie, 0)).toBe(true);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
  });

  it('is found if its name has spaces and parentheses', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'owner-'));
    const name = join(folder, 'a) b (c');
    copyFileSync('/bin/sleep', name);
    chmodSync(name, 0o755);
    const child = spawn(name, ['60']);
    await once(child, 'spawn');
    const owner = ownerOf(child.pid!)!;
    expect(owner.startTime).toMatch(/^\d{3,}$/);
    const ended = once(child, 'exit');
    await terminate(owner, { graceMs: 60_000 });
    expect(await ended).toEqual([null, 'SIGTERM']);
    rmSync(folder, { recursive: true });
  });

  it('ends although it ignores SIGTERM and is stopped; ending it twice is no error', async () => {
    const child = spawn('sh', ['-c', "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]);
    await printed(child);
    const owner = ownerOf(child.pid!)!;
    process.kill(owner.pid, 'SIGSTOP');
    await terminate(owner, { graceMs: 200 });
    expect(isAlive(owner)).toBe(false);
    await terminate(owner, { graceMs: 200 });
  });
});
