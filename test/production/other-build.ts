/** Another version of this package: a copy of what is built, with its workflows changed. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
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
  const root = copyOf(folder, change);
  const workflow = join(root, 'dist', 'workflows', 'experiment.js');
  const code = readFileSync(workflow, 'utf8');
  if (!code.includes(BEGINNING)) throw new Error(`${workflow} has no "${BEGINNING}" any more`);
  writeFileSync(workflow, code.replace(BEGINNING, `${CHANGES[change]}\n${BEGINNING}`));
  return built(root);
}

/** One whose study workflow begins with a step that no history has. */
export function brokenStudyBuild(folder: string): string {
  const root = copyOf(folder, 'broken');
  const wrap =
    'const before = exports.study;\n' +
    "exports.study = async (...given) => { await require('@temporalio/workflow').sleep('20 milliseconds'); return before(...given); };\n";
  appendFileSync(join(root, 'dist', 'workflows', 'study.js'), wrap);
  return built(root);
}

/** The same code, released as another version. */
export function otherVersion(folder: string, version: string): string {
  const root = copyOf(folder, version);
  const file = join(root, 'package.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"version": "[^"]+"/, `"version": "${version}"`));
  appendFileSync(join(root, 'dist', 'workflows', 'study.js'), `// ${version}\n`);
  return built(root);
}

/** Code caches come and go beside the bundle while commands run. */
const isBuilt = (path: string): boolean => !path.includes('cli.bundle.js.');

function copyOf(folder: string, name: string): string {
  const root = mkdtempSync(join(folder, `${name}-`));
  for (const each of ['bin', 'dist', 'src', 'trainer', 'package.json', 'package-lock.json']) {
    cpSync(join(packageRoot(), each), join(root, each), { recursive: true, filter: isBuilt });
  }
  symlinkSync(join(packageRoot(), 'node_modules'), join(root, 'node_modules'));
  return root;
}

function built(root: string): string {
  execFileSync(process.execPath, [join(root, 'dist', 'build.js')], { stdio: 'pipe' });
  return join(root, 'bin', 'autoresearch.js');
}
