/** Runs the command line in this process, on a state folder of the test's own and without a server. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StudyConfig } from '../../src/domain/study';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { run } from '../../src/cli/program';
import { rememberLab } from '../../src/studies/known-labs';
import { appendRecord, openLedger } from '../../src/ledger/ledger';
import { baseRef, branchRef } from '../../src/ledger/refs';
import { makeLab, makeRecord, makeStudy } from '../labs/make-lab';

const callersCache = process.env['XDG_CACHE_HOME'];
// As `npx autoresearch` calls it from the checkout.
process.env['npm_command'] = 'exec';
const state = mkdtempSync(join(tmpdir(), 'autoresearch-cli-'));
process.env['XDG_STATE_HOME'] = join(state, 'state');
process.env['XDG_CACHE_HOME'] = join(state, 'cache');
process.env['TEMPORAL_CONFIG_FILE'] = join(state, 'temporal.toml');
for (const name of ['TEMPORAL_ADDRESS', 'TEMPORAL_PROFILE', 'FORCE_COLOR', 'AUTORESEARCH_DEBUG'])
  delete process.env[name];
afterAll(() => rmSync(state, { recursive: true, force: true }));

/** Runs `work` with the caller's own cache, where the Temporal server lies that the set-up made. */
export async function withCallersCache<T>(work: () => Promise<T>): Promise<T> {
  const own = process.env['XDG_CACHE_HOME'];
  if (callersCache === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = callersCache;
  try {
    return await work();
  } finally {
    process.env['XDG_CACHE_HOME'] = own;
  }
}

export interface Invocation {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export async function autoresearch(...argv: string[]): Promise<Invocation> {
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    jest.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += String(text);
      return true;
    }),
  );
  try {
    return { exitCode: await run(argv), ...said };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** What a command said with `--json`: one document, and nothing beside it. */
// oxlint-disable-next-line typescript/no-explicit-any -- each test says what it expects of it
export async function asJson(...argv: string[]): Promise<{ exitCode: number; document: any }> {
  const { exitCode, stdout } = await autoresearch(...argv, '--json');
  return { exitCode, document: JSON.parse(stdout) };
}

/** A known lab with studies whose ledgers hold these records. */
export async function labWith(
  studies: Record<string, Partial<ExperimentRecord>[]>,
): Promise<{ root: string; studies: StudyConfig[] }> {
  const { root, git, base } = makeLab();
  const configs: StudyConfig[] = [];
  for (const [tag, records] of Object.entries(studies)) {
    const study = makeStudy(root, base, tag);
    await openLedger(git, study);
    await git.moveRef(baseRef(tag), base, null);
    await git.moveRef(branchRef(tag), base, null);
    for (const [number, change] of records.entries()) {
      await appendRecord(git, study, makeRecord(study, number, { commit: base, ...change }));
    }
    configs.push(study);
  }
  await rememberLab(root);
  return { root, studies: configs };
}
