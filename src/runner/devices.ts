/** What this host trains on: its NVIDIA GPUs, or without one its CPU. */
import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { promisify } from 'node:util';
import type { Lane } from '../activities/interface';
import { laneQueue } from '../temporal/queues';

export interface Device {
  /** `cuda:0` or `cpu`. */
  id: string;
  /** What may be compared with what: `NVIDIA H200`, `AMD EPYC 9B14 × 2`. */
  name: string;
}

const NVIDIA_SMI_MS = 10_000;

/**
 * The devices of this host, or those that AUTORESEARCH_DEVICES names (`cuda:1,cuda:3`, `cpu`).
 * @throws Error if it names one that is not there
 */
export async function detectDevices(): Promise<Device[]> {
  const gpus = await nvidiaGpus();
  const found = [...gpus, cpu()];
  const wanted = process.env['AUTORESEARCH_DEVICES'] ?? '';
  if (wanted === '') return gpus.length > 0 ? gpus : [cpu()];
  return wanted.split(',').map((id) => {
    const device = found.find((candidate) => candidate.id === id.trim());
    if (device !== undefined) return device;
    throw new Error(
      `AUTORESEARCH_DEVICES names ${id}, and this host has ${found.map((each) => each.id).join(', ')}`,
    );
  });
}

/** The lane of a device: its place in a study, with a task queue of its own. */
export const laneOf = ({ id }: Device): Lane => ({ queue: laneQueue(id), device: id });

async function nvidiaGpus(): Promise<Device[]> {
  try {
    const query = ['--query-gpu=index,name', '--format=csv,noheader'];
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: NVIDIA_SMI_MS });
    return stdout
      .trim()
      .split('\n')
      .flatMap((line) => {
        const [, index, name] = /^(\d+), (.+)$/.exec(line) ?? [];
        return index === undefined || name === undefined ? [] : [{ id: `cuda:${index}`, name }];
      });
  } catch {
    return []; // no driver: no GPU that we could train on
  }
}

function cpu(): Device {
  const cores = cpus();
  const model = cores[0]?.model.replace(/\s+/g, ' ').trim() ?? 'CPU';
  return { id: 'cpu', name: `${model} × ${cores.length}` };
}
