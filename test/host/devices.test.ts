/** Device detection, also while the driver does not respond. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detectDevices } from '../../src/host/devices';
import { fakePrograms } from './fake-programs';

const before = { ...process.env };
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'autoresearch-root-'));
  delete process.env['AUTORESEARCH_DEVICES'];
});
afterEach(() => {
  process.env = { ...before };
  rmSync(root, { recursive: true });
});

function nvidiaSmi(script: string): void {
  process.env['PATH'] = `${fakePrograms({ 'nvidia-smi': script })}:${before['PATH']}`;
}
/** A root folder with the files of a loaded driver. */
function loaded(): void {
  mkdirSync(join(root, 'dev'));
  writeFileSync(join(root, 'dev', 'nvidia0'), '');
  writeFileSync(join(root, 'dev', 'nvidiactl'), '');
}
const ids = async (): Promise<string[]> => (await detectDevices(root)).map(({ id }) => id);

test('lists the GPUs of nvidia-smi; without it, or without a driver, the CPU', async () => {
  nvidiaSmi(`printf '0, NVIDIA H200\\n1, NVIDIA H200\\n'`);
  expect(await ids()).toEqual(['cuda:0', 'cuda:1']);
  nvidiaSmi('echo "NVIDIA-SMI has failed" >&2; exit 9');
  expect(await ids()).toEqual(['cpu']);
  process.env['PATH'] = fakePrograms({});
  expect(await ids()).toEqual(['cpu']);
});

test('throws if a driver is loaded and nvidia-smi fails', async () => {
  loaded();
  nvidiaSmi('echo "Unable to determine the device handle" >&2; exit 18');
  await expect(ids()).rejects.toMatchObject({
    name: 'DevicesUnknown',
    message: expect.stringMatching(/nvidia-smi failed \(exit code 18: Unable to.*\/dev\/nvidia0$/u),
    todo: expect.stringContaining('AUTORESEARCH_DEVICES=cpu'),
  });
  process.env['AUTORESEARCH_DEVICES'] = 'cpu';
  expect(await ids()).toEqual(['cpu']);
});

test('throws if nvidia-smi takes too long', async () => {
  nvidiaSmi('exec sleep 600');
  await expect(ids()).rejects.toMatchObject({
    name: 'DevicesUnknown',
    message: expect.stringContaining('did not end within'),
  });
}, 60_000);

test('a device that is named twice is refused: two lanes would train on it at once', async () => {
  nvidiaSmi(`printf '0, NVIDIA H200\\n1, NVIDIA H200\\n'`);
  process.env['AUTORESEARCH_DEVICES'] = 'cuda:1, cuda:0,cuda:1';
  await expect(ids()).rejects.toMatchObject({
    name: 'MissingPrerequisite',
    message: 'AUTORESEARCH_DEVICES names cuda:1 twice',
  });
});
