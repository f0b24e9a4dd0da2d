import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { storeCandidate, storeCrashed } from '../../src/ledger/commits';
import { storeProposal, readProposal, findProposal } from '../../src/ledger/proposals';
import { Git } from '../../src/ledger/git';
import { LabError } from '../../src/ledger/git';
import { appendRecord, openLedger, readLedger, readStudy } from '../../src/ledger/ledger';
import { baseRef, branchRef, crashedRef, experimentRef, proposalRef } from '../../src/ledger/refs';
import { fetch, push, NotThere } from '../../src/ledger/share';
import { git, makeLab, makeRecord, makeStudy, temporary } from '../labs/make-lab';

const STUDY_REFS = ['refs/autoresearch', 'refs/heads/autoresearch', 'refs/heads/autoresearch-ledger'];
const PROPOSAL = {
  format: 1 as const,
  title: 'x',
  hypothesis: 'y',
  edits: [{ path: 'train.py', content: 'x\n' }],
};

/** A lab with a study of two experiments, an empty remote, and a new clone with the lab's main branch. */
async function share() {
  const lab = makeLab();
  const study = makeStudy(lab.root, lab.base);
  await openLedger(lab.git, study);
  await lab.git.moveRef(baseRef('nov21'), lab.base, null);
  await addExperiment(lab, study, 0);
  await storeProposal(lab.git, 'nov21', 1, PROPOSAL);
  const kept = await addExperiment(lab, study, 1);
  await lab.git.moveRef(branchRef('nov21'), kept, null);
  const remote = temporary('remote');
  git(remote, 'init', '--quiet', '--bare');
  git(lab.root, 'remote', 'add', 'origin', remote);
  git(lab.root, 'push', '--quiet', 'origin', 'main');
  const clone = temporary('clone');
  git(clone, 'clone', '--quiet', '--branch', 'main', remote, '.');
  return { lab, study, remote, clone: new Git(clone) };
}

async function addExperiment(
  lab: ReturnType<typeof makeLab>,
  study: ReturnType<typeof makeStudy>,
  number: number,
) {
  const tree = git(lab.root, 'rev-parse', `${lab.base}^{tree}`);
  const at = study.createdAt;
  const common = { tag: study.tag, number, incumbent: lab.base, tree, hypothesis: '', rejected: null, at };
  const commit = await storeCandidate(lab.git, { ...common, title: `change ${number}` });
  await appendRecord(lab.git, study, makeRecord(study, number, { commit }));
  return commit;
}

test('a whole study goes to a remote and back', async () => {
  const { lab, study, remote, clone } = await share();
  await push(lab.git, 'origin', 'nov21');
  await fetch(clone, 'origin', 'nov21');
  expect(await readLedger(clone, 'nov21')).toEqual(await readLedger(lab.git, 'nov21'));
  expect(await readStudy(clone, 'nov21')).toEqual(study);
  const mine = git(lab.root, 'for-each-ref', '--format=%(refname) %(objectname)', ...STUDY_REFS);
  expect(git(clone.directory, 'for-each-ref', '--format=%(refname) %(objectname)', ...STUDY_REFS)).toBe(mine);
  expect(mine.split('\n')).toHaveLength(6);
  expect(await readProposal(clone, (await findProposal(clone, 'nov21', 1)) ?? '')).toEqual(PROPOSAL);
  expect(git(clone.directory, 'show', '-s', '--format=%s', experimentRef('nov21', 1))).toBe('change 1');
  expect(git(clone.directory, 'status', '--porcelain')).toBe('');
  expect(git(remote, 'fsck', '--no-dangling')).toBe('');
});

test('a remote with only the branches, like a mirror, can be fetched from', async () => {
  const { lab, clone } = await share();
  git(lab.root, 'push', '--quiet', 'origin', branchRef('nov21'), 'autoresearch-ledger/nov21');
  await fetch(clone, 'origin', 'nov21');
  expect(await readLedger(clone, 'nov21')).toHaveLength(2);
});

test('pushing and fetching again moves both sides forward', async () => {
  const { lab, study, clone } = await share();
  await push(lab.git, 'origin', 'nov21');
  await push(lab.git, 'origin', 'nov21');
  await fetch(clone, 'origin', 'nov21');
  await addExperiment(lab, study, 2);
  await push(lab.git, 'origin', 'nov21');
  await fetch(clone, 'origin', 'nov21');
  expect(await readLedger(clone, 'nov21')).toHaveLength(3);
});

/** A candidate of a running experiment, or the repair that replaced it. */
async function addCandidate(lab: ReturnType<typeof makeLab>, number: number, title: string): Promise<string> {
  const tree = git(lab.root, 'rev-parse', `${lab.base}^{tree}`);
  const common = { tag: 'nov21', number, incumbent: lab.base, tree, hypothesis: '', rejected: null };
  return storeCandidate(lab.git, { ...common, title, at: '2026-11-21T00:00:00.000Z' });
}

/** Pushes each ref by its name, also those of running experiments, as a user may. */
function pushAll(lab: ReturnType<typeof makeLab>): void {
  const refs = git(lab.root, 'for-each-ref', '--format=%(refname)', ...STUDY_REFS).split('\n');
  git(lab.root, 'push', '--quiet', '--atomic', 'origin', ...refs.map((ref) => `${ref}:${ref}`));
}

const CARRIED = {
  now: (lab: ReturnType<typeof makeLab>) => push(lab.git, 'origin', 'nov21'),
  before: pushAll,
};

test.each(['now', 'before'] as const)(
  'a repair that takes a place that was pushed %s is pushed and fetched once it has a record',
  async (version) => {
    const { lab, study, remote, clone } = await share();
    await storeProposal(lab.git, 'nov21', 2, PROPOSAL);
    const crashed = await addCandidate(lab, 2, 'change 2');
    await CARRIED[version](lab);
    await fetch(clone, 'origin', 'nov21');
    expect(git(remote, 'for-each-ref', experimentRef('nov21', 2), crashedRef('nov21', 2, 1)) === '').toBe(
      version === 'now',
    );
    await storeCrashed(lab.git, 'nov21', 2, 1, crashed);
    const repair = await addCandidate(lab, 2, 'change 2, fixed');
    await push(lab.git, 'origin', 'nov21');
    await appendRecord(lab.git, study, makeRecord(study, 2, { commit: repair }));
    await addCandidate(lab, 3, 'change 3');
    await push(lab.git, 'origin', 'nov21');
    await fetch(clone, 'origin', 'nov21');
    const refs = git(clone.directory, 'for-each-ref', '--format=%(refname) %(objectname)', ...STUDY_REFS);
    expect(refs).toContain(`${experimentRef('nov21', 2)} ${repair}`);
    expect(refs).toContain(`${crashedRef('nov21', 2, 1)} ${crashed}`);
    expect(refs).toContain(proposalRef('nov21', 2));
    expect(refs).not.toContain(experimentRef('nov21', 3));
  },
);

test('fetching leaves running experiments alone, whatever the remote has', async () => {
  const { lab, clone } = await share();
  await addCandidate(lab, 2, 'change 2');
  pushAll(lab);
  await fetch(clone, 'origin', 'nov21');
  const crashed = git(lab.root, 'rev-parse', experimentRef('nov21', 2));
  await storeCrashed(lab.git, 'nov21', 2, 1, crashed);
  await addCandidate(lab, 2, 'change 2, fixed');
  await storeProposal(lab.git, 'nov21', 3, PROPOSAL);
  git(lab.root, 'config', 'fetch.prune', 'true');
  const before = git(lab.root, 'for-each-ref', ...STUDY_REFS);
  await fetch(lab.git, 'origin', 'nov21');
  expect(git(lab.root, 'for-each-ref', ...STUDY_REFS)).toBe(before);
});

test('a study with more refs than a command line can hold is pushed', async () => {
  const tag = 'a-tag-that-has-as-many-characters-as-may';
  const lab = makeLab();
  const study = makeStudy(lab.root, lab.base, tag);
  await openLedger(lab.git, study);
  await appendRecord(lab.git, study, makeRecord(study, 0));
  const names = Array.from({ length: 13_500 }, (_, nth) => crashedRef(tag, 0, 10_000 + nth));
  writeFileSync(
    join(lab.root, '.git', 'packed-refs'),
    `# pack-refs with: peeled fully-peeled sorted \n${names.map((name) => `${lab.base} ${name}\n`).join('')}`,
  );
  const remote = temporary('remote');
  git(remote, 'init', '--quiet', '--bare');
  // git would sync each of them to the disk.
  git(remote, 'config', 'core.fsync', 'none');
  await push(lab.git, remote, tag);
  const carried = git(remote, 'for-each-ref', '--format=%(refname:lstrip=4)', 'refs/autoresearch');
  expect(carried.split('\n')).toHaveLength(names.length);
}, 120_000);

test('diverged studies overwrite nothing, in either direction', async () => {
  const { lab, study, remote, clone } = await share();
  await push(lab.git, 'origin', 'nov21');
  await fetch(clone, 'origin', 'nov21');
  await appendRecord(clone, study, makeRecord(study, 2, { title: 'theirs' }));
  await push(clone, 'origin', 'nov21');
  await appendRecord(lab.git, study, makeRecord(study, 2, { title: 'ours' }));
  const before = git(remote, 'for-each-ref');
  await expect(push(lab.git, 'origin', 'nov21')).rejects.toThrow(/have diverged/);
  await expect(fetch(lab.git, 'origin', 'nov21')).rejects.toThrow(/have diverged/);
  expect(git(remote, 'for-each-ref')).toBe(before);
  expect((await readLedger(lab.git, 'nov21')).at(-1)?.title).toBe('ours');
});

test.each(['autoresearch/nov21', 'autoresearch-ledger/nov21'])(
  '%s that is checked out is not fetched over',
  async (branch) => {
    const { lab, study, clone } = await share();
    await push(lab.git, 'origin', 'nov21');
    await fetch(clone, 'origin', 'nov21');
    git(clone.directory, 'checkout', '--quiet', branch);
    const kept = await addExperiment(lab, study, 2);
    git(
      lab.root,
      'update-ref',
      branchRef('nov21'),
      git(lab.root, 'commit-tree', '-p', branchRef('nov21'), '-m', 'x', `${kept}^{tree}`),
    );
    await push(lab.git, 'origin', 'nov21');
    await expect(fetch(clone, 'origin', 'nov21')).rejects.toThrow(`${branch} is checked out here`);
    expect(await readLedger(clone, 'nov21')).toHaveLength(2);
  },
);

test.each<
  [
    string,
    (place: Awaited<ReturnType<typeof share>>) => Promise<void>,
    RegExp,
    new (message: string) => Error,
  ]
>([
  ['a study that is not here', ({ lab }) => push(lab.git, 'origin', 'nov22'), /no study nov22/, NotThere],
  ['a study that is not there', ({ clone }) => fetch(clone, 'origin', 'nov21'), /no study nov21/, NotThere],
  [
    'no such remote',
    ({ lab }) => push(lab.git, 'nowhere', 'nov21'),
    /cannot push study nov21 to nowhere: .*Check the remote/,
    NotThere,
  ],
  [
    'no such folder',
    ({ lab }) => fetch(lab.git, '/nowhere/at/all', 'nov21'),
    /cannot fetch study nov21 from \/nowhere/,
    NotThere,
  ],
  [
    'an option for a remote',
    ({ lab }) => fetch(lab.git, '--upload-pack=touch /tmp/pwned', 'nov21'),
    /cannot fetch/,
    LabError,
  ],
  [
    'a remote with the branch checked out',
    async ({ lab, remote }) => {
      git(remote, 'config', 'core.bare', 'false');
      git(remote, 'update-ref', branchRef('nov21'), 'main');
      git(remote, 'symbolic-ref', 'HEAD', branchRef('nov21'));
      await push(lab.git, 'origin', 'nov21');
    },
    /remote rejected.*branch is currently checked out/,
    LabError,
  ],
  [
    'a password',
    ({ lab }) => push(lab.git, 'https://user:secret@127.0.0.1:1/x', 'nov21'),
    /cannot push study nov21 to https:\/\/127.0.0.1:1\/x: (?!.*secret)/,
    LabError,
  ],
])('%s gets a clear error', async (_, carry, message, kind) => {
  const error = await carry(await share()).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(kind);
  expect(String(error)).toMatch(message);
});
