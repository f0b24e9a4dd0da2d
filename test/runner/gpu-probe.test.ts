import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TrainSpec } from '../../src/runner/task';
import { left, Workshop } from './workshop';

jest.setTimeout(180_000);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

/** No GPU is needed without a sandbox: the candidates here use none, and the interpreter plays what the probe finds. */
const none = { env: { AUTORESEARCH_SANDBOX: 'none' } };

let made = 0;
/** A run on a GPU whose probe, the only isolated command, is a shell script. */
async function onGpu(
  probe: string,
  candidate: string[],
  change: Partial<TrainSpec> = {},
): Promise<TrainSpec> {
  const python = join(workshop.folder, `python-${made++}`);
  await writeFile(python, `#!/bin/sh\nif [ "$1" = -I ]; then\n${probe}\nfi\nexec /usr/bin/python3 "$@"\n`);
  await chmod(python, 0o755);
  return workshop.trainSpec(candidate, { python, device: 'cuda:0', ...change });
}

const WORKS = 'exit 0';
const GONE = 'echo "RuntimeError: CUDA unknown error" >&2; exit 1';

const hangs = (marker: string): string =>
  `touch ${marker}; exec /usr/bin/python3 -c "import time; time.sleep(600)" ${marker}`;

describe('a candidate that fails', () => {
  it.each([
    ['crash', {}],
    ['cuda_memory', {}],
    ['silent', { startupSeconds: 2 }],
    ['stall', { stallSeconds: 0.5, budget: { steps: 30 } }],
    ['closes', {}],
  ] as const)('on a GPU that is gone is not to blame: %s', async (candidate, change: Partial<TrainSpec>) => {
    const { status } = await workshop.run(await onGpu(GONE, [candidate], change), none);
    expect(status).toMatchObject({
      phase: 'stopped',
      failure: {
        reason: 'lost',
        message: expect.stringMatching(/^Error: cuda:0 does not work \(see nvidia-smi/),
      },
    });
  });

  it.each([
    ['crash', 'error'],
    ['cuda_memory', 'oom'],
    ['no_result', 'rejected'],
  ])('on a GPU that works is: %s', async (candidate, reason) => {
    const { status } = await workshop.run(await onGpu(WORKS, [candidate]), none);
    expect(status).toMatchObject({ phase: 'done', failure: { reason } });
  });

  it('logs the output of the probe, and leaves the failure unchanged', async () => {
    const { status, log } = await workshop.run(await onGpu(GONE, ['crash']), none);
    expect(status.failure?.message).toMatch(/: RuntimeError: CUDA unknown error$/);
    expect(log).toContain('ValueError: a wrong');
    expect(log).not.toContain('CUDA unknown error');
  });

  it('in a lab without torch is to blame: there is nothing to try the GPU with', async () => {
    const withoutPackages = 'exec /usr/bin/python3 -S "$@"';
    const { status } = await workshop.run(await onGpu(withoutPackages, ['crash']), none);
    expect(status).toMatchObject({ phase: 'done', failure: { reason: 'error' } });
  });

  it.each([
    ['a loss that is not finite', 'nan', 'cuda:0', 'diverged'],
    ['a CPU', 'crash', 'cpu', 'error'],
  ])('is not doubted with %s', async (_what, candidate, device, reason) => {
    const { status } = await workshop.run(await onGpu(GONE, [candidate], { device }), none);
    expect(status).toMatchObject({ phase: 'done', failure: { reason } });
  });
});

test('a candidate that has trained, and after which the GPU does not work the third time, is the one to blame', async () => {
  const spec = await onGpu(GONE, ['stall'], { stallSeconds: 0.5, budget: { steps: 30 } });
  const phases = [];
  for (let nth = 1; nth <= 3; nth++) phases.push((await workshop.run(spec, none)).status.phase);
  expect(phases).toEqual(['stopped', 'stopped', 'done']);
});

test('where torch knows no CUDA there is nothing to try the GPU with', async () => {
  const folder = join(workshop.folder, 'cpu-torch');
  await mkdir(join(folder, 'torch', 'backends', 'cuda'), { recursive: true });
  await writeFile(join(folder, 'torch', '__init__.py'), 'import torch.backends.cuda');
  await writeFile(join(folder, 'torch', 'backends', '__init__.py'), '');
  const isBuilt = 'def is_built():\n    return False\n';
  await writeFile(join(folder, 'torch', 'backends', 'cuda', '__init__.py'), isBuilt);
  const probe = `exec /usr/bin/python3 -c "import sys; sys.path.insert(0, '${folder}'); exec(sys.argv[1])" "$3"`;
  const { status } = await workshop.run(await onGpu(probe, ['crash']), none);
  expect(status).toMatchObject({ phase: 'done', failure: { reason: 'error' } });
});

test('a submission on a GPU that is gone since is a submission', async () => {
  const { status } = await workshop.run(await onGpu(GONE, ['happy']), none);
  expect(status).toMatchObject({ phase: 'done', failure: null });
});

test('a scorer that finds no GPU does not make its submission unscorable', async () => {
  const { python, device } = await onGpu(GONE, []);
  const fault = '{"error": {"reason": "unscorable", "message": "the graph does not run: CUDA error"}}';
  const script = `import sys\nopen(sys.argv[sys.argv.index("--out") + 1], "w").write('${fault}')\nsys.exit(3)`;
  const { status } = await workshop.run(
    workshop.scoreSpec(['python', '-c', script], { python, device }),
    none,
  );
  expect(status).toMatchObject({ phase: 'stopped', failure: { reason: 'lost' } });
});

describe('a probe that hangs', () => {
  it('says that the GPU does not work', async () => {
    const marker = join(workshop.folder, 'hangs');
    const { status } = await workshop.run(await onGpu(hangs(marker), ['crash'], { startupSeconds: 3 }), none);
    expect(status).toMatchObject({
      phase: 'stopped',
      failure: { reason: 'lost', message: expect.stringMatching(/: no answer in 3 s$/) },
    });
    expect(await left(marker)).toEqual([]);
  });

  it('is ended with its runner', async () => {
    const marker = join(workshop.folder, 'ended');
    const { folder, owner } = await workshop.start(
      await onGpu(hangs(marker), ['crash'], { startupSeconds: 600 }),
      none,
    );
    while (!existsSync(marker)) await sleep(20);
    process.kill(owner.pid, 'SIGTERM');
    const { phase, failure } = await workshop.until(folder, (status) => status.phase !== 'training');
    expect({ phase, failure }).toEqual({ phase: 'stopped', failure: null });
    expect(await left(marker)).toEqual([]);
  });
});
