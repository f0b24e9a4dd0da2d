/** Finds the devices that this host trains on: its NVIDIA GPUs, else its CPU. */
import { readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Lane } from '../domain/run';
import { lastLine } from '../process/excerpt';
import { MissingPrerequisite } from '../process/missing-prerequisite';
import { run } from '../process/run-program';
import { laneQueue } from '../temporal/queues';

export interface Device {
  /** `cuda:0` or `cpu`. */
  id: string;
  /** Model name; scores of different models are not comparable: `NVIDIA H200`, `AMD EPYC 9B14 × 2`. */
  name: string;
}

const NVIDIA_SMI_MS = 10_000;
/** A loaded driver has a folder for each GPU here. */
const DRIVER = '/proc/driver/nvidia/gpus';

/** The driver has GPUs but nvidia-smi fails, so the device list is unknown: not the same as a host without GPUs. */
export class DevicesUnknown extends Error {
  override name = 'DevicesUnknown';
  readonly todo =
    'run `nvidia-smi`, and wait for the driver or repair it; or set AUTORESEARCH_DEVICES=cpu to train on the CPU from now on';
}

/**
 * The devices of this host, or those that AUTORESEARCH_DEVICES names (`cuda:1,cuda:3`, `cpu`).
 * @param root the folder of /dev and /proc
 * @throws MissingPrerequisite if AUTORESEARCH_DEVICES names a missing device
 * @throws DevicesUnknown
 */
export async function detectDevices(root = '/'): Promise<Device[]> {
  const wanted = (process.env['AUTORESEARCH_DEVICES'] ?? '').split(',').map((id) => id.trim());
  // With `cpu` alone a broken driver does not matter.
  const gpus = wanted.every((id) => id === 'cpu') ? [] : await nvidiaGpus(root);
  if (wanted.join('') === '') return gpus.length > 0 ? gpus : [cpu()];
  const twice = wanted.find((id, place) => wanted.indexOf(id) !== place);
  if (twice !== undefined) {
    // Both would serve one queue, and so train two runs on one device.
    throw new MissingPrerequisite(`AUTORESEARCH_DEVICES names ${twice} twice`, 'name each device once');
  }
  const found = [...gpus, cpu()];
  return wanted.map((id) => {
    const device = found.find((candidate) => candidate.id === id);
    if (device !== undefined) return device;
    throw new MissingPrerequisite(
      `AUTORESEARCH_DEVICES names ${id}, but this host has ${found.map((each) => each.id).join(', ')}`,
      'set it to some of these, separated by commas, or unset it',
    );
  });
}

/** The lane of a device: its id and its task queue. */
export const laneOf = ({ id }: Device): Lane => ({ queue: laneQueue(id), device: id });

async function nvidiaGpus(root: string): Promise<Device[]> {
  const query = ['--query-gpu=index,name', '--format=csv,noheader'];
  const { end, stdout, stderr, reason } = await run('nvidia-smi', query, { timeoutMs: NVIDIA_SMI_MS });
  if (end === 'ok') {
    return stdout.split('\n').flatMap((line) => {
      const [, index, name] = /^(\d+), (.+)$/.exec(line.trim()) ?? [];
      return index === undefined || name === undefined ? [] : [{ id: `cuda:${index}`, name }];
    });
  }
  if (end === 'missing') return [];
  if (end === 'timeout') throw new DevicesUnknown(`nvidia-smi ${reason}`);
  const driver = driverFiles(root);
  if (driver.length === 0) return [];
  const said = lastLine(stderr) || lastLine(stdout);
  throw new DevicesUnknown(`nvidia-smi failed (${reason}: ${said}), and there is ${driver.join(', ')}`);
}

/** The GPU files of a loaded driver, whether or not it responds. */
function driverFiles(root: string): string[] {
  const inDev = filesIn(join(root, '/dev')).filter((name) => /^nvidia\d+$/u.test(name));
  const inProc = filesIn(join(root, DRIVER));
  return [...inDev.map((name) => `/dev/${name}`), ...inProc.map((name) => `${DRIVER}/${name}`)];
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function cpu(): Device {
  const cores = cpus();
  const model = cores[0]?.model.replace(/\s+/g, ' ').trim() ?? 'CPU';
  return { id: 'cpu', name: `${model} × ${cores.length}` };
}
