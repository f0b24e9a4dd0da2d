/** The Dockerfile's build stage, run as it stands in a folder of its own, without an engine. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../src/process/package-root';
import { isCopy, stages, words } from '../deploy/dockerfile';

/** What npm has fetched once is as good: the lock file says what each package's bytes must be. */
const env = { ...process.env, npm_config_prefer_offline: 'true', npm_config_audit: 'false' };

test('its steps, with only the files that it copies, make a CLI that runs', () => {
  const root = mkdtempSync(join(tmpdir(), 'autoresearch-image-'));
  try {
    for (const step of stages.find(({ name }) => name === 'build')?.steps ?? []) {
      if (isCopy(step)) {
        const target = words(step).at(-1)!;
        for (const source of words(step).slice(0, -1))
          copy(source, join(root, target === './' ? source : target));
      } else if (step.getKeyword() === 'RUN') {
        execFileSync('/bin/sh', ['-c', step.getArgumentsContent() ?? ''], { cwd: root, env, stdio: 'pipe' });
      }
    }
    const help = execFileSync(process.execPath, [join(root, 'bin', 'autoresearch.js'), 'worker', '--help'], {
      encoding: 'utf8',
    });
    expect(help).toContain('--create-namespace');
    expect(existsSync(join(root, 'node_modules', 'jest'))).toBe(false);
    expect(existsSync(join(root, 'dist', 'workflows.encrypted.bundle.js'))).toBe(true);
  } finally {
    rmSync(root, { recursive: true });
  }
}, 300_000);

function copy(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  cpSync(join(packageRoot(), source), target, { recursive: true });
}
