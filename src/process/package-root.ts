/** The folder of this package, from `src/` (tests) and from `dist/` alike: where files that are not TypeScript lie. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

let found: string | undefined;

/** @throws Error if no folder above this file holds package.json */
export function packageRoot(): string {
  if (found !== undefined) return found;
  for (let folder = __dirname; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return (found = folder);
    if (folder === dirname(folder)) {
      throw new Error(
        `no package.json above ${__dirname}: this installation is incomplete, install it again`,
      );
    }
  }
}

/** Path of a file that is shipped as it is, such as `src/process/holder.py`. */
export const asset = (...path: string[]): string => join(packageRoot(), ...path);
