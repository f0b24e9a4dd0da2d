/** One at a time on this host: work that a second process must wait for. The kernel frees the lock if we die. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { asset } from './package-root';
import { MissingPrerequisite } from './missing-prerequisite';

/**
 * Runs `work` while holding `lock`.
 * @param onWait told once if another process holds the lock
 */
export async function exclusively<T>(lock: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(lock), { recursive: true });
  const holder = spawn('python3', ['-I', '-S', asset('src', 'process', 'lock.py'), lock], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(holder, 'exit');
  try {
    await once(holder, 'spawn');
    let held = false;
    for await (const line of createInterface(holder.stdout)) {
      if (line === 'waiting') onWait();
      held = line === 'held';
      if (held) break;
    }
    if (!held) throw new Error(`cannot lock ${lock}: python3 failed, see above`);
    return await work();
  } catch (error) {
    if (holder.pid !== undefined) throw error;
    throw new MissingPrerequisite('python3 is not on PATH', 'install Python 3.11 or newer as python3', {
      cause: error,
    });
  } finally {
    holder.stdin.end();
    await exited.catch(() => undefined);
  }
}
