/**
 * Starts processes that outlive this one, at most one for each lock file. A lock is the kernel's (flock), held
 * by the process itself for as long as it lives: a crash frees it, and no leftover file can.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readdirSync, statSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { LaunchError, python3 } from './interpreter';
import { isAlive, isOfOtherBoot, ownerOf, ownerSchema, type Owner } from './owner';
import { asset } from './package-root';

export interface Launch {
  command: string[];
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Its stdout and stderr are appended here. */
  log: string;
  /** Whoever holds this file's lock is the one such process. */
  lock: string;
  /** What it calls itself to others that find its locks taken: `nov21/0042 run 1`. */
  name: string;
  /** Locks to wait for, before the command begins and after `lock` is taken; pid and start time stay the same. */
  waitFor?: string[];
  /**
   * Written before waiting, with `owner` filled in: how others see what has not begun. Where the content has a phase, and
   * `file` is there with another one, the command has begun before and is not started again, unless the file is still the
   * one whose SHA-256 is `instead`.
   */
  queued?: { file: string; content: object; instead?: string | undefined };
  /** Descendants that lose their parent become its children (Linux), so that it can find and end them all. */
  adoptOrphans?: boolean;
}

/**
 * Starts `command` in a session of its own. Resolves when the command has taken over or is queued for a lock,
 * or with null when another process holds `lock` or has begun.
 * @throws LaunchError if it cannot be started
 */
export async function launch(what: Launch): Promise<Owner | null> {
  await Promise.all(
    [what.log, what.lock, ...(what.waitFor ?? [])].map((file) => mkdir(dirname(file), { recursive: true })),
  );
  const python = await python3();
  const task = JSON.stringify({
    lock: what.lock,
    name: what.name,
    wait: what.waitFor ?? [],
    queued: what.queued ?? null,
    adopt: what.adoptOrphans ?? false,
    command: what.command,
  });
  const log = openSync(what.log, 'a');
  try {
    const child = spawn(python, ['-I', '-S', asset('src', 'process', 'holder.py'), task], {
      cwd: what.cwd,
      env: what.env,
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
    });
    const exited = once(child, 'exit');
    exited.catch(() => undefined);
    await once(child, 'spawn');
    child.unref();
    const owner = ownerOf(child.pid!);
    const report = child.stdio[3];
    if (!(report instanceof Readable)) throw new LaunchError('expected a pipe from the launcher');
    const said = await answer(report);
    if (said.busy) return null;
    if (said.failed !== null) throw new LaunchError(`cannot start ${what.command[0]}: ${said.failed}`);
    if (said.held && owner !== null) return owner;
    const [code, signal] = await exited;
    throw new LaunchError(
      `${what.name} ended before it began (${signal ?? `exit code ${code}`}): see ${what.log}`,
    );
  } finally {
    closeSync(log);
  }
}

/** Reads the launcher's lines until it says that it waits, or closes because the command took over. */
async function answer(report: Readable): Promise<{ busy: boolean; held: boolean; failed: string | null }> {
  let said = '';
  for await (const chunk of report) {
    said += String(chunk);
    if (said.includes('queued\n')) break;
  }
  report.destroy();
  const lines = said.split('\n');
  const failed = lines.find((line) => line.startsWith('failed '));
  return {
    busy: lines.includes('busy'),
    held: lines.includes('held'),
    failed: failed?.slice('failed '.length) ?? null,
  };
}

const DESCRIPTORS = process.platform === 'linux' ? '/proc/self/fd' : '/dev/fd';

/**
 * The descriptor on which this process, started by `launch`, holds a lock; null where it holds none. A child that is given
 * it holds the lock as well: it is free when both have ended.
 */
export function descriptorOf(lock: string): number | null {
  const sought = statSync(lock, { throwIfNoEntry: false });
  if (sought === undefined) return null;
  const isLock = (descriptor: number): boolean => {
    try {
      const { dev, ino } = fstatSync(descriptor);
      return dev === sought.dev && ino === sought.ino;
    } catch {
      // The one that has read the list of them.
      return false;
    }
  };
  return readdirSync(DESCRIPTORS).map(Number).find(isLock) ?? null;
}

const holderSchema = ownerSchema.extend({ name: z.string() });
type Holder = z.infer<typeof holderSchema>;

/**
 * Who holds a lock, for messages and for finding a process again; null when nobody does. To exclude
 * others, take the lock: this is only what its last holder wrote into it.
 */
export async function holderOf(lock: string): Promise<Holder | null> {
  const holder = await lastHolder(lock);
  return holder !== null && isAlive(holder) ? holder : null;
}

/**
 * For a lock that was found taken: by a machine that shares its folder (NFS passes locks on)?
 * @throws HeldElsewhere
 */
export async function checkHeldHere(lock: string): Promise<void> {
  const holder = await lastHolder(lock);
  if (holder !== null && isOfOtherBoot(holder)) throw new HeldElsewhere(holder.name, lock);
}

/** Two machines share our folders, and the other one is at work in them. */
export class HeldElsewhere extends Error {
  override name = 'HeldElsewhere';
  readonly todo = 'give each host an XDG_STATE_HOME and an XDG_CACHE_HOME of its own, on a disk of its own';
  constructor(name: string, lock: string) {
    super(`another machine shares ${dirname(lock)} with this one, and its ${name} runs`);
  }
}

async function lastHolder(lock: string): Promise<Holder | null> {
  let written: unknown;
  try {
    written = JSON.parse(await readFile(lock, 'utf8'));
  } catch {
    // Absent, or just being written.
    return null;
  }
  return holderSchema.safeParse(written).data ?? null;
}
