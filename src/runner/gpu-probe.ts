/**
 * Finds out whether the GPU caused a failure. A host can lose a GPU whose device files stay: its driver was replaced, a container
 * lost its devices, it fell off the bus. The candidate then fails with an exception like its own, so after a failure a small
 * program of the runner uses the GPU in the same kind of sandbox.
 */
import { join } from 'node:path';
import { countFailure } from './count-failure';
import { exitFailure } from './failure';
import { isGpu } from './gpu-file';
import { runContained, type End } from './run-contained';
import type { RunFailure, TaskSpec } from './task';
import type { Ending, TaskContext } from './model/training';

/** A lost GPU does not cause a non-finite loss, and `lost` blames no candidate anyway. */
const UNRELATED = new Set<RunFailure['reason']>(['diverged', 'lost']);
/** For importing torch from a slow disk; the lab's cap for a start-up or a scoring, if shorter. */
const PROBE_SECONDS = 120;
/** The end of the output that is logged. */
const OUTPUT_CHARACTERS = 16_000;
const PROBE = `
try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise SystemExit(0)  # nothing to try it with
if not torch.backends.cuda.is_built():
    raise SystemExit(0)  # whatever the candidate trains with, it is not this
torch.zeros(1, device="cuda").item()
`;
/** After so many GPU failures in training, the candidate itself may break the GPU: the study must not wait for ever. */
const MAX_FAILURES = 3;
const FAILURES_FILE = 'gpu-failures';

/**
 * The ending of a task if the GPU works; `stopped` if that was requested meanwhile.
 * @throws Error if the GPU does not work, a host error, unless this candidate has seen that `MAX_FAILURES` times
 */
export async function unlessGpuFails(spec: TaskSpec, context: TaskContext, ending: Ending): Promise<Ending> {
  if (!isGpu(spec.device) || ending.kind !== 'failed' || UNRELATED.has(ending.reason)) return ending;
  const room = {
    ...spec,
    command: ['python', '-I', '-c', PROBE],
    scratch: join(context.folder, 'scratch'),
    folders: [],
    env: {},
  };
  const { sandbox } = context.status.value;
  const seconds = Math.min(PROBE_SECONDS, spec.kind === 'train' ? spec.startupSeconds : spec.scoreSeconds);
  let output = '';
  const append = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARACTERS);
  };
  console.log(`${ending.reason}: ${ending.message}; testing whether ${spec.device} works`);
  const end = await runContained(room, { ...context, sandbox, seconds, log: { append } });
  if (end.kind === 'stopped') return end;
  if (end.kind === 'exited' && end.exit.code === 0) return ending;
  if (output !== '') console.error(output);
  const message = `${spec.device} does not work (see nvidia-smi; dmesg for Xid): ${why(end, seconds, output)}`;
  const hasTrained = context.status.value.startedAt !== null;
  if (hasTrained && (await countFailure(join(context.folder, FAILURES_FILE), message)) >= MAX_FAILURES)
    return ending;
  throw new Error(message);
}

function why(end: Exclude<End, { kind: 'stopped' }>, seconds: number, output: string): string {
  if (end.kind === 'overdue') return `no answer in ${seconds} s`;
  return end.kind === 'exited' ? exitFailure(end.exit, output).message : end.message;
}
