/** One command in a sandbox of its own that needs no talk on the way, from its start to its last process gone. */
import type { BoundedLog } from './log';
import type { Sandbox } from '../domain/experiment';
import { Clock, TICK_MS } from './clock';
import { Contained, type ContainedExit } from './contained';
import { enclose, type Room } from './sandbox';
import type { RunFailure } from './task';
import { Watch } from './watch';

/** How it ended: by itself, at its time limit, on request, or because it used too much of the host. */
export type End =
  | { kind: 'exited'; exit: ContainedExit }
  | { kind: 'overdue' }
  | { kind: 'stopped' }
  | { kind: 'failed'; reason: RunFailure['reason']; message: string };

interface Surroundings {
  sandbox: Sandbox;
  /** Seconds on the runner's clock. */
  seconds: number;
  log: Pick<BoundedLog, 'append'>;
  stop: AbortSignal;
  /** The descriptor of the device's lock, where the runner holds it. */
  device: number | null;
}

/** Everything that it has started is gone when it resolves. */
export async function runContained(
  room: Room,
  { sandbox, seconds, log, stop, device }: Surroundings,
): Promise<End> {
  const enclosed = await enclose(sandbox, room);
  const contained = await Contained.start(sandbox, enclosed, (chunk) => log.append(chunk), device);
  const overdue = cap(seconds);
  let watch: Watch | undefined;
  try {
    return await Promise.race<End>([
      contained.exited.then((exit) => ({ kind: 'exited', exit })),
      overdue.end,
      stopped(stop),
      new Promise((resolve) => {
        watch = new Watch(contained, (reason, message) => resolve({ kind: 'failed', reason, message }));
      }),
    ]);
  } finally {
    watch?.end();
    overdue.clear();
    await contained.kill();
  }
}

function cap(seconds: number): { end: Promise<End>; clear: () => void } {
  const clock = new Clock();
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<End>((resolve) => {
    timer = setInterval(() => {
      if (clock.now() >= seconds) resolve({ kind: 'overdue' });
    }, TICK_MS);
  });
  return { end, clear: () => clearInterval(timer) };
}

/** Kills the process without asking: it has no state to save. */
function stopped(stop: AbortSignal): Promise<End> {
  return new Promise((resolve) => {
    const end = (): void => resolve({ kind: 'stopped' });
    stop.addEventListener('abort', end);
    if (stop.aborted) end();
  });
}
