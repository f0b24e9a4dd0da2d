import { readFileSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { goneWithin, isAlive, terminate } from '../../src/process/owner';
import { deviceLock } from '../../src/runner/device-lock';
import type { ScoreSpec } from '../../src/runner/task';
import {
  CANDIDATE,
  GONE_MS,
  SUPERVISOR,
  killYoung,
  left,
  nextAt,
  pidsOf,
  processesWith,
  Workshop,
  type Ended,
} from './workshop';

jest.setTimeout(180_000);

/** Without supervisor and gate, one in eight such kills left a sandbox behind. */
const YOUNG_KILLS = Number(process.env['YOUNG_KILLS'] ?? 40);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

/** Kills a runner while its sandbox starts, `prefix` before the runner's command line. @returns the remaining processes */
async function leftOfKilledYoung(prefix: string[]): Promise<string[]> {
  const marker = `marker-${process.pid}-young`;
  await killYoung([...prefix, process.execPath, workshop.starter, workshop.tree, marker], YOUNG_KILLS);
  return left(marker);
}

describe('in bubblewrap', () => {
  it('a candidate sees no network, no data, no host files and no other processes, and writes to scratch alone', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const home = join(workshop.folder, 'secrets');
    await mkdir(home);
    await writeFile(join(home, 'key'), 'sk-1234');
    const look = ['look', '127.0.0.1', String(port), workshop.data, home, String(process.pid)];
    const { log, status } = await workshop.run(workshop.trainSpec(look), {
      env: { ANTHROPIC_API_KEY: 'sk-1234' },
      waitFor: [await deviceLock('cpu')],
    });
    server.close();
    expect(status).toMatchObject({ failure: null, sandbox: 'bubblewrap' });
    const seen = JSON.parse(/^seen (.*)$/m.exec(log)![1]!);
    expect(seen).toMatchObject({
      data: 'FileNotFoundError',
      home: 'FileNotFoundError',
      passwd: 'FileNotFoundError',
      network: 'ConnectionRefusedError',
      interfaces: ['lo'],
      signal: 'ProcessLookupError',
      processes: [1],
      tree: 'OSError',
      root: 'OSError',
      device: 'OSError',
      kernel: [],
      // CUDA does not start where threads cannot be named.
      'thread name': 'written',
      usr: 'OSError',
      'socket folder': 'OSError',
      scratch: 'written',
      'scratch entries': ['x'],
    });
    // 3 is the folder's own, while it is listed.
    expect(Object.keys(seen.descriptors)).toEqual(['0', '1', '2', '3']);
    expect(seen.environment).not.toContain('ANTHROPIC_API_KEY');
    expect(seen.devices).not.toContain('nvidiactl');
    expect(log).not.toContain('sk-1234');
    expect(log).not.toContain(hostname());
  });

  it('leaves no process behind after a submission', async () => {
    const marker = `marker-${process.pid}-a`;
    const { status } = await workshop.run(workshop.trainSpec(['leftovers', marker]));
    expect(status.failure).toBeNull();
    expect(processesWith(marker)).toEqual([]);
  });

  it.each([['SIGTERM'], ['SIGKILL']] as const)(
    'is gone within seconds of %s to the runner, however deaf',
    async (signal) => {
      const marker = `marker-${process.pid}-${signal}`;
      const spec = workshop.trainSpec(['deaf', marker], { budget: { seconds: 600 }, stallSeconds: 600 });
      const { folder, owner } = await workshop.start(spec);
      await workshop.until(folder, ({ step }) => step === 1);
      expect(processesWith(marker).length).toBeGreaterThanOrEqual(4);
      process.kill(owner.pid, signal);
      expect(await left(marker)).toEqual([]);
      expect(await goneWithin(owner, GONE_MS)).toBe(true);
      const { phase } = await workshop.until(folder, () => true);
      expect(phase).toBe(signal === 'SIGTERM' ? 'stopped' : 'training');
    },
  );

  it('holds its device until it has exited, even after its runner was killed', async () => {
    const marker = `marker-${process.pid}-device`;
    const device = await deviceLock('cpu');
    const spec = workshop.trainSpec(['deaf', marker], { budget: { seconds: 600 }, stallSeconds: 600 });
    const { folder, owner } = await workshop.start(spec, { waitFor: [device] });
    await workshop.until(folder, ({ step }) => step === 1);
    const [candidate] = pidsOf(marker, CANDIDATE);
    // However long it takes to end everything.
    const supervisors = pidsOf(marker, SUPERVISOR);
    for (const pid of supervisors) process.kill(pid, 'SIGSTOP');
    process.kill(owner.pid, 'SIGKILL');
    const told = join(folder, 'told');
    const look = 'kill -0 "$1" && echo there > "$2" || echo gone > "$2"';
    const next = await nextAt(device, folder, ['/bin/sh', '-c', look, 'sh', String(candidate), told]);
    while (isAlive(owner)) await sleep(20);
    // For a next one that wrongly has the lock to look.
    await sleep(500);
    for (const pid of supervisors) process.kill(pid, 'SIGCONT');
    while (isAlive(next)) await sleep(20);
    expect(readFileSync(told, 'utf8')).toBe('gone\n');
  });

  it('never outlives a runner that was killed while it was being set up', async () => {
    expect(await leftOfKilledYoung([])).toEqual([]);
  });

  it('is gone when its supervisor is killed, which counts as killed from outside', async () => {
    const marker = `marker-${process.pid}-supervisor`;
    const { folder } = await workshop.start(
      workshop.trainSpec(['deaf', marker], { budget: { seconds: 600 } }),
    );
    await workshop.until(folder, ({ step }) => step === 1);
    for (const pid of pidsOf(marker, SUPERVISOR)) process.kill(pid, 'SIGKILL');
    const { failure } = await workshop.until(folder, ({ phase }) => phase === 'done');
    expect(failure).toMatchObject({ reason: 'lost', message: 'killed by SIGKILL from outside the run' });
    expect(processesWith(marker)).toEqual([]);
  });

  it('does not hear its own SIGKILL, and is repeated when it hears one of the host', async () => {
    const own = await workshop.run(workshop.trainSpec(['killed']));
    expect(own.status.failure).toMatchObject({ reason: 'error', message: 'RuntimeError: still here' });
    const marker = `marker-${process.pid}-foreign`;
    const { folder } = await workshop.start(
      workshop.trainSpec(['deaf', marker], { budget: { seconds: 600 } }),
    );
    await workshop.until(folder, ({ step }) => step === 1);
    const [candidate] = pidsOf(marker, CANDIDATE);
    process.kill(candidate!, 'SIGKILL');
    const { failure } = await workshop.until(folder, ({ phase }) => phase === 'done');
    expect(failure).toMatchObject({ reason: 'lost', message: 'killed by SIGKILL from outside the run' });
    expect(processesWith(marker)).toEqual([]);
  });

  it.each(['runner', 'candidate', 'supervisor'])(
    'ends within seconds of SIGTERM though the %s is frozen',
    async (frozen) => {
      const marker = `marker-${process.pid}-frozen-${frozen}`;
      const spec = workshop.trainSpec(['deaf', marker], { budget: { seconds: 600 }, stallSeconds: 600 });
      const { folder, owner } = await workshop.start(spec);
      await workshop.until(folder, ({ step }) => step === 1);
      const inside = frozen === 'supervisor' ? SUPERVISOR : CANDIDATE;
      for (const pid of frozen === 'runner' ? [owner.pid] : pidsOf(marker, inside))
        process.kill(pid, 'SIGSTOP');
      await terminate(owner, { graceMs: 4_000 });
      expect(await left(marker)).toEqual([]);
    },
  );

  it('may not get itself spared when memory is short: by the kernel, or where that allows it by the runner', async () => {
    const { status } = await workshop.run(
      workshop.trainSpec(['spares_itself'], { budget: { seconds: 600 } }),
    );
    expect(status.failure?.message).toMatch(/PermissionError|it lowered its oom_score_adj/);
  });

  it('may not start processes without end', async () => {
    const spec = workshop.trainSpec(['forks'], { budget: { seconds: 600 } });
    const { status } = await workshop.run(spec);
    expect(status.failure).toMatchObject({
      reason: 'rejected',
      message: expect.stringMatching(/\d+ processes, at most 512 are allowed/),
    });
  });

  it('leaves nothing on the disk but log, status and submission', async () => {
    const runtime = join(process.env['XDG_RUNTIME_DIR']!, 'autoresearch');
    const before = await readdir(runtime).catch(() => []);
    const { folder } = await workshop.run(workshop.trainSpec(['happy']));
    expect((await readdir(folder)).toSorted()).toEqual([
      'lock',
      'log',
      'runner.log',
      'spec.json',
      'status.json',
      'submission',
    ]);
    expect(await readdir(runtime)).toEqual(before);
  });
});

// Anybody but root runs all the other tests as a plain user.
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;

asRoot('as the user nobody', () => {
  const nobody = 65_534;

  it('a sandbox never outlives a runner that was killed while it was being set up', async () => {
    await chmod(workshop.folder, 0o755);
    const asNobody = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'];
    expect(await leftOfKilledYoung(asNobody)).toEqual([]);
  });

  it('a training is contained and ended all the same', async () => {
    const marker = `marker-${process.pid}-nobody`;
    const spec = workshop.trainSpec(['leftovers', marker]);
    const runtime = await mkdtemp(join(tmpdir(), 'rt-'));
    await chown(runtime, nobody, nobody);
    await chmod(workshop.folder, 0o755);
    await chown(join(spec.submission, '..'), nobody, nobody);
    const { status } = await workshop.run(spec, {
      env: { XDG_RUNTIME_DIR: runtime, HOME: '/nonexistent' },
      prefix: ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'],
    });
    await rm(runtime, { recursive: true });
    expect(status).toMatchObject({ failure: null, sandbox: 'bubblewrap' });
    expect(processesWith(marker)).toEqual([]);
  });

  // Without CAP_SYS_RESOURCE in the worker the kernel lets it.
  it('a training that no longer wants to be ended first is rejected', async () => {
    const spec = workshop.trainSpec(['spares_itself'], { budget: { seconds: 600 } });
    await chmod(workshop.folder, 0o755);
    await chown(join(spec.submission, '..'), nobody, nobody);
    const { log, status } = await workshop.run(spec, {
      env: { HOME: '/nonexistent' },
      prefix: ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'],
    });
    expect(log).toContain('spared');
    expect(status.failure).toMatchObject({
      reason: 'rejected',
      message: expect.stringContaining('oom_score_adj'),
    });
  });
});

asRoot('with the XDG_RUNTIME_DIR of another user, as `su` leaves it', () => {
  it('trains all the same', async () => {
    const nobody = 65_534;
    const spec = workshop.trainSpec(['happy']);
    await chmod(workshop.folder, 0o755);
    await chown(join(spec.submission, '..'), nobody, nobody);
    const runtime = await mkdtemp(join(tmpdir(), 'rt-'));
    const { status } = await workshop.run(spec, {
      env: { XDG_RUNTIME_DIR: runtime, HOME: '/nonexistent' },
      prefix: ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'],
    });
    await rm(runtime, { recursive: true });
    expect(status).toMatchObject({ failure: null, phase: 'done' });
  });
});

describe('without a sandbox', () => {
  const none = { env: { AUTORESEARCH_SANDBOX: 'none' } };

  it('trains alike, says so, and still leaves no process behind', async () => {
    const marker = `marker-${process.pid}-none`;
    const { status, folder } = await workshop.run(workshop.trainSpec(['leftovers', marker]), none);
    expect(status).toMatchObject({ failure: null, sandbox: 'none' });
    expect(processesWith(marker)).toEqual([]);
    expect(readFileSync(join(folder, 'runner.log'), 'utf8')).toContain('sandbox: none');
  });

  it('leaves no process behind when the runner is killed', async () => {
    const marker = `marker-${process.pid}-orphan-none`;
    const spec = workshop.trainSpec(['deaf', marker], { budget: { seconds: 600 } });
    const { folder, owner } = await workshop.start(spec, none);
    await workshop.until(folder, ({ step }) => step === 1);
    process.kill(owner.pid, 'SIGKILL');
    expect(await left(marker)).toEqual([]);
  });

  it('ends the deaf', async () => {
    const marker = `marker-${process.pid}-deaf-none`;
    const spec = workshop.trainSpec(['deaf', marker], { budget: { seconds: 600 }, stallSeconds: 600 });
    const { folder, owner } = await workshop.start(spec, none);
    await workshop.until(folder, ({ step }) => step === 1);
    process.kill(owner.pid, 'SIGTERM');
    await workshop.until(folder, ({ phase }) => phase === 'stopped');
    expect(processesWith(marker)).toEqual([]);
  });
});

describe('a runner that is stopped for a while', () => {
  it('goes on with a budget of steps', async () => {
    const spec = workshop.trainSpec(['held', 'go-on'], { stallSeconds: 8 });
    const { folder, owner } = await workshop.start(spec);
    await workshop.until(folder, ({ step }) => step >= 1);
    process.kill(owner.pid, 'SIGSTOP');
    await writeFile(join(workshop.tree, 'go-on'), '');
    await sleep(10_000);
    process.kill(owner.pid, 'SIGCONT');
    const status = await workshop.until(folder, ({ phase }) => phase === 'done');
    expect(status).toMatchObject({ failure: null, step: 20 });
  });

  it('while the candidate starts up, has lost nothing of its budget', async () => {
    const marker = `marker-${process.pid}-late`;
    const { folder, owner } = await workshop.start(
      workshop.trainSpec(['late', marker], { budget: { seconds: 200 }, startupSeconds: 600 }),
    );
    while (pidsOf(marker, CANDIDATE).length === 0) await sleep(20);
    process.kill(owner.pid, 'SIGSTOP');
    await sleep(5_000);
    process.kill(owner.pid, 'SIGCONT');
    await writeFile(join(workshop.tree, marker), '');
    const status = await workshop.until(folder, ({ phase }) => phase === 'done');
    expect(status.failure).toBeNull();
  });

  it('does not pass off a budget of seconds as whole', async () => {
    const spec = workshop.trainSpec(['slow'], { budget: { seconds: 20 } });
    const { folder, owner } = await workshop.start(spec);
    await workshop.until(folder, ({ step }) => step >= 2);
    process.kill(owner.pid, 'SIGSTOP');
    await sleep(3_000);
    process.kill(owner.pid, 'SIGCONT');
    const status = await workshop.until(folder, ({ phase }) => phase === 'done');
    expect(status.failure).toMatchObject({
      reason: 'lost',
      message: expect.stringMatching(/stopped for \d+ s/),
    });
  });
});

async function scoring(script: string, change: Partial<ScoreSpec> = {}): Promise<ScoreSpec> {
  const code = `import json, os, sys\na = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n${script}`;
  const spec = workshop.scoreSpec(['python', '-c', code], change);
  await mkdir(spec.submission);
  for (const file of ['graph.json', 'weights.safetensors'])
    await writeFile(join(spec.submission, file), file);
  return spec;
}

const score = async (script: string, change: Partial<ScoreSpec> = {}): Promise<Ended> =>
  workshop.run(await scoring(script, change));

const write = (value: string): string => `open(a["--out"], "w").write(${value})\n`;
const good = 'json.dumps({"value": 1.5, "tokens": 10, "bytes": 40, "seconds": 0.1, "parameters": 7})';

describe('scoring', () => {
  it('takes the score from the file, sees data and submission, and cannot change them', async () => {
    const { status } = await score(
      `assert open(a["--graph"]).read() == "graph.json" and open(a["--weights"]).read() == "weights.safetensors"\n` +
        `assert "train.bin" in os.listdir(a["--data"])\n` +
        `for path in [a["--graph"], a["--data"] + "/x"]:\n  try:\n    open(path, "w")\n    sys.exit("written")\n  except OSError: pass\n` +
        write(good),
    );
    expect(status).toMatchObject({
      phase: 'done',
      failure: null,
      parameters: 7,
      score: { value: 1.5, tokens: 10, bytes: 40, seconds: 0.1 },
    });
  });

  it.each([
    [
      'a fault',
      `${write('json.dumps({"error": {"reason": "rejected", "message": "op aten.rand"}})')}sys.exit(3)`,
      'rejected',
      /op aten.rand/,
    ],
    ['no file', '', 'unscorable', /no valid score.json/],
    [
      'NaN',
      write('\'{"value": NaN, "tokens": 1, "bytes": 1, "seconds": 1, "parameters": 1}\''),
      'unscorable',
      /no valid score/,
    ],
    ['a missing field', write('\'{"value": 1}\''), 'unscorable', /no valid score/],
    ['a link', 'os.symlink("/lab/candidate.py", a["--out"])', 'unscorable', /no valid score/],
    ['a huge file', write('" " * 1000000'), 'unscorable', /no valid score/],
    ['a fault without words', 'sys.exit(3)', 'unscorable', /exit code 3, and it printed nothing/],
    ['a crash of its own', 'os.abort()', 'unscorable', /ended by SIG/],
    ['no memory', 'raise MemoryError', 'oom', /MemoryError/],
  ])('%s: %s', async (_what, script, reason, message) => {
    const { status } = await score(script);
    expect(status).toMatchObject({
      phase: 'done',
      score: null,
      failure: { reason, message: expect.stringMatching(message) },
    });
  });

  it("on a full disk is not the candidate's fault: it is repeated", async () => {
    const { status } = await score('raise OSError(28, "No space left on device")');
    expect(status).toMatchObject({
      phase: 'stopped',
      failure: { reason: 'lost', message: expect.stringMatching(/no room on the disk/) },
    });
  });

  it('that fails without a word on the submission is a host error, twice', async () => {
    const spec = await scoring('raise KeyError("weights")');
    for (const time of [1, 2]) {
      const { status } = await workshop.run(spec);
      expect(status).toMatchObject({
        phase: 'stopped',
        failure: {
          reason: 'lost',
          message: `Error: the scorer failed (${time} of 3 times): KeyError: 'weights'`,
        },
      });
    }
    const { status } = await workshop.run(spec);
    expect(status).toMatchObject({
      phase: 'done',
      score: null,
      failure: { reason: 'unscorable', message: "KeyError: 'weights'" },
    });
  });

  it('that fails once is only repeated', async () => {
    const repaired = 'repaired';
    const spec = await scoring(
      `if not os.path.exists(a["--data"] + "/${repaired}"): raise ValueError("val.bin is not what prepare.py wrote")\n` +
        write(good),
    );
    expect((await workshop.run(spec)).status.phase).toBe('stopped');
    await writeFile(join(workshop.data, repaired), '');
    expect((await workshop.run(spec)).status).toMatchObject({
      phase: 'done',
      failure: null,
      score: { value: 1.5 },
    });
  });

  it('has a cap', async () => {
    const { status } = await score('import time; time.sleep(60)', { scoreSeconds: 0.5 });
    expect(status.failure).toMatchObject({ reason: 'timeout', message: 'score cap: not scored after 0.5 s' });
  });
});
