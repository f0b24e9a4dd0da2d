/**
 * A run's own cgroup, where this process may make one: there the kernel bounds the memory and the tasks of a run, and
 * says when memory ran out. cgroup v2 only; elsewhere the runner watches (watch.ts).
 *
 * A cgroup that holds processes cannot have children with limits, its root excepted, so a run's lies beside the
 * runner's more often than below it: in the first folder upwards that lets us.
 */
import { execFileSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from '../process/error-code';

/** Processes and threads of a run. torch starts a thread a core and more, in each worker of its compiler too. */
export const MAX_TASKS = 4096;
/** Of the host's memory, for one run; the rest is the worker's and the server's. */
const MEMORY_SHARE = 0.9;
const CONTROLLERS = ['memory', 'pids'];
const NAME = /^autoresearch-(\d+)$/;
/** How long the kernel may take to see that a cgroup is empty. */
const EMPTY_MS = 2_000;
const POLL_MS = 20;

/** Where the kernel tells of cgroups. */
export interface CgroupFiles {
  /** Where the hierarchy is mounted. */
  mount: string;
  /** Which cgroup this process is in. */
  own: string;
}

const KERNEL: CgroupFiles = { mount: '/sys/fs/cgroup', own: '/proc/self/cgroup' };

/** No cgroup can be had here; the message says why. */
export class NoCgroupError extends Error {
  override name = 'NoCgroupError';
}

export class Cgroup {
  private constructor(readonly folder: string) {}

  /** @throws NoCgroupError */
  static make(files: CgroupFiles = KERNEL): Cgroup {
    const own = ownFolder(files);
    let why = '';
    for (let parent = own; parent.startsWith(files.mount); parent = dirname(parent)) {
      const folder = join(parent, `autoresearch-${process.pid}`);
      try {
        prepare(parent, parent === own);
        mkdirSync(folder);
      } catch (error) {
        why ||= reason(error);
        continue;
      }
      try {
        bound(folder);
        return new Cgroup(folder);
      } catch (error) {
        why ||= reason(error);
        tryRemove(folder);
      }
    }
    throw new NoCgroupError(`cgroup v2 cannot be written: ${why}`);
  }

  /** Whether the kernel has killed somebody in it for lack of memory. */
  hasRunOut(): boolean {
    const kills = /^oom_kill (\d+)$/m.exec(readFileSync(join(this.folder, 'memory.events'), 'utf8'))?.[1];
    return Number(kills ?? 0) > 0;
  }

  /** Once nobody is left in it. One that stays is taken away by the next runner. */
  async remove(): Promise<void> {
    const end = performance.now() + EMPTY_MS;
    while (!tryRemove(this.folder) && performance.now() < end) await sleep(POLL_MS);
  }
}

function ownFolder({ mount, own }: CgroupFiles): string {
  if (!existsSync(join(mount, 'cgroup.controllers'))) throw new NoCgroupError(`no cgroup v2 at ${mount}`);
  const path = /^0::(\/.*)$/m.exec(readFileSync(own, 'utf8'))?.[1];
  if (path === undefined || path.split('/').includes('..'))
    throw new NoCgroupError(`the runner's cgroup is not below ${mount}`);
  return join(mount, path === '/' ? '' : path);
}

/** Takes away what killed runners left, and sees that children of a cgroup can have limits. */
function prepare(parent: string, mayEnable: boolean): void {
  // Whoever is moved needs this right in the cgroup above both.
  accessSync(join(parent, 'cgroup.procs'), constants.W_OK);
  for (const name of readdirSync(parent)) {
    const pid = NAME.exec(name)?.[1];
    if (pid !== undefined && (Number(pid) === process.pid || !existsSync(`/proc/${pid}`)))
      tryRemove(join(parent, name));
  }
  const control = join(parent, 'cgroup.subtree_control');
  const enabled = readFileSync(control, 'utf8').trim().split(' ');
  const missing = CONTROLLERS.filter((name) => !enabled.includes(name));
  if (missing.length === 0) return;
  // Those further up are others'.
  if (!mayEnable) throw new NoCgroupError(`${control} lacks ${missing.join(' and ')}`);
  writeFileSync(control, missing.map((name) => `+${name}`).join(' '));
}

function bound(folder: string): void {
  writeFileSync(join(folder, 'memory.max'), String(Math.floor(totalmem() * MEMORY_SHARE)));
  writeFileSync(join(folder, 'memory.oom.group'), '1');
  writeFileSync(join(folder, 'pids.max'), String(MAX_TASKS));
  // Missing where the kernel keeps no account of swap.
  if (existsSync(join(folder, 'memory.swap.max'))) writeFileSync(join(folder, 'memory.swap.max'), '0');
  // Whether somebody can be moved into it shows only by doing it.
  execFileSync('/bin/sh', ['-c', 'echo $$ >"$1"', 'sh', join(folder, 'cgroup.procs')], { stdio: 'pipe' });
}

function tryRemove(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    return errorCode(error) === 'ENOENT';
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
