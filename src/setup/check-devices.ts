/**
 * Before a worker starts: are there still GPUs where the last one had some? After a boot the driver may come later than we do, and a
 * worker that took the CPU instead would keep it, while its studies wait for their GPU.
 */
import { detectDevices } from '../runner/devices';
import { isGpu } from '../runner/gpu-file';
import { readWorkerInfo } from '../temporal/worker-info';
import { MissingPrerequisite } from './missing-prerequisite';

/** @throws MissingPrerequisite if all of them are gone, and AUTORESEARCH_DEVICES names none; DevicesUnknown */
export async function checkDevices(): Promise<void> {
  if ((process.env['AUTORESEARCH_DEVICES'] ?? '') !== '') return;
  // First, whatever the last one trained on: what the next worker would fail at is known before the last one is ended.
  const devices = await detectDevices();
  const last = await readWorkerInfo();
  if (last === null || !last.devices.some(isGpu) || devices.some(({ id }) => isGpu(id))) return;
  throw new MissingPrerequisite(
    `the last worker of this host trained on ${last.devices.join(', ')}, and nvidia-smi finds no GPU now`,
    'wait for its driver, or see what `nvidia-smi` says; AUTORESEARCH_DEVICES=cpu trains on the CPU from now on',
  );
}
