/**
 * Identifies a process by pid, start time and boot id. The kernel reuses pids, and a zombie still answers
 * `kill(pid, 0)`, so a pid alone is not enough.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { errorCode } from './error-code';

export const ownerSchema = z.strictObject({
  pid: z.int().positive(),
  /** On Linux clock ticks since boot (field 22 of /proc/PID/stat), elsewhere the start date that ps prints. */
  startTime: z.string(),
  bootId: z.string(),
});
export type Owner = z.infer<typeof ownerSchema>;

const LINUX = process.platform === 'linux';
/** A process that survives SIGKILL for this long hangs in the kernel (a dead disk, a dead driver). */
const UNKILLABLE_MS = 30_000;
const POLL_MS = 20;

/** The process with this pid; null if there is none, or only a zombie. */
export function ownerOf(pid: number): Owner | null {
  const startTime = LINUX ? linuxStartTime(pid) : otherStartTime(pid);
  return startTime === null ? null : { pid, startTime, bootId: bootId() };
}

export const isSame = (one: Owner, other: Owner): boolean =>
  one.pid === other.pid && one.startTime === other.startTime && one.bootId === other.bootId;

/** True if this process is running and not a zombie. */
export function isAlive(owner: Owner): boolean {
  const now = ownerOf(owner.pid);
  return now !== null && isSame(now, owner);
}

/** True if it ran before the last boot, or on another machine. */
export const isOfOtherBoot = (owner: Owner): boolean => owner.bootId !== bootId();

/**
 * True if the machine or container has restarted since, which ended all its processes. A container has its host's boot id,
 * but no process in it is older than its process 1.
 */
export function isOfEarlierLife(owner: Owner): boolean {
  if (isOfOtherBoot(owner)) return true;
  const first = LINUX ? linuxStartTime(1) : null;
  return first !== null && Number(owner.startTime) < Number(first);
}

/**
 * Ends a process, or the process group that it leads: SIGTERM, then SIGKILL after `graceMs`. Resolves when the process is
 * gone. Kills the rest of a group whose leader has ended.
 * @throws Error if SIGKILL does not end it within 30 s, or it belongs to another user
 */
export async function terminate(
  owner: Owner,
  { graceMs, group = false }: { graceMs: number; group?: boolean },
): Promise<void> {
  if (!isAlive(owner)) return;
  const target = group ? -owner.pid : owner.pid;
  send(target, 'SIGTERM');
  // A stopped process receives SIGTERM only after SIGCONT.
  send(target, 'SIGCONT');
  const gone = await goneWithin(owner, graceMs);
  if (!gone || group) send(target, 'SIGKILL');
  if (gone || (await goneWithin(owner, UNKILLABLE_MS))) return;
  throw new Error(
    `process ${owner.pid} did not end within ${UNKILLABLE_MS / 1000} s of SIGKILL: it hangs in the kernel`,
  );
}

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

/** Waits up to `ms` for a process to end. Returns false if it is still running. */
export async function goneWithin(owner: Owner, ms: number): Promise<boolean> {
  const end = performance.now() + ms;
  while (isAlive(owner)) {
    if (performance.now() >= end) return false;
    await sleep(POLL_MS);
  }
  return true;
}

function linuxStartTime(pid: number): string | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // Field 2 is the command in parentheses; it may itself have spaces and parentheses.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? null : (fields[18] ?? null);
}

function otherStartTime(pid: number): string | null {
  try {
    const env = { ...process.env, LC_ALL: 'C' };
    const [state, ...start] = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env,
    })
      .trim()
      .split(/\s+/);
    return state === undefined || state === '' || state.startsWith('Z') ? null : start.join(' ');
  } catch {
    return null;
  }
}

let boot: string | undefined;

function bootId(): string {
  boot ??= LINUX
    ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    : execFileSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim();
  return boot;
}
