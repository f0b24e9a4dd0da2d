/** `down` holds until somebody asks for more: what keeps server and worker running must not undo it. */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stateRoot } from '../process/paths';

const file = (): string => join(stateRoot(), 'put-down');

/** Whether `down` was the last that was asked for on this host. */
export const isPutDown = (): boolean => existsSync(file());

/** For `down`, before it ends anything. */
export async function putDown(): Promise<void> {
  await mkdir(stateRoot(), { recursive: true });
  await writeFile(file(), '');
}

/** For `up`, and whoever does what it does. */
export const takeUp = (): Promise<void> => rm(file(), { force: true });
