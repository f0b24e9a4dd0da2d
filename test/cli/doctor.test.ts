import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { run } from '../../src/cli/program';
import { fakePrograms, realPrograms } from '../host/fake-programs';
import { ensureServer } from '../../src/host/server';
import { freePorts, useOwnState } from '../temporal/own-state';

useOwnState();

const answerSchema = z.object({
  ok: z.boolean(),
  checks: z.array(
    z.object({
      name: z.string(),
      state: z.enum(['ok', 'warning', 'missing']),
      found: z.string(),
      todo: z.string().nullable(),
    }),
  ),
});

async function doctor(): Promise<{
  exitCode: number;
  ok: boolean;
  states: Record<string, string>;
  checks: z.infer<typeof answerSchema>['checks'];
}> {
  let written = '';
  const stdout = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written += String(text);
    return true;
  });
  try {
    const exitCode = await run(['doctor', '--json']);
    const { ok, checks } = answerSchema.parse(JSON.parse(written));
    return {
      exitCode,
      ok,
      checks,
      states: Object.fromEntries(checks.map(({ name, state }) => [name, state])),
    };
  } finally {
    stdout.mockRestore();
    process.exitCode = undefined;
  }
}

test('with nothing running, tells every part, and what to do where something is to be done', async () => {
  const { exitCode, ok, states, checks } = await doctor();
  expect({ exitCode, ok }).toEqual({ exitCode: 0, ok: true });
  expect(states).toMatchObject({
    Node: 'ok',
    git: 'ok',
    Python: 'ok',
    'Temporal binary': 'ok',
    'Temporal server': 'warning',
    worker: 'warning',
  });
  expect(checks.find(({ name }) => name === 'limits of a run')?.found).toMatch(
    /^processes: (cgroup v2|RLIMIT_NPROC|pid_max of the PID namespace|only the runner watches it); memory: /,
  );
  for (const { state, todo } of checks) expect(todo === null).toBe(state === 'ok');
});

test('with a server running, tells its address, retention and search attributes', async () => {
  const { address } = await ensureServer(await freePorts(), () => undefined);
  const { checks } = await doctor();
  const found = (name: string): string | undefined => checks.find((check) => check.name === name)?.found;
  expect(found('Temporal server')).toContain(address);
  expect(found('namespace default')).toContain('90 days');
  expect(found('search attributes')).toBe('registered');
});

test('a server that is named and does not answer is missing, with what to do', async () => {
  const { port } = await freePorts();
  process.env['TEMPORAL_ADDRESS'] = `127.0.0.1:${port}`;
  const { exitCode, checks } = await doctor();
  expect(exitCode).toBe(7);
  expect(checks.find(({ name }) => name === 'Temporal server')).toMatchObject({
    state: 'missing',
    found: expect.stringContaining(`127.0.0.1:${port}`),
    todo: expect.stringContaining('TEMPORAL_ADDRESS'),
  });
});

test('without git, and with an old Python, exits 7 and says how to get them', async () => {
  process.env['PATH'] =
    `${fakePrograms({ python3: `printf '/usr/bin/python3\\n3.9.2\\n'` })}:${realPrograms(['sh', 'env'])}`;
  delete process.env['AUTORESEARCH_PYTHON'];
  const { exitCode, ok, checks } = await doctor();
  expect({ exitCode, ok }).toEqual({ exitCode: 7, ok: false });
  expect(checks.find(({ name }) => name === 'git')).toMatchObject({
    state: 'missing',
    todo: expect.stringContaining('apt-get install git'),
  });
  expect(checks.find(({ name }) => name === 'Python')?.found).toContain('3.9.2');
});

test('a sandbox that cannot work is said loudly', async () => {
  process.env['AUTORESEARCH_SANDBOX'] = 'none';
  const { checks } = await doctor();
  expect(checks.find(({ name }) => name === 'sandbox')).toMatchObject({
    state: 'warning',
    found: expect.stringContaining('NONE'),
  });
});

test('without a place for sockets, says so', () => {
  const temporary = mkdtempSync(join(tmpdir(), 'rt-'));
  writeFileSync(join(temporary, `autoresearch-${userInfo().uid}`), '');
  // In a process of its own, for jest's environment is not what `tmpdir` looks at.
  const call = [
    join(__dirname, '..', 'ledger', 'child.js'),
    require.resolve('../../src/cli/program'),
    'run',
    JSON.stringify([['doctor', '--json']]),
  ];
  const env = { ...process.env, TMPDIR: temporary, XDG_RUNTIME_DIR: undefined };
  const { stdout } = spawnSync(process.execPath, call, { env, encoding: 'utf8' });
  rmSync(temporary, { recursive: true });
  const { ok, checks } = answerSchema.parse(JSON.parse(stdout));
  expect(ok).toBe(false);
  expect(checks.find(({ name }) => name === 'sockets')).toMatchObject({
    state: 'missing',
    found: expect.stringContaining(temporary),
    todo: expect.stringContaining('XDG_RUNTIME_DIR'),
  });
});
