/** The product's folders on this host, by the XDG base directory specification. It writes nowhere else but in labs. */
import { createHash } from 'node:crypto';
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { errorCode } from './error-code';

const APP = 'autoresearch';

function root(variable: string, ...fallback: string[]): string {
  const value = process.env[variable];
  return value !== undefined && value.startsWith('/') ? join(value, APP) : join(homedir(), ...fallback, APP);
}

/** Must survive a reboot, but is not the record: worktrees, run folders, the dev server's database, logs. */
export const stateRoot = (): string => root('XDG_STATE_HOME', '.local', 'state');

/** User settings for all labs: prices. */
export const configRoot = (): string => root('XDG_CONFIG_HOME', '.config');

/** Can be deleted and made again: tools, Python environments, prepared data. */
export const cacheRoot = (): string => root('XDG_CACHE_HOME', '.cache');

/**
 * The folder of sockets. Short, because a socket's path has at most 107 bytes. After `su`, XDG_RUNTIME_DIR still names the first
 * user's folder, so it is used only if this user owns it.
 */
export function runtimeRoot(): string {
  const value = process.env['XDG_RUNTIME_DIR'];
  if (value !== undefined && value.startsWith('/') && value.length <= 40) {
    const folder = join(value, APP);
    if (isOurs(folder)) return folder;
  }
  const base = tmpdir().length <= 40 ? tmpdir() : '/tmp';
  return join(base, `${APP}-${userInfo().uid}`);
}

/** True if this user owns the folder and can write it, or can create it. */
function isOurs(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    const found = statSync(folder);
    return found.isDirectory() && found.uid === userInfo().uid;
  } catch (error) {
    return errorCode(error) === 'ENOENT' && isOurs(dirname(folder));
  }
}

/** 8 hex digits of a lab's real path, so that a link to a lab is the same lab. Names the lab's state folder. */
export function labId(lab: string): string {
  return createHash('sha256').update(realpathSync(lab)).digest('hex').slice(0, 8);
}

export const labState = (id: string): string => join(stateRoot(), 'labs', id);
export const studyState = (id: string, tag: string): string => join(labState(id), tag);
export const serverState = (): string => join(stateRoot(), 'server');
export const workerState = (): string => join(stateRoot(), 'worker');
export const toolCache = (): string => join(cacheRoot(), 'tools');
export const dataCache = (): string => join(cacheRoot(), 'data');
