/**
 * The runner: one detached process for one task (a training or a scoring), started as `main.js FOLDER` under the
 * task's and the device's locks. It outlives the worker, and says all there is to know in FOLDER/status.json.
 * It exits without `done` only on a host error; the worker then starts another attempt.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { descriptorOf } from '../process/detach';
import { errorCode } from '../process/error-code';
import { readJson } from '../process/json-file';
import { boundRegularly } from '../process/log-file';
import { ownerOf } from '../process/owner';
import { deviceLock } from './device-lock';
import { failure } from './failure';
import { unlessGpuFails } from './gpu-probe';
import { BoundedLog } from './log';
import { findSandbox } from './sandbox';
import { score } from './model/scoring';
import { StatusFile } from './status-file';
import { taskSpecSchema, type RunFailure } from './task';
import { train } from './model/training';

const NO_ROOM = new Set(['ENOSPC', 'EDQUOT']);
const RETRY_MS = 1_000;

async function main(folder: string): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  const spec = await readJson(join(folder, 'spec.json'), taskSpecSchema);
  if (spec === null) throw new Error(`no spec.json in ${folder}`);
  const owner = ownerOf(process.pid);
  if (owner === null) throw new Error('this process cannot find itself in /proc');
  const { sandbox, detail } = await findSandbox();
  console.log(`${spec.name} on ${spec.device}, sandbox: ${sandbox} (${detail})`);
  const status = new StatusFile(folder, owner, sandbox, spec.spentSeconds);
  const log = new BoundedLog(join(folder, 'log'), spec.logBytes);
  boundRegularly(join(folder, 'runner.log'));
  const scratch = join(folder, 'scratch');
  if (sandbox === 'none') await mkdir(scratch, { recursive: true });
  try {
    const device = descriptorOf(await deviceLock(spec.device));
    const context = { folder, status, log, stop: stop.signal, device };
    await status.enter(spec.kind === 'train' ? 'starting' : 'scoring');
    const ended = await (spec.kind === 'train' ? train(spec, context) : score(spec, context));
    const ending = await unlessGpuFails(spec, context, ended);
    const failed = ending.kind === 'failed' ? failure(ending.reason, ending.message, log.tail()) : null;
    await finish(status, stop.signal, ending.kind === 'stopped' ? 'stopped' : 'done', failed);
  } catch (error) {
    // A host error (a full disk, a lost GPU): the worker repeats the task after a while.
    console.error(error);
    await finish(status, stop.signal, 'stopped', failure('lost', String(error), ''));
  } finally {
    log.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Writes the final status. Waits for room on a full disk, unless the runner must stop. */
async function finish(
  status: StatusFile,
  stop: AbortSignal,
  phase: 'done' | 'stopped',
  failed: RunFailure | null,
): Promise<void> {
  for (;;) {
    try {
      return await status.enter(phase, { failure: failed });
    } catch (error) {
      if (stop.aborted || !NO_ROOM.has(errorCode(error) ?? '')) throw error;
      await sleep(RETRY_MS);
    }
  }
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node main.js FOLDER (a folder with spec.json)');
  process.exit(2);
}
main(resolve(folder)).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
