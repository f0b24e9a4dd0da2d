/**
 * Checks that a new worker can train, before the old worker is stopped: an invalid AUTORESEARCH_DEVICES must not cost a running worker.
 * Also refuses to fall back from GPUs to the CPU: after a boot the driver may load later than we start, and the studies would wait for
 * their GPU for ever.
 */
import { detectDevices } from './devices';
import { isGpu } from '../runner/gpu-file';
import { readWorkerInfo } from '../temporal/worker-info';
import { MissingPrerequisite } from '../process/missing-prerequisite';

/**
 * @throws MissingPrerequisite if AUTORESEARCH_DEVICES names a missing device, or is unset and all GPUs are gone
 * @throws DevicesUnknown
 */
export async function checkDevices(): Promise<void> {
  const named = process.env['AUTORESEARCH_DEVICES'] ?? '';
  const devices = await detectDevices();
  const last = await readWorkerInfo();
  if (named !== '' || last === null || !last.devices.some(isGpu) || devices.some(({ id }) => isGpu(id)))
    return;
  throw new MissingPrerequisite(
    `this host's last worker trained on ${last.devices.join(', ')}, but nvidia-smi now finds no GPU`,
    'run `nvidia-smi` and wait for the driver, or set AUTORESEARCH_DEVICES=cpu to train on the CPU from now on',
  );
}
