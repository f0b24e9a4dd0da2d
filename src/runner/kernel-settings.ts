/** What in /proc is the kernel's, and not a process's. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What in /proc is the kernel's and could be written. Root in the sandbox is root to these, capabilities or not, and
 * /proc/sys/kernel/core_pattern would be a way out. /proc as a whole cannot be read-only: CUDA does not start where a
 * thread cannot write its own name (error 304).
 */
export function kernelSettings(): string[] {
  return (
    readdirSync('/proc')
      // Names alone: asked for types as well, Node looks at processes that have gone by then, and fails.
      .filter((name) => !/^\d+$/.test(name) && name !== 'sysvipc')
      .map((name) => join('/proc', name))
      .filter((path) => {
        const found = lstatSync(path);
        return !found.isSymbolicLink() && (found.isDirectory() || (found.mode & 0o222) !== 0);
      })
  );
}
