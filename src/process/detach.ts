/**
 * Starts detached processes, at most one for each lock file. The process itself holds the kernel lock (flock) until
 * it exits. A crash frees the lock, and a leftover file cannot block the next start.
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
  /** Stdout and stderr are appended to this file. */
  log: string;
  /** The process holds this file's lock for its life. */
  lock: string;
  /** Shown to other processes that find its locks taken: `nov21/0042 run 1`. */
  name: string;
  /** Locks to wait for after `lock` is taken and before the command begins. Pid and start time stay the same. */
  waitFor?: string[];
  /**
   * A status file, written with `owner` filled in before the process waits, so that others see a queued process. If the file
   * already exists with another `phase` than the content's, the command has begun before and is not started again. `instead` is
   * the SHA-256 of an existing file that may be replaced all the same.
   */
  queued?: { file: string; content: object; instead?: string | undefined };
  /** Makes the process a child subreaper (Linux), so that it can find and end every orphaned descendant. */
  adoptOrphans?: boolean;
}

/**
 * Starts `command` in its own session. Resolves when the command runs or waits for a lock. Resolves with null when
 * another process holds `lock` or the command has begun before.
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
    const child = spawn(python, ['-I', '-S', asset('src', 'process', 'lock-and-exec.py'), task], {
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
    const start = await readReport(report);
    if (start.busy) return null;
    if (start.failed !== null) throw new LaunchError(`cannot start ${what.command[0]}: ${start.failed}`);
    if (start.held && owner !== null) return owner;
    const [code, signal] = await exited;
    throw new LaunchError(
      `${what.name} ended before it began (${signal ?? `exit code ${code}`}): see ${what.log}`,
    );
  } finally {
    closeSync(log);
  }
}

/** Reads the launcher's lines until it waits for a lock, or until the command replaces it. */
async function readReport(
  report: Readable,
): Promise<{ busy: boolean; held: boolean; failed: string | null }> {
  let text = '';
  for await (const chunk of report) {
    text += String(chunk);
    if (text.includes('queued\n')) break;
  }
  report.destroy();
  const lines = text.split('\n');
  const failed = lines.find((line) => line.startsWith('failed '));
  return {
    busy: lines.includes('busy'),
    held: lines.includes('held'),
    failed: failed?.slice('failed '.length) ?? null,
  };
}

const DESCRIPTORS = process.platform === 'linux' ? '/proc/self/fd' : '/dev/fd';

/**
 * The descriptor of a lock that this process got from `launch`; null if it holds none. A child that inherits the descriptor
 * holds the lock too: the lock is free when both have ended.
 */
export function descriptorOf(lock: string): number | null {
  const sought = statSync(lock, { throwIfNoEntry: false });
  if (sought === undefined) return null;
  const isLock = (descriptor: number): boolean => {
    try {
      const { dev, ino } = fstatSync(descriptor);
      return dev === sought.dev && ino === sought.ino;
    } catch {
      // The descriptor that readdir itself had open.
      return false;
    }
  };
  return readdirSync(DESCRIPTORS).map(Number).find(isLock) ?? null;
}

const holderSchema = ownerSchema.extend({ name: z.string() });
type Holder = z.infer<typeof holderSchema>;

/**
 * The process that holds a lock, for messages and for finding it again; null when none does. Reads what the last
 * holder wrote into the file. To exclude others, take the lock.
 */
export async function holderOf(lock: string): Promise<Holder | null> {
  const holder = await lastHolder(lock);
  return holder !== null && isAlive(holder) ? holder : null;
}

/**
 * Call this when a lock is taken and the holder is not on this machine: NFS passes locks between machines.
 * @throws HeldElsewhere if another machine that shares the folder holds it
 */
export async function checkHeldHere(lock: string): Promise<void> {
  const holder = await lastHolder(lock);
  if (holder !== null && isOfOtherBoot(holder)) throw new HeldElsewhere(holder.name, lock);
}

/** Another machine shares the state folder and works in it. */
export class HeldElsewhere extends Error {
  override name = 'HeldElsewhere';
  readonly todo = 'give each host its own XDG_STATE_HOME and XDG_CACHE_HOME, on its own disk';
  constructor(name: string, lock: string) {
    super(`another machine shares ${dirname(lock)}, and its ${name} is running`);
  }
}

async function lastHolder(lock: string): Promise<Holder | null> {
  let written: unknown;
  try {
    written = JSON.parse(await readFile(lock, 'utf8'));
  } catch {
    // Absent or half written.
    return null;
  }
  return holderSchema.safeParse(written).data ?? null;
}
