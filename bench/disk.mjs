/** Disk usage of a folder, by its blocks. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK = 512; // bytes: st_blocks counts in these, on every Linux

/** @param {(name: string) => boolean} counts true for the entries to count, with their contents; @returns bytes */
export function bytesOnDisk(folder, counts = () => true) {
  const own = lstatSync(folder).blocks * BLOCK;
  if (!lstatSync(folder).isDirectory()) return own;
  const entries = readdirSync(folder).filter(counts);
  return entries.reduce((sum, name) => sum + bytesOnDisk(join(folder, name), counts), own);
}
