/**
 * A cgroup for one run, where this process may create one: the kernel then bounds the run's memory and tasks, and reports
 * when memory ran out. cgroup v2 only; elsewhere watch.ts polls.
 *
 * A cgroup that holds processes cannot have children with limits, its root excepted, so a run's
 * cgroup is usually a sibling of the runner's: it is made in the first writable folder upwards.
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
/** One run's share of the host's memory; the rest is for worker and server. */
const MEMORY_SHARE = 0.9;
const CONTROLLERS = ['memory', 'pids'];
const NAME = /^autoresearch-(\d+)$/;
/** How long the kernel may take to empty a cgroup. */
const EMPTY_MS = 2_000;
const POLL_MS = 20;

/** The kernel's files about cgroups. */
export interface CgroupFiles {
  /** Where the hierarchy is mounted. */
  mount: string;
  /** Names the cgroup of this process. */
  own: string;
}

const KERNEL: CgroupFiles = { mount: '/sys/fs/cgroup', own: '/proc/self/cgroup' };

/** This host allows no cgroup; the message says why. */
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

  /** True if the kernel killed a process in it for lack of memory. */
  hasRunOut(): boolean {
    const kills = /^oom_kill (\d+)$/m.exec(readFileSync(join(this.folder, 'memory.events'), 'utf8'))?.[1];
    return Number(kills ?? 0) > 0;
  }

  /** Removes it once it is empty. The next runner removes one that stays. */
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

/** Removes the cgroups of killed runners, and enables limits for children of this cgroup. */
function prepare(parent: string, mayEnable: boolean): void {
  // Moving a process needs write access to the cgroup above both.
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
  // Cgroups further up belong to other services.
  if (!mayEnable) throw new NoCgroupError(`${control} lacks ${missing.join(' and ')}`);
  writeFileSync(control, missing.map((name) => `+${name}`).join(' '));
}

function bound(folder: string): void {
  writeFileSync(join(folder, 'memory.max'), String(Math.floor(totalmem() * MEMORY_SHARE)));
  writeFileSync(join(folder, 'memory.oom.group'), '1');
  writeFileSync(join(folder, 'pids.max'), String(MAX_TASKS));
  // Missing where the kernel does not account for swap.
  if (existsSync(join(folder, 'memory.swap.max'))) writeFileSync(join(folder, 'memory.swap.max'), '0');
  // Only a trial shows whether a process can be moved into it.
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
