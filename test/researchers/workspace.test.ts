import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCommand } from '../../src/researchers/command';
import { copiesIn, removeCopies } from '../../src/labs/working-copy';
import { openWorkspace } from '../../src/researchers/workspace';
import type { ResearchContext } from '../../src/researchers/researcher';
import { asset } from '../../src/process/package-root';
import { makeLab, temporary, write, git } from '../labs/make-lab';
import { contextOf } from './context';

// Jest gives tests a copy of the environment, but libuv reads the real one.
jest.mock('node:os', () => ({
  ...jest.requireActual<Record<string, unknown>>('node:os'),
  homedir: () => process.env['HOME'] ?? '/',
}));

const never = new AbortController().signal;
const before = { ...process.env };
afterEach(() => (process.env = { ...before }));

async function place(command: string, change: Partial<ResearchContext> = {}) {
  const lab = makeLab();
  const context = await contextOf([{ text: 'x', score: 1 }]);
  const files = { 'train.py': await lab.git.text(['show', `${lab.base}:train.py`]) };
  const given: ResearchContext = {
    ...context,
    lab: { ...context.lab, editable: ['train.py', 'new.py'] },
    incumbent: { commit: lab.base, files },
    ...change,
  };
  const researcher = createCommand({
    command,
    timeoutMs: 30_000,
    openWorkspace: (each) => openWorkspace({ lab: lab.root, base: lab.base }, each),
  });
  return { lab, context: given, propose: () => researcher.propose(given, never) };
}

test('it can write its copy and the declared folders, and nothing else in the home folder', async () => {
  const home = temporary('home');
  write(home, {
    '.bashrc': 'mine\n',
    '.claude/sessions/a': 'a\n',
    '.claude/settings.json': '{}\n',
    '.claude.json': '1\n',
  });
  const declared = temporary('declared');
  process.env['HOME'] = home;
  process.env['AUTORESEARCH_AGENT_WRITES'] = declared;
  const { propose } = await place(`echo "X = 1" >train.py; echo "Y = 1" >new.py; echo notes >NOTES.md
echo mine >>"$HOME/.bashrc"; echo mine >"$HOME/.profile"; echo mine >"$HOME/.claude/sessions/b"
echo mine >"$HOME/.claude.json"; echo mine >"$HOME/.claude/settings.json"
echo mine >${declared}/file; echo mine >"\${TMPDIR:-/tmp}/mine" && echo '{"hypothesis": "ok"}'`);
  const { edits, hypothesis } = await propose();
  expect(edits).toEqual([
    { path: 'train.py', content: 'X = 1\n' },
    { path: 'new.py', content: 'Y = 1\n' },
  ]);
  expect(hypothesis).toBe('ok\n(ignored changes to files that are not editable: NOTES.md)');
  const read = (name: string) => readFileSync(join(home, name), 'utf8');
  expect(read('.bashrc')).toBe('mine\n');
  expect(existsSync(join(home, '.profile'))).toBe(false);
  expect(read('.claude/sessions/b')).toBe('mine\n');
  expect(read('.claude.json')).toBe('mine\n');
  expect(read('.claude/settings.json')).toBe('{}\n');
  expect(readFileSync(join(declared, 'file'), 'utf8')).toBe('mine\n');
});

test.each([
  ['/', 'too much'],
  ['/tmp', 'too much'],
  ['HOME', 'whole home folder'],
  ['HOME/.ssh', 'keys'],
  ['HOME/.config', 'the files of autoresearch'],
  ['HOME/.bashrc', 'start-up files'],
  ['HOME/.local/bin', 'start-up files'],
  ['HOME/.local/state', 'the files of autoresearch'],
  ['HOME/link', 'the lab'],
  ['LAB/data', 'the lab'],
  ['HOME/none', 'does not exist'],
  ['relative', 'not an absolute path'],
  ['/etc', 'a system folder'],
])('%s may not be declared: %s', async (name, why) => {
  const home = temporary('home');
  write(home, { '.bashrc': '', '.ssh/id': '', '.config/gh/x': '', '.local/bin/x': '', '.local/state/x': '' });
  process.env['HOME'] = home;
  const { propose, lab } = await place('echo "X = 1" >train.py');
  symlinkSync(lab.root, join(home, 'link'));
  mkdirSync(join(lab.root, 'data'));
  process.env['AUTORESEARCH_AGENT_WRITES'] = name.replace('HOME', home).replace('LAB', lab.root);
  await expect(propose()).rejects.toMatchObject({
    name: 'AgentSettingsError',
    message: expect.stringMatching(new RegExp(`AUTORESEARCH_AGENT_WRITES names .*${why}`)),
  });
});

test.each(['bubblewrap', 'none'])(
  'with %s, litter is left out and a locked file goes back',
  async (sandbox) => {
    process.env['AUTORESEARCH_SANDBOX'] = sandbox;
    const { propose, context } = await place(
      'python3 -m py_compile train.py; mkdir .claude; echo {} >.claude/x; echo x >run.log; echo "X = 1" >train.py; echo "$AUTORESEARCH_SANDBOX"',
    );
    const { edits, hypothesis } = await propose();
    expect(edits).toEqual([{ path: 'train.py', content: 'X = 1\n' }]);
    expect(hypothesis).toBe(
      '(ignored changes to files that are not editable: .claude/, __pycache__/, run.log)',
    );
    const transcript = await readFile(join(context.folder, 'transcript-1.log'), 'utf8');
    expect(transcript).toContain(
      sandbox === 'none' ? 'no sandbox (AUTORESEARCH_SANDBOX=none)' : 'bubblewrap:',
    );
    expect(transcript).toMatch(new RegExp(`^${sandbox}$`, 'm'));
    const { propose: cheat } = await place(
      'echo "X = 1" >train.py; echo "print(0)" >score.py; mv lab.yaml x',
    );
    await expect(cheat()).rejects.toMatchObject({
      name: 'NoProposal',
      objection: { message: expect.stringContaining('score.py was changed, and is not editable') },
    });
  },
);

test('a repair begins from the crashed candidate; each try has its transcript', async () => {
  const lab = makeLab();
  write(lab.root, { 'train.py': 'BROKEN = 1\n' });
  git(lab.root, 'commit', '-qam', 'crashed');
  const commit = git(lab.root, 'rev-parse', 'HEAD');
  const failure = { reason: 'error', message: 'it failed', tail: 'Traceback' } as const;
  const base = await contextOf([]);
  const context: ResearchContext = {
    ...base,
    incumbent: { ...base.incumbent, commit: lab.base },
    refused: [{ kind: 'repeat', message: 'it is experiment 3' }],
    repair: {
      researcher: null,
      attempt: 1,
      of: 2,
      commit,
      files: { 'train.py': 'BROKEN = 1\n' },
      title: 'wider',
      hypothesis: '',
      failure,
    },
  };
  const script = `python3 -c 'import json, sys
context = json.load(sys.stdin)
assert context["version"] == 2 and context["repair"]["failure"]["tail"] == "Traceback", context
assert context["objection"]["message"] == "it is experiment 3"
assert open(context["ledger"]).read() == ""
text = open("train.py").read()
open("train.py", "w").write(text.replace("BROKEN", "MENDED"))'`;
  const researcher = createCommand({
    command: script,
    timeoutMs: 30_000,
    openWorkspace: (each) => openWorkspace({ lab: lab.root, base: lab.base }, each),
  });
  for (let tries = 0; tries < 2; tries++) {
    expect((await researcher.propose(context, never)).edits).toEqual([
      { path: 'train.py', content: 'MENDED = 1\n' },
    ]);
  }
  const names = (await readdir(context.folder)).filter((name) => name.startsWith('transcript'));
  expect(names.toSorted()).toEqual(['transcript-1.log', 'transcript-2.log']);
});

test("a replaced attempt that still runs leaves the next one's copy and ledger alone", async () => {
  const { lab, context } = await place('');
  const signs = temporary('signs');
  process.env['AUTORESEARCH_AGENT_WRITES'] = signs;
  const ask = (command: string, signal: AbortSignal) =>
    createCommand({
      command,
      timeoutMs: 60_000,
      openWorkspace: (each) => openWorkspace({ lab: lab.root, base: lab.base }, each),
    }).propose(context, signal);
  const stale = new AbortController();
  const first = ask(`touch ${signs}/first; exec sleep 600`, stale.signal);
  first.catch(() => undefined);
  await seen(join(signs, 'first'));
  const second = ask(
    `echo "X = 1" >train.py; touch ${signs}/second; while [ ! -e ${signs}/go ]; do sleep 0.05; done; test -e ../../../ledger.jsonl`,
    never,
  );
  await seen(join(signs, 'second'));
  stale.abort();
  await expect(first).rejects.toThrow('was ended');
  await writeFile(join(signs, 'go'), '');
  expect((await second).edits).toEqual([{ path: 'train.py', content: 'X = 1\n' }]);
  expect(await readdir(join(context.folder, 'worktree'))).toEqual([]);
});

async function seen(file: string): Promise<void> {
  while (!existsSync(file)) await sleep(20);
}

test('files of killed attempts are deleted', async () => {
  const { lab, context } = await place('');
  const study = { lab: lab.root, base: lab.base };
  const gone = await openWorkspace(study, context);
  await rm(gone.path, { recursive: true });
  const left = await openWorkspace(study, context);
  await removeCopies(copiesIn(context.folder));
  await removeCopies(copiesIn(context.folder));
  expect(existsSync(left.path)).toBe(false);
});

/** Stands in for the agent: reads the context file that its prompt names, edits in place, prints recorded output. */
async function standIn(name: string, output: string): Promise<string> {
  const folder = temporary('bin');
  await mkdir(folder, { recursive: true });
  const file = join(folder, name);
  const script = `#!/usr/bin/python3
import json, re, sys
prompt = next(word for word in sys.argv[1:] if "training lab" in word)
context = json.load(open(re.search(r"\\S+(?= is a JSON)", prompt)[0]))
assert context["version"] == 2 and context["editable"] == ["train.py", "new.py"], context
assert context["budget"] == {"seconds": 300} and context["others"] == [], context
open("train.py", "a").write("WIDTH = 9\\n")
print(${JSON.stringify(output)})
`;
  await writeFile(file, script);
  await chmod(file, 0o755);
  return folder;
}

test.each([
  [
    'claude',
    'claude-code.sh',
    JSON.stringify({ type: 'result', result: 'Wider\n{"title": "wider"}', total_cost_usd: 0.25 }),
    0.25,
  ],
  [
    'codex',
    'codex.sh',
    [
      { type: 'item.completed', item: { id: 'item_1', type: 'agent_message', text: '{"title": "wider"}' } },
      { type: 'turn.completed', usage: { input_tokens: 10, cached_input_tokens: 4, output_tokens: 2 } },
    ]
      .map((event) => JSON.stringify(event))
      .join('\n'),
    0,
  ],
])('the example for %s', async (name, example, output, dollars) => {
  process.env['PATH'] = `${await standIn(name, output)}:${process.env['PATH']}`;
  const { propose, context } = await place(asset('examples', example));
  const proposal = await propose();
  expect(proposal.title).toBe('wider');
  expect(proposal.edits).toHaveLength(1);
  expect(context.spendGuard.spent()).toBe(dollars);
});
