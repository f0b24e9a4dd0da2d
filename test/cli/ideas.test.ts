import { Git } from '../../src/ledger/git';
import { saveStudy } from '../../src/ledger/ledger';
import { newIdeas } from '../../src/domain/ideas';
import { makeResearch } from '../ledger/research';
import { asJson, autoresearch, labWith } from './invoke';

const USAGE = {
  model: 'claude-opus-5-5',
  calls: 3,
  input: 1000,
  cacheWrite: 500,
  cacheWriteHour: 500,
  cacheRead: 18_000,
  output: 2904,
};
const FAILURE = { reason: 'error', message: "name 'heads' is not defined", tail: '' } as const;

beforeAll(async () => {
  const research = makeResearch({
    expected: '0.01 lower',
    hints: ['look at the head'],
    lessons: ['depth pays (#4)'],
    usage: USAGE,
    approach: 'simplify',
  });
  await labWith({
    thought: [
      { score: 2, ideas: newIdeas(0, ['sparse attention'], []) },
      {
        score: 1.9,
        research,
        ideas: newIdeas(1, [], ['tie the head']),
        repairs: [{ commit: 'd'.repeat(40), failure: FAILURE }],
      },
    ],
  });
});

test('the backlog and the lessons, from git', async () => {
  const { exitCode, stdout } = await autoresearch('ideas', 'thought');
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^0\.1 +sparse attention \(yours\)$/m);
  expect(stdout).toMatch(/^1\.1 +tie the head$/m);
  expect(stdout).toMatch(/^lessons, drawn with experiment 1$/m);
  expect(stdout).toMatch(/^· +depth pays \(#4\)$/m);
  const { document } = await asJson('ideas', 'thought');
  expect(document).toMatchObject({
    ideas: [{ id: '0.1' }, { id: '1.1' }],
    lessons: ['depth pays (#4)'],
    after: 1,
  });
});

test('what waits for the next experiment is shown too: a person has just said it', async () => {
  const { root, studies } = await labWith({
    said: [{ score: 2, ideas: newIdeas(0, ['sparse attention'], []) }],
  });
  const waiting = { hints: [], ideas: ['tie the head'], droppedIdeas: ['0.1'] };
  await saveStudy(new Git(root), { ...studies[0]!, waiting });
  const { stdout } = await autoresearch('ideas', 'said', '--lab', root);
  expect(stdout).toMatch(/^0\.1 +sparse attention \(yours, dropped with the next experiment\)$/m);
  expect(stdout).toMatch(/^new +tie the head \(yours, in with the next experiment\)$/m);
  expect((await asJson('ideas', 'said', '--lab', root)).document).toMatchObject({ waiting });
});

test('an idea that is not there is not dropped', async () => {
  const { exitCode, stderr } = await autoresearch('ideas', 'thought', '--drop', '7.1');
  expect(exitCode).toBe(5);
  expect(stderr).toContain('the backlog of study thought has no idea 7.1');
  expect((await autoresearch('ideas', 'thought', '--drop', 'first')).exitCode).toBe(2);
});

test('show tells what the researcher expected and used, and what was repaired', async () => {
  const { stdout } = await autoresearch('show', '1', 'thought');
  expect(stdout).toMatch(/^expected +0\.01 lower$/m);
  expect(stdout).toMatch(/^hint +look at the head$/m);
  expect(stdout).toMatch(
    /^asked +claude-opus-5-5, 3 calls: 20,000 tokens in \(90 % from the cache\), 2,904 out$/m,
  );
  expect(stdout).toMatch(/^repair 1 +after error: name 'heads' is not defined$/m);
  expect(stdout).toMatch(/^plateau +simplify/m);
});
