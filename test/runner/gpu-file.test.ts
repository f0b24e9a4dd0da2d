import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gpuFiles, gpuMemoryFiles } from '../../src/runner/gpu-file';

const made: string[] = [];
afterAll(() => made.forEach((root) => rmSync(root, { recursive: true })));

/** A host with these device files, and a driver that tells the minors of these places on the bus. */
function host(files: number[], bus: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'gpus-'));
  made.push(root);
  mkdirSync(join(root, 'dev'));
  for (const name of ['nvidiactl', 'nvidia-uvm', ...files.map((file) => `nvidia${file}`)])
    writeFileSync(join(root, 'dev', name), '');
  for (const [place, information] of Object.entries(bus)) {
    const folder = join(root, 'proc', 'driver', 'nvidia', 'gpus', place);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'information'), information);
  }
  return root;
}

const of = (minor: number): string =>
  `Model: \t\t NVIDIA H200\nIRQ:   \t\t 18\nGPU UUID: \t GPU-0\nBus Location: \t 0000:1b:00.0\nDevice Minor: \t ${minor}\n`;

const gpuFile = (device: string, root: string): string | undefined => gpuFiles(device, root).at(-1);
const devices = ['cuda:0', 'cuda:1', 'cuda:2'];

test('the order is that of the bus, whatever the numbers of the files', () => {
  const root = host([0, 1, 2], { '0000:1b:00.0': of(2), '0000:43:00.0': of(0), '0000:a1:00.0': of(1) });
  expect(devices.map((device) => gpuFile(device, root))).toEqual([
    '/dev/nvidia2',
    '/dev/nvidia0',
    '/dev/nvidia1',
  ]);
});

test('in a container that was given some of them, only those count', () => {
  const root = host([1, 2], { '0000:1b:00.0': of(2), '0000:43:00.0': of(0), '0000:a1:00.0': of(1) });
  expect(gpuFile('cuda:0', root)).toBe('/dev/nvidia2');
  expect(gpuFile('cuda:1', root)).toBe('/dev/nvidia1');
  expect(() => gpuFile('cuda:2', root)).toThrow('no cuda:2 here: 2 GPUs were found in /dev');
});

test.each([
  ['nothing', {}],
  ['not all', { '0000:1b:00.0': of(10), '0000:43:00.0': 'Model: NVIDIA H200\n' }],
])('a driver that tells %s leaves the order of the files', (_what, bus) => {
  const root = host([10, 3], bus);
  expect(gpuFile('cuda:0', root)).toBe('/dev/nvidia3');
  expect(gpuFile('cuda:1', root)).toBe('/dev/nvidia10');
});

test('a GPU comes with what CUDA needs beside it, and is none without', () => {
  const root = host([0], { '0000:1b:00.0': of(0) });
  expect(gpuFiles('cuda:0', root)).toEqual(['/dev/nvidiactl', '/dev/nvidia-uvm', '/dev/nvidia0']);
  writeFileSync(join(root, 'dev', 'nvidia-uvm-tools'), '');
  expect(gpuFiles('cuda:0', root)).toContain('/dev/nvidia-uvm-tools');
  rmSync(join(root, 'dev', 'nvidia-uvm'));
  expect(() => gpuFiles('cuda:0', root)).toThrow(
    'this host lacks /dev/nvidia-uvm, so no process can use cuda:0: run nvidia-modprobe -u -c=0 as root',
  );
});

test("the driver's own program makes what is missing since boot", () => {
  const root = host([0], { '0000:1b:00.0': of(0) });
  const uvm = join(root, 'dev', 'nvidia-uvm');
  rmSync(uvm);
  const program = join(root, 'nvidia-modprobe');
  writeFileSync(program, `#!/bin/sh\n[ "$*" = '-u -c=0' ] && : > '${uvm}'\n`);
  chmodSync(program, 0o755);
  const path = process.env['PATH'];
  process.env['PATH'] = `${root}:${path}`;
  try {
    expect(gpuFiles('cuda:0', root)).toContain('/dev/nvidia-uvm');
  } finally {
    process.env['PATH'] = path;
  }
});

test("of a host's PCI devices the memory of NVIDIA's is found, and only what could be read", () => {
  const root = host([0], {});
  const bus = join(root, 'sys', 'bus', 'pci', 'devices');
  mkdirSync(bus, { recursive: true });
  expect(gpuMemoryFiles(root)).toEqual([]);
  for (const [place, vendor] of [
    ['0000:1b:00.0', '0x10de'],
    ['0000:1c:00.0', '0x8086'],
  ] as const) {
    const folder = join(root, 'sys', 'devices', place);
    mkdirSync(folder, { recursive: true });
    symlinkSync(folder, join(bus, place));
    writeFileSync(join(folder, 'vendor'), `${vendor}\n`);
    for (const name of ['config', 'resource', 'resource0', 'resource1_wc', 'rom'])
      writeFileSync(join(folder, name), '');
  }
  const folder = join(root, 'sys', 'devices', '0000:1b:00.0');
  expect(gpuMemoryFiles(root)).toEqual(
    ['resource0', 'resource1_wc', 'rom'].map((name) => join(folder, name)),
  );
});
