/** Runs work that only one process on this host may do at a time. The kernel frees the lock if this process dies. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { MissingPrerequisite } from './missing-prerequisite';
import { asset } from './package-root';

/**
 * Runs `work` while a helper process holds `lock`: `cat`, which ends when this process closes its stdin or dies.
 * @param onWait called once if another process holds the lock
 */
export async function exclusively<T>(lock: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(lock), { recursive: true });
  const task = {
    lock: null,
    name: 'autoresearch',
    wait: [lock],
    queued: null,
    adopt: false,
    command: ['cat'],
  };
  const script = asset('src', 'process', 'lock-and-exec.py');
  const holder = spawn('python3', ['-I', '-S', script, JSON.stringify(task)], {
    stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
  });
  const exited = once(holder, 'exit');
  exited.catch(() => undefined);
  try {
    await once(holder, 'spawn');
    const report = holder.stdio[3];
    if (!(report instanceof Readable)) throw new Error('expected a pipe from lock-and-exec.py');
    let held = false;
    let failure = 'see above';
    // The report ends when `cat` starts, which closes its descriptor.
    for await (const line of createInterface(report)) {
      if (line === 'queued') onWait();
      held ||= line === 'locked';
      if (line.startsWith('failed ')) failure = line.slice('failed '.length);
    }
    if (!held) throw new Error(`cannot lock ${lock}: ${failure}`);
    return await work();
  } catch (error) {
    if (holder.pid !== undefined) throw error;
    throw new MissingPrerequisite('python3 is not on PATH', 'install Python 3.11 or newer as python3', {
      cause: error,
    });
  } finally {
    holder.stdin?.end();
    await exited.catch(() => undefined);
  }
}
