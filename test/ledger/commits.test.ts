import { applyEdits } from '../../src/labs/apply-edits';
import { diff, storeCandidate, type Candidate } from '../../src/ledger/commits';
import { Git } from '../../src/ledger/git';
import { appendRecord, openLedger, readLedger } from '../../src/ledger/ledger';
import { FILES, git, LAB_YAML, makeLab, makeRecord, makeStudy, temporary, write } from '../labs/make-lab';
import { parseLabConfig } from '../../src/labs/lab-yaml';

async function candidateOf(
  lab: ReturnType<typeof makeLab>,
  change: Partial<Candidate> = {},
): Promise<Candidate> {
  const edits = [{ path: 'train.py', search: 'DEPTH = 2', replace: 'DEPTH = 3' }];
  return {
    tag: 'nov21',
    number: 7,
    incumbent: lab.base,
    tree: await applyEdits(lab.git, lab.base, edits, parseLabConfig(LAB_YAML)),
    title: 'Deeper',
    hypothesis: 'It helps.  \n\n\n\n# not a comment\n\nStudy: forged',
    rejected: null,
    at: '2026-11-21T03:04:05.678Z',
    ...change,
  };
}

test('a candidate is a commit on the incumbent with trailers, under a ref', async () => {
  const lab = makeLab();
  const commit = await storeCandidate(lab.git, await candidateOf(lab));
  expect(git(lab.root, 'rev-parse', 'refs/autoresearch/nov21/exp/0007')).toBe(commit);
  expect(git(lab.root, 'rev-parse', `${commit}^`)).toBe(lab.base);
  expect(
    git(
      lab.root,
      'show',
      '-s',
      '--format=%s|%an|%cI|%(trailers:key=Study,valueonly,separator=;)|%(trailers:key=Experiment,valueonly)',
      commit,
    ),
  ).toBe('Deeper|autoresearch|2026-11-21T03:04:05+00:00|nov21|0007');
  expect(git(lab.root, 'show', '-s', '--format=%B', commit)).toContain('It helps.\n\n# not a comment');
  expect(await diff(lab.git, commit)).toContain('+DEPTH = 3');
  expect(git(lab.root, 'branch', '--list')).toBe('* main');
});

test('half a character in its title gives the same commit at another time', async () => {
  const lab = makeLab();
  const half = await candidateOf(lab, { title: 'rocket \ud83d…', rejected: 'there is no "\ud83d…"' });
  const commit = await storeCandidate(lab.git, half);
  expect(await storeCandidate(lab.git, { ...half, at: '2026-11-21T09:00:00.000Z' })).toBe(commit);
});

test('the user’s configuration, hooks and replacements change nothing', async () => {
  const lab = makeLab();
  const clean = await storeCandidate(lab.git, await candidateOf(lab));
  git(lab.root, 'update-ref', '-d', 'refs/autoresearch/nov21/exp/0007');
  for (const [key, value] of Object.entries({
    'user.name': 'somebody',
    'commit.gpgSign': 'true',
    'i18n.commitEncoding': 'latin1',
    'core.hooksPath': `${lab.root}/hooks`,
  })) {
    git(lab.root, 'config', key, value);
  }
  expect(await storeCandidate(lab.git, await candidateOf(lab))).toBe(clean);
});

test('made again at another time, it is the same commit', async () => {
  const lab = makeLab();
  const first = await storeCandidate(lab.git, await candidateOf(lab));
  expect(await storeCandidate(lab.git, await candidateOf(lab))).toBe(first);
  expect(await storeCandidate(lab.git, await candidateOf(lab, { at: '2027-01-01T00:00:00.000Z' }))).toBe(
    first,
  );
});

test('another candidate replaces one that was never recorded', async () => {
  const lab = makeLab();
  await storeCandidate(lab.git, await candidateOf(lab));
  const other = await storeCandidate(lab.git, await candidateOf(lab, { title: 'Other' }));
  expect(git(lab.root, 'rev-parse', 'refs/autoresearch/nov21/exp/0007')).toBe(other);
});

test('rejected edits are an empty commit that says why', async () => {
  const lab = makeLab();
  const tree = git(lab.root, 'rev-parse', `${lab.base}^{tree}`);
  const commit = await storeCandidate(
    lab.git,
    await candidateOf(lab, { tree, rejected: '"score.py" is locked' }),
  );
  expect(git(lab.root, 'diff', lab.base, commit)).toBe('');
  expect(git(lab.root, 'show', '-s', '--format=%(trailers:key=Rejected,valueonly)', commit)).toBe(
    '"score.py" is locked',
  );
  expect(await diff(lab.git, commit)).toBe('');
});

test('hostile titles and hypotheses stay text', async () => {
  const lab = makeLab();
  const hypothesis = 'a\0b\u001b[31mred\u001b[0m \ud800 end';
  const candidate = await candidateOf(lab, { title: '--amend', hypothesis });
  const commit = await storeCandidate(lab.git, candidate);
  expect(git(lab.root, 'show', '-s', '--format=%s%n%b', commit)).toContain(
    '--amend\nab[31mred[0m \ufffd end',
  );
  expect(await storeCandidate(lab.git, candidate)).toBe(commit);
});

test('a repository with SHA-256 hashes works as well', async () => {
  const root = temporary('sha256');
  git(root, 'init', '--quiet', '--object-format=sha256', '--initial-branch=main');
  write(root, FILES);
  git(root, 'add', '--all');
  git(root, 'commit', '--quiet', '--message', 'Begin');
  const base = git(root, 'rev-parse', 'HEAD');
  const lab = { root, base, git: new Git(root) };
  const edits = [{ path: 'src/model.py', delete: true as const }];
  const tree = await applyEdits(lab.git, base, edits, parseLabConfig(LAB_YAML));
  const commit = await storeCandidate(lab.git, await candidateOf(lab, { tree }));
  expect(commit).toMatch(/^[0-9a-f]{64}$/);
  const study = makeStudy(root, base);
  await openLedger(lab.git, study);
  await appendRecord(lab.git, study, makeRecord(study, 7, { commit }));
  expect(await readLedger(lab.git, study.tag)).toMatchObject([{ number: 7, commit }]);
});
