import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UNLIMITED } from '../../src/domain/limits';
import type { Changes } from '../../src/labs/working-copy';
import { createCommand, type CommandOptions } from '../../src/researchers/command';
import { contextJson } from '../../src/researchers/command-context';
import { BudgetExhausted, SpendGuard } from '../../src/researchers/spend-guard';
import { NoProposal, type ResearchContext } from '../../src/researchers/researcher';
import { makeResearch } from '../ledger/research';
import { contextOf, TRAIN } from './context';

const never = new AbortController().signal;

/** A plain folder instead of the working copy, which test/labs tests. */
async function options(
  command: string,
): Promise<CommandOptions & { removed: boolean; path: string; found: Omit<Changes, 'edits'> }> {
  const path = await mkdtemp(join(tmpdir(), 'workspace-'));
  await writeFile(join(path, 'train.py'), TRAIN);
  const made = {
    command,
    timeoutMs: 60_000,
    path,
    removed: false,
    found: { wrong: [] as string[], left: [] as string[] },
    openWorkspace: () =>
      Promise.resolve({
        path,
        protection: 'none: a plain folder',
        env: {},
        devices: [],
        enclose: (line: string) => Promise.resolve(['/bin/sh', '-c', line]),
        changes: async (): Promise<Changes> => {
          const content = await readFile(join(path, 'train.py'), 'utf8');
          return { ...made.found, edits: content === TRAIN ? [] : [{ path: 'train.py', content }] };
        },
        remove: () => {
          made.removed = true;
          return Promise.resolve();
        },
      }),
  };
  return made;
}

/** A study with a dollar limit whose dearest call cost 2 dollars. */
async function limited(dollars: number): Promise<ResearchContext> {
  const context = await contextOf([{ text: TRAIN, score: 1.5 }]);
  const research = makeResearch({ dearestCall: 2 });
  return {
    ...context,
    history: context.history.map((record) => ({ ...record, dollars: 9, research })),
    left: { ...UNLIMITED, dollars },
    spendGuard: await SpendGuard.open(join(context.folder, 'spent.jsonl'), dollars),
  };
}

const alive = (marker: string): boolean => {
  try {
    return execFileSync('pgrep', ['-f', marker]).length > 0;
  } catch {
    return false;
  }
};

test('it gets the context on stdin, works in its copy, and may describe its change', async () => {
  const script = `python3 -c 'import json, sys
context = json.load(sys.stdin)
text = context["incumbent"]["files"]["train.py"]
open("train.py", "w").write(text.replace("0.02", "0.03"))
print("thinking")
print(json.dumps({"title": "LR up:\\n" + context["hints"][0], "hypothesis": context["program"], "dollars": 0.125}))'`;
  const made = await options(script);
  const context = await contextOf([{ text: TRAIN, score: 1.5 }]);
  const proposal = await createCommand(made).propose(context, never);
  expect(proposal).toMatchObject({ title: 'LR up: try less', hypothesis: 'Make it better.' });
  expect(context.spendGuard.spent()).toBe(0.125);
  expect(proposal.research).toMatchObject({ hints: ['try less'] });
  expect(proposal.edits).toEqual([{ path: 'train.py', content: TRAIN.replace('0.02', '0.03') }]);
  expect(made.removed).toBe(true);
  expect(await readFile(join(context.folder, 'transcript-1.log'), 'utf8')).toContain('thinking');
});

test.each(['true', `echo '{"title": " "}'`])(
  '%s: without a title it gets one from the files',
  async (saying) => {
    const made = await options(`echo "# x" >> train.py; ${saying}`);
    const proposal = await createCommand(made).propose(await contextOf([]), never);
    expect(proposal.title).toBe('change to train.py');
  },
);

test.each([
  ['changes nothing', 'true', 'changed no editable file'],
  ['fails', 'echo "no credit left" >&2; exit 9', 'exit code 9: no credit left'],
])(
  'a command that %s gives no proposal, and the error names the transcript',
  async (_what, command, message) => {
    const made = await options(command);
    const asked = createCommand(made).propose(await contextOf([]), never);
    await expect(asked).rejects.toThrow(NoProposal);
    await expect(asked).rejects.toThrow(message);
    await expect(asked).rejects.toThrow('transcript');
    expect(made.removed).toBe(true);
  },
);

test('exit code 75 makes Temporal retry, and stores no transcripts', async () => {
  const context = await contextOf([]);
  const asked = createCommand(await options('echo "529 Overloaded" >&2; exit 75')).propose(context, never);
  await expect(asked).rejects.toMatchObject({
    type: 'ResearcherAway',
    nonRetryable: false,
    message: expect.stringContaining('529 Overloaded'),
  });
  expect(await readdir(context.folder)).not.toContain('transcript-1.log');
});

/** Fake agents; their error outputs are from the agents' issue trackers. */
describe.each([
  {
    example: 'claude-code.sh',
    agent: 'claude',
    away: [
      '{"type":"result","is_error":true,"result":"API Error: 529 {\\"type\\":\\"error\\"}"}',
      '{"type":"result","is_error":true,"result":"API Error: Repeated 529 Overloaded errors"}',
      '{"type":"result","is_error":true,"result":"Claude AI usage limit reached|1753088400"}',
      '{"type":"result","is_error":true,"result":"API Error: Connection error."}',
    ],
    broken: '{"type":"result","is_error":true,"result":"Invalid API key · Please run /login"}',
    well: '{"type":"result","result":"{\\"title\\": \\"wider\\"}","total_cost_usd":0.25}',
  },
  {
    example: 'codex.sh',
    agent: 'codex',
    away: [
      '{"type":"turn.failed","error":{"message":"stream disconnected before completion: Rate limit"}}',
      '{"type":"error","message":"You\'ve hit your usage limit. Try again later."}',
    ],
    broken: '{"type":"error","message":"the model is not there"}',
    well: '{"type":"item.completed","item":{"type":"agent_message","text":"{\\"title\\": \\"wider\\"}"}}',
  },
])('examples/$example', ({ example, agent, away, broken, well }) => {
  const answering = async (said: string, code: number): Promise<CommandOptions> => {
    const bin = await mkdtemp(join(tmpdir(), 'agent-'));
    await writeFile(join(bin, 'said'), said);
    const script = `#!/bin/sh\necho "WIDTH = 2" >> train.py\ncat ${bin}/said\nexit ${code}\n`;
    await writeFile(join(bin, agent), script, { mode: 0o755 });
    return options(`PATH=${bin}:$PATH ${join(process.cwd(), 'examples', example)}`);
  };

  test("passes on its agent's output", async () => {
    const proposal = await createCommand(await answering(well, 0)).propose(await contextOf([]), never);
    expect(proposal).toMatchObject({ title: 'wider', edits: [{ path: 'train.py' }] });
  });

  test.each(away)('exits with 75 when its agent cannot work now: %s', async (said) => {
    const asked = createCommand(await answering(said, 1)).propose(await contextOf([]), never);
    await expect(asked).rejects.toMatchObject({ type: 'ResearcherAway' });
  });

  test('gives no proposal when its agent is not set up', async () => {
    const asked = createCommand(await answering(broken, 1)).propose(await contextOf([]), never);
    await expect(asked).rejects.toThrow(NoProposal);
  });
});

describe("a key of the worker in an agent's output", () => {
  const KEY = 'a-key-of-nobody-0123456789';
  beforeEach(() => {
    process.env['SOME_API_KEY'] = KEY;
    process.env['AUTORESEARCH_AGENT_ENV'] = 'SOME_API_KEY';
  });
  afterEach(() => {
    delete process.env['SOME_API_KEY'];
    delete process.env['AUTORESEARCH_AGENT_ENV'];
  });

  test('is redacted in transcript, title and hypothesis', async () => {
    const context = await contextOf([]);
    const said = JSON.stringify({ title: `with ${KEY}`, hypothesis: `for ${KEY}` });
    const command = `echo "# x" >> train.py; env; env >&2; echo '${said}'`;
    const proposal = await createCommand(await options(command)).propose(context, never);
    expect(proposal).toMatchObject({ title: 'with [a key was here]', hypothesis: 'for [a key was here]' });
    const transcript = await readFile(join(context.folder, 'transcript-1.log'), 'utf8');
    expect(transcript).toContain('SOME_API_KEY=[a key was here]');
    expect(transcript).not.toContain(KEY);
  });

  test('is redacted in errors, and refused in edits', async () => {
    const failing = createCommand(await options('echo "bad key $SOME_API_KEY" >&2; exit 1'));
    const refusal: unknown = await failing
      .propose(await contextOf([]), never)
      .catch((error: unknown) => error);
    expect(String(refusal)).toContain('bad key [a key was here]');
    const leaking = createCommand(await options('echo "KEY = \'$SOME_API_KEY\'" >> train.py'));
    await expect(leaking.propose(await contextOf([]), never)).rejects.toThrow('what looks like an API key');
  });
});

test('a command that takes too long is killed with its children, even if it ignores SIGTERM', async () => {
  const marker = `leftover-${process.pid}-${Date.now()}`;
  const made = await options(`trap '' TERM; sh -c 'trap "" TERM; sleep 300; : ${marker}' & sleep 300`);
  const asked = createCommand({ ...made, timeoutMs: 500 }).propose(await contextOf([]), never);
  await expect(asked).rejects.toThrow('took more than 0.5 s');
  expect(alive(marker)).toBe(false);
});

/** The reservation of a first call, in US dollars. */
const first = async (callDollars: number | null, limit: number | null): Promise<number> => {
  const context = { ...(await limited(limit ?? 0)), history: [], callDollars };
  const left = { ...UNLIMITED, dollars: limit };
  const spendGuard = await SpendGuard.open(join(context.folder, 'spent.jsonl'), limit);
  await createCommand(await options('echo "# x" >> train.py')).propose(
    { ...context, left, spendGuard },
    never,
  );
  return spendGuard.spent();
};

describe('money', () => {
  const CHANGES = 'echo "# x" >> train.py';

  test('it is not called when the dollars left do not cover the dearest call so far', async () => {
    const made = await options(CHANGES);
    await expect(createCommand(made).propose(await limited(1.99), never)).rejects.toThrow(BudgetExhausted);
    expect(await readFile(join(made.path, 'train.py'), 'utf8')).toBe(TRAIN);
    expect(made.removed).toBe(true);
  });

  test('a finished call costs what it reports, and the command knows the dollars left', async () => {
    const context = await limited(5);
    const saying = await options(
      `${CHANGES}; echo "{\\"title\\": \\"$AUTORESEARCH_DOLLARS_LEFT\\", \\"dollars\\": 0.5}"`,
    );
    expect(await createCommand(saying).propose(context, never)).toMatchObject({ title: '5.0000' });
    expect(context.spendGuard.spent()).toBe(0.5);
  });

  test.each([
    ['says nothing of its cost', CHANGES, 2],
    ['says it so that nobody can read it', `${CHANGES}; echo '{"title": "x", "dollars": "0.5"}'`, 2],
    [
      'says it for one of two calls',
      `${CHANGES}; echo '{"type":"result","total_cost_usd":3}{"type":"result"}'`,
      3,
    ],
  ])(
    'a call that %s counts as the dearest one, and is marked as assumed',
    async (_what, command, dollars) => {
      const context = await limited(5);
      await createCommand(await options(command)).propose(context, never);
      expect(context.spendGuard.account()).toEqual({
        settled: 0,
        assumed: { calls: 1, dollars, most: dollars },
        aside: null,
      });
    },
  );

  test("before any cost is known, a call counts as the study's setting, or as a dollar when money is limited", async () => {
    expect(await first(null, 5)).toBe(1);
    expect(await first(0.25, 5)).toBe(0.25);
    expect(await first(0, 5)).toBe(0);
    expect(await first(0.25, null)).toBe(0.25);
    expect(await first(null, null)).toBe(0);
    await expect(first(null, 0.5)).rejects.toThrow(BudgetExhausted);
  });

  test('a failed call without a cost counts; one whose API is away does not', async () => {
    const context = await limited(5);
    const away = createCommand(await options('exit 75'));
    await expect(away.propose(context, never)).rejects.toMatchObject({ type: 'ResearcherAway' });
    expect(context.spendGuard.spent()).toBe(0);
    const failing = createCommand(await options('exit 9'));
    await expect(failing.propose(context, never)).rejects.toThrow(NoProposal);
    expect(context.spendGuard.account()).toMatchObject({ assumed: { calls: 1, dollars: 2 }, aside: null });
  });

  test('a call that is aborted counts as the dearest one', async () => {
    const context = await limited(5);
    const hanging = createCommand({ ...(await options('sleep 300')), timeoutMs: 300 });
    await expect(hanging.propose(context, never)).rejects.toThrow('took more than');
    expect(context.spendGuard.spent()).toBe(2);
    const told = { ...(await options(`echo '{"dollars": 0.25}'; sleep 300`)), timeoutMs: 6_000 };
    await expect(createCommand(told).propose(context, never)).rejects.toThrow('took more than');
    expect(context.spendGuard.spent()).toBe(2.25);
  });

  test('a command that could not start costs nothing', async () => {
    const context = await limited(5);
    const made = await options(CHANGES);
    const gone = { ...(await made.openWorkspace(context)), path: join(made.path, 'gone') };
    const asked = createCommand({ ...made, openWorkspace: () => Promise.resolve(gone) });
    await expect(asked.propose(context, never)).rejects.not.toBeInstanceOf(NoProposal);
    expect(context.spendGuard.spent()).toBe(0);
  });

  test('assumed costs do not raise the next reservations', async () => {
    const context = await limited(100);
    const hanging = createCommand({ ...(await options('sleep 300')), timeoutMs: 300 });
    for (let call = 1; call <= 3; call++) {
      await expect(hanging.propose(context, never)).rejects.toThrow('took more than');
      expect(context.spendGuard.spent()).toBe(2 * call);
    }
    expect(context.spendGuard.dearestCall()).toBeNull();
  });
});

test('stopping the study ends the command', async () => {
  const marker = `stopped-${process.pid}-${Date.now()}`;
  const made = await options(`touch begun; sleep 300; : ${marker}`);
  const stop = new AbortController();
  const asked = createCommand(made).propose(await contextOf([]), stop.signal);
  while (!existsSync(join(made.path, 'begun'))) await new Promise((wake) => setTimeout(wake, 20));
  stop.abort();
  await expect(asked).rejects.toThrow('was ended');
  expect(alive(marker)).toBe(false);
  expect(made.removed).toBe(true);
});

test('a leftover child with open output does not delay the proposal', async () => {
  const made = await options(
    `setsid sleep 60 & echo "# a change" >> train.py; echo '{"title": "with a daemon"}'`,
  );
  const from = performance.now();
  const proposal = await createCommand(made).propose(await contextOf([{ text: TRAIN, score: 1.5 }]), never);
  expect(proposal.title).toBe('with a daemon');
  expect(performance.now() - from).toBeLessThan(20_000);
});

const past = (count: number) =>
  Array.from({ length: count }, (_, number) => ({ text: `x = ${number % 10}\n`, score: 1.5 }));

test('the context does not grow with the study; a file has the whole ledger', async () => {
  const size = async (count: number) => contextJson(await contextOf(past(count))).length;
  expect(await size(1000)).toBeLessThan((await size(100)) + 500);
  const made = await options(`python3 -c 'import json, sys
context = json.load(sys.stdin)
assert len(open(context["ledger"]).readlines()) == 1000 and context["counts"]["experiments"] == 1000
open("train.py", "a").write("# read")'`);
  const context = await contextOf(past(1000));
  expect((await createCommand(made).propose(context, never)).edits).toHaveLength(1);
});

test('it gets only the environment variables that agents need or the user declares', async () => {
  const given = {
    CLAUDE_CODE_X: 'given',
    CODEX_X: 'given',
    https_proxy: 'given',
    LC_TIME: 'given',
    MINE_X: 'given',
    ALSO_X: 'given',
    AUTORESEARCH_AGENT_ENV: 'MINE_X, ALSO_X,TEMPORAL_X,AUTORESEARCH_CODEC_KEY',
  };
  const hidden = {
    TEMPORAL_X: 'hidden',
    AUTORESEARCH_CODEC_KEY: 'hidden',
    AWS_X: 'hidden',
    GITHUB_TOKEN: 'hidden',
    NODE_OPTIONS: '--no-warnings',
    LD_PRELOAD_X: 'hidden',
    AUTORESEARCH_PYTHON_X: 'hidden',
  };
  const before = { ...process.env };
  Object.assign(process.env, given, hidden);
  try {
    const context = await contextOf([]);
    await createCommand(await options('env; echo "# x" >> train.py')).propose(context, never);
    const transcript = await readFile(join(context.folder, 'transcript-1.log'), 'utf8');
    const names = [...transcript.matchAll(/^(\w+)=/gm)].map(([, name]) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        ...Object.keys(given).filter((name) => name !== 'AUTORESEARCH_AGENT_ENV'),
        'PATH',
        'AUTORESEARCH_TAG',
        'AUTORESEARCH_EXPERIMENT',
      ]),
    );
    for (const name of Object.keys(hidden)) expect(names).not.toContain(name);
  } finally {
    process.env = before;
  }
});

test('changes to locked files come back as an objection', async () => {
  const made = await options('echo "# x" >> train.py');
  made.found.wrong = ['score.py was changed, and is not editable'];
  const asked = createCommand(made).propose(await contextOf([]), never);
  await expect(asked).rejects.toBeInstanceOf(NoProposal);
  await expect(asked).rejects.toMatchObject({
    objection: { kind: 'edits', message: expect.stringMatching(/^score\.py was changed.*only train\.py/) },
  });
});

test('other changed files are ignored, and the record says so in one line', async () => {
  const made = await options(`echo "# x" >> train.py; echo '{"hypothesis": "it helps"}'`);
  made.found.left = ['.claude/', 'NOTES\n.md', 'a', 'b', 'c', 'd', 'e'];
  const { hypothesis, edits } = await createCommand(made).propose(await contextOf([]), never);
  expect(edits).toHaveLength(1);
  expect(hypothesis).toBe(
    'it helps\n(ignored changes to files that are not editable: .claude/, NOTES .md, a, b, c, 2 more)',
  );
});
