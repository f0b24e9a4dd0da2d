/** Finds this package's folder, from `src/` (tests) and from `dist/`, and the files in it that are not TypeScript. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

let found: string | undefined;

/** @throws Error if no folder above this file has a package.json */
export function packageRoot(): string {
  if (found !== undefined) return found;
  for (let folder = __dirname; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return (found = folder);
    if (folder === dirname(folder)) {
      throw new Error(
        `no package.json above ${__dirname}: this installation is incomplete. Install it again`,
      );
    }
  }
}

/** Path of a file that ships uncompiled, such as `src/process/lock-and-exec.py`. */
export const asset = (...path: string[]): string => join(packageRoot(), ...path);
