/** How this program was called, so that its hints can be pasted: `autoresearch`, `node bin/autoresearch.js`, … */
import { basename, delimiter, dirname, isAbsolute, join, relative } from 'node:path';
import { packageRoot } from '../process/package-root';

/** What the source writes where it names a command line. */
const WRITTEN = /\bnpx autoresearch\b/gu;

/**
 * Replaces `npx autoresearch` in a text for people. Outside of the checkout npx would ask the registry for a package of that name, which
 * is not ours.
 */
export const asCalled = (text: string): string => text.replace(WRITTEN, calledAs());

function calledAs(): string {
  const script = process.argv[1] ?? '';
  if (isInside(process.cwd(), packageRoot()) && process.env['npm_command'] !== undefined)
    return 'npx autoresearch';
  if (basename(script) === 'autoresearch') {
    const folders = (process.env['PATH'] ?? '').split(delimiter);
    return folders.includes(dirname(script)) ? 'autoresearch' : quoted(script);
  }
  const program = join(packageRoot(), 'bin', 'autoresearch.js');
  const near = relative(process.cwd(), program);
  return `node ${quoted(near.startsWith('..') ? program : near)}`;
}

function isInside(folder: string, root: string): boolean {
  const path = relative(root, folder);
  return !path.startsWith('..') && !isAbsolute(path);
}

const quoted = (path: string): string =>
  /^[\w@%+=:,./-]+$/u.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
