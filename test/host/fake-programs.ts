/** Folders for PATH: fake programs, and links to real ones. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder with shell scripts by these names. */
export function fakePrograms(scripts: Record<string, string>): string {
  const folder = programFolder();
  for (const [name, script] of Object.entries(scripts)) {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
  }
  return folder;
}

/** A folder that has only links to these real programs of this host. */
export function realPrograms(names: string[]): string {
  const folder = programFolder();
  for (const name of names) symlinkSync(realPath(name), join(folder, name));
  return folder;
}

const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

function programFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'autoresearch-bin-'));
  folders.push(folder);
  return folder;
}

function realPath(name: string): string {
  // A shim (pyenv, asdf) does not work through a link.
  if (name === 'python3') {
    return execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();
  }
  return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
}
