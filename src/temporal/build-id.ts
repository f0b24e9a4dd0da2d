/** Identifies the build of this package, to tell an old worker from a current one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asset, packageRoot } from '../process/package-root';

/** Written by `npm run build` (src/build.ts). */
export const buildIdFile = (): string => join(packageRoot(), 'dist', 'build-id');

/**
 * 12 hex digits: a hash of the build's output.
 * @throws Error if nothing is built
 */
export function buildId(): string {
  try {
    return readFileSync(buildIdFile(), 'utf8').trim();
  } catch (error) {
    throw new Error(`${buildIdFile()} is missing: this package is not built. Run \`npm run setup\``, {
      cause: error,
    });
  }
}

/** The release: `0.5.0`. Without zod, which takes longer to load than `--version` and `--help` to answer. */
export function packageVersion(): string {
  const { version }: { version: string } = JSON.parse(readFileSync(asset('package.json'), 'utf8'));
  return version;
}
