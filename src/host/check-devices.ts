/**
 * Before a worker starts, and the one before is ended: can it train? A bad AUTORESEARCH_DEVICES must not take a working worker away. And
 * are there still GPUs where the last worker had some? After a boot the driver may come later than we do, and a worker that took the
 * CPU instead would keep it, while its studies wait for their GPU.
 */
import { detectDevices } from './devices';
import { isGpu } from '../runner/gpu-file';
import { readWorkerInfo } from '../temporal/worker-info';
import { MissingPrerequisite } from '../process/missing-prerequisite';

/**
 * @throws MissingPrerequisite if AUTORESEARCH_DEVICES names what is not there, or names none and all GPUs are gone
 * @throws DevicesUnknown
 */
export async function checkDevices(): Promise<void> {
  const named = process.env['AUTORESEARCH_DEVICES'] ?? '';
  const devices = await detectDevices();
  const last = await readWorkerInfo();
  if (named !== '' || last === null || !last.devices.some(isGpu) || devices.some(({ id }) => isGpu(id)))
    return;
  throw new MissingPrerequisite(
    `the last worker of this host trained on ${last.devices.join(', ')}, and nvidia-smi finds no GPU now`,
    'wait for its driver, or see what `nvidia-smi` says; AUTORESEARCH_DEVICES=cpu trains on the CPU from now on',
  );
}
