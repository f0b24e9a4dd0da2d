/** Another version of this package: a copy of what is built, with its workflows changed. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/process/package-root';

/** Where the compiled experiment workflow begins. */
const BEGINNING = 'const startedAt = new Date().toISOString();';

export const CHANGES = {
  /** As CONTRIBUTING.md wants it: histories from before go the old way. */
  patched: `if ((0, workflow_1.patched)('a-new-step')) await (0, workflow_1.sleep)('20 milliseconds');`,
  /** What must not be released. */
  careless: `await (0, workflow_1.sleep)('20 milliseconds');`,
};

/** @returns its bin/autoresearch.js. Its build id is another one. */
export function otherBuild(folder: string, change: keyof typeof CHANGES): string {
  const root = mkdtempSync(join(folder, `${change}-`));
  for (const name of ['bin', 'dist', 'src', 'trainer', 'package.json', 'package-lock.json']) {
    cpSync(join(packageRoot(), name), join(root, name), { recursive: true });
  }
  symlinkSync(join(packageRoot(), 'node_modules'), join(root, 'node_modules'));
  const workflow = join(root, 'dist', 'workflows', 'experiment.js');
  const code = readFileSync(workflow, 'utf8');
  if (!code.includes(BEGINNING)) throw new Error(`${workflow} has no "${BEGINNING}" any more`);
  writeFileSync(workflow, code.replace(BEGINNING, `${CHANGES[change]}\n${BEGINNING}`));
  execFileSync(process.execPath, [join(root, 'dist', 'build.js')], { stdio: 'pipe' });
  return join(root, 'bin', 'autoresearch.js');
}
