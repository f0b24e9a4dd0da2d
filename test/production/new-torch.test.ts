/** A release that brings another torch takes over in the middle of a run, and leaves the study the torch that it is scored with. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../src/process/package-root';
import { toolCache } from '../../src/process/paths';
import { ensureTrainerPython } from '../../src/host/trainer-python';
import { Service } from '../e2e/service';
import { until } from '../workflows/world';
import { otherBuild } from './other-build';
import { letGo, outcome, startTiny, trains, whole } from './tiny';

jest.setTimeout(400_000);
const TAG = 'torched';
const NEWER = '99.0.0';
let service: Service;
let trainer: string;

interface Up {
  worker: { state: string; python: string; torch: string };
}
const up = (): Promise<Up> => service.ask<Up>('up', ...service.ports);

const sitePackages = (python: string): string =>
  execFileSync(python, ['-I', '-c', 'import sysconfig; print(sysconfig.get_paths()["purelib"])'], {
    encoding: 'utf8',
  }).trim();

/** As the set-up leaves it for a lock file, with the packages of this host's. @returns its interpreter */
function environmentOf(lock: string, torch?: string): string {
  const name = createHash('sha256').update(readFileSync(lock, 'utf8')).digest('hex').slice(0, 12);
  const folder = join(service.root, 'cache', 'autoresearch', 'python', name);
  execFileSync(trainer, ['-m', 'venv', '--without-pip', folder]);
  const python = join(folder, 'bin', 'python');
  const packages = sitePackages(python);
  writeFileSync(join(packages, 'trainer.pth'), `${sitePackages(trainer)}\n`);
  if (torch !== undefined) {
    const metadata = join(packages, `torch-${torch}.dist-info`);
    mkdirSync(metadata);
    writeFileSync(join(metadata, 'METADATA'), `Metadata-Version: 2.1\nName: torch\nVersion: ${torch}\n`);
  }
  writeFileSync(join(folder, '.complete'), '');
  return python;
}

beforeAll(async () => {
  trainer = await ensureTrainerPython(() => undefined);
  service = await Service.create();
  service.env['AUTORESEARCH_DEVICES'] = 'cpu';
  delete service.env['AUTORESEARCH_PYTHON'];
  service.env['XDG_CACHE_HOME'] = join(service.root, 'cache');
  mkdirSync(join(service.root, 'cache', 'autoresearch'), { recursive: true });
  symlinkSync(toolCache(), join(service.root, 'cache', 'autoresearch', 'tools'));
});
afterAll(() => service?.remove());

test('a study continues with its torch; the new one is used after it has ended', async () => {
  const old = environmentOf(join(packageRoot(), 'trainer', 'requirements.lock'));
  expect(await up()).toMatchObject({ worker: { python: old } });
  await startTiny(service, TAG, { experiments: 3, held: [1] });
  await trains(service, TAG, 1);
  service.program = otherBuild(service.root, 'patched');
  const lock = join(dirname(dirname(service.program)), 'trainer', 'requirements.lock');
  appendFileSync(lock, '# with another torch\n');
  const newer = environmentOf(lock, NEWER);
  const { code, stdout } = await service.run('up', ...service.ports);
  expect([code, stdout]).toEqual([
    0,
    expect.stringContaining(`the first \`up\` after they have ended switches to torch ${NEWER}`),
  ]);
  letGo(service, TAG, 1);
  expect(await outcome(service, TAG, 3)).toEqual(whole(3));
  expect(await up()).toMatchObject({ worker: { state: 'running', python: old } });
  await service.ask('stop', TAG);
  // The server's list of what runs follows a moment later.
  const last = await until(up, ({ worker }) => worker.python !== old, 180);
  expect(last).toMatchObject({ worker: { state: 'replaced', python: newer, torch: NEWER } });
});
