/** Lists the kernel's own entries in /proc. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The kernel's writable entries in /proc. Root in the sandbox may write them even without capabilities, and
 * /proc/sys/kernel/core_pattern would be an escape. /proc as a whole cannot be read-only: CUDA fails with error 304 if a
 * thread cannot write its own name.
 */
export function kernelSettings(): string[] {
  return (
    readdirSync('/proc')
      // Names only: with types, Node would look at processes that have exited meanwhile, and fail.
      .filter((name) => !/^\d+$/.test(name) && name !== 'sysvipc')
      .map((name) => join('/proc', name))
      .filter((path) => {
        const found = lstatSync(path);
        return !found.isSymbolicLink() && (found.isDirectory() || (found.mode & 0o222) !== 0);
      })
  );
}
