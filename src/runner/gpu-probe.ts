/**
 * Whether the GPU is to blame for a failure. A host can lose a GPU whose device files stay: its driver was replaced beneath it, a
 * container's devices were taken away, it has fallen off the bus. To the candidate that is an exception like those of its own, so
 * after a failure the same little thing is tried in the same kind of sandbox, by nobody's code but ours.
 */
import { join } from 'node:path';
import { countFailure } from './count-failure';
import { exitFailure } from './failure';
import { isGpu } from './gpu-file';
import { runContained, type End } from './run-contained';
import type { RunFailure, TaskSpec } from './task';
import type { Ending, TaskContext } from './model/training';

/** A lost GPU does not make numbers that are not finite, and `lost` blames no candidate as it is. */
const TELLS_NOTHING = new Set<RunFailure['reason']>(['diverged', 'lost']);
/** For importing torch from a slow disk; no longer than the lab lets a start-up or a scoring take, which need the same. */
const PROBE_SECONDS = 120;
/** Of its output, what is kept. */
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
/** What has trained, and left a GPU that does not work so often, may be what breaks it: the study is not to wait for ever. */
const MAX_FAILURES = 3;
const FAILURES_FILE = 'gpu-failures';

/**
 * The ending of a task, once it is clear that the GPU works; `stopped` when somebody asked for that meanwhile.
 * @throws Error if it does not: nobody can tell then what the candidate is worth, unless that happens each time it trains
 */
export async function unlessGpuFails(spec: TaskSpec, context: TaskContext, ending: Ending): Promise<Ending> {
  if (!isGpu(spec.device) || ending.kind !== 'failed' || TELLS_NOTHING.has(ending.reason)) return ending;
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
  console.log(`${ending.reason}: ${ending.message}; trying whether ${spec.device} works`);
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
