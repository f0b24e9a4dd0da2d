/** A marker file of `down`: a service manager must not restart server and worker before the user's next `up`. */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stateRoot } from '../process/paths';

const file = (): string => join(stateRoot(), 'down');

/** True if `down` was called after the last `up`. */
export const isDown = (): boolean => existsSync(file());

/** `down` calls this before it ends anything. */
export async function markDown(): Promise<void> {
  await mkdir(stateRoot(), { recursive: true });
  await writeFile(file(), '');
}

/** Every user command that starts the worker calls this. */
export const clearDown = (): Promise<void> => rm(file(), { force: true });
