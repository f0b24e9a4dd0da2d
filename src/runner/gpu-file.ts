/** Which device file is `cuda:<index>`: CUDA (CUDA_DEVICE_ORDER=PCI_BUS_ID) and nvidia-smi count in the order of the PCI bus. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/** A device is `cpu` or `cuda:<index>`. */
export const isGpu = (device: string): boolean => device.startsWith('cuda');

export const gpuIndex = (device: string): number => Number(device.split(':')[1] ?? 0);

/** CUDA needs these beside a GPU's own file, and cannot create them in a sandbox. */
const CONTROL = ['/dev/nvidiactl', '/dev/nvidia-uvm'];
/** For debuggers and profilers; not on each host. */
const TOOLS = '/dev/nvidia-uvm-tools';
const NVIDIA = '0x10de';
const MODPROBE_MS = 60_000;

/**
 * The files that a process needs for this GPU alone. Creates those that the driver has not made since boot.
 * @throws Error if this host (or container) has no such GPU, or not all of its files
 */
export function gpuFiles(device: string, root = '/'): string[] {
  const minor = gpuMinor(device, root);
  if (minor === null) throw new Error(`no ${device} here: ${minors(root).length} GPUs were found in /dev`);
  const isThere = (file: string): boolean => existsSync(join(root, file));
  const areMissing = (): string[] => CONTROL.filter((file) => !isThere(file));
  // nvidia-modprobe is setuid root, so it works for plain users.
  if (areMissing().length > 0)
    spawnSync('nvidia-modprobe', ['-u', `-c=${minor}`], {
      stdio: 'ignore',
      timeout: MODPROBE_MS,
      env: process.env,
    });
  const missing = areMissing();
  if (missing.length > 0) {
    throw new Error(
      `this host lacks ${missing.join(' and ')}, so no process can use ${device}: run nvidia-modprobe -u -c=${minor} as root, at each boot`,
    );
  }
  return [...CONTROL, ...[TOOLS].filter(isThere), `/dev/nvidia${minor}`];
}

/**
 * Files in /sys through which this process could map the memory of any NVIDIA device, assigned or not.
 * @param root where /sys is
 */
export function gpuMemoryFiles(root = '/'): string[] {
  const devices = join(root, 'sys', 'bus', 'pci', 'devices');
  if (!existsSync(devices)) return [];
  return readdirSync(devices)
    .map((place) => realpathSync(join(devices, place)))
    .filter((folder) => readFileSync(join(folder, 'vendor'), 'utf8').trim() === NVIDIA)
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /^(resource\d+(_wc)?|rom)$/.test(name))
        .map((name) => join(folder, name)),
    )
    .filter(canRead);
}

function canRead(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The number of the GPU's device file, the same for all users of this host; null without such a GPU.
 * @param root where /dev and /proc are
 */
export const gpuMinor = (device: string, root = '/'): number | null => minors(root)[gpuIndex(device)] ?? null;

/**
 * A file's number may differ from the GPU's index: the driver lists it by place on the bus. Without that list, the files
 * count in numeric order. Only files of this host (or container) count.
 */
function minors(root: string): number[] {
  const files = readdirSync(join(root, 'dev'))
    .flatMap((name) => /^nvidia(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b);
  const listed = minorsOnTheBus(root);
  return listed.length === 0 ? files : listed.filter((minor) => files.includes(minor));
}

/** The numbers of the device files, in the order of the bus; empty unless the driver lists all of them. */
function minorsOnTheBus(root: string): number[] {
  const folder = join(root, 'proc', 'driver', 'nvidia', 'gpus');
  try {
    return readdirSync(folder)
      .toSorted()
      .map((place) => {
        const minor = /^Device Minor:\s*(\d+)$/m.exec(
          readFileSync(join(folder, place, 'information'), 'utf8'),
        )?.[1];
        if (minor === undefined) throw new Error(`no device minor for ${place}`);
        return Number(minor);
      });
  } catch {
    return [];
  }
}
