/** Programs that somebody has planted in a lab's git: nothing that a study does runs them. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, existsSync, readdirSync, readFileSync, utimesSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { applyEdits } from '../../src/labs/apply-edits';
import { advanceBranch } from '../../src/ledger/branch';
import { diff, storeCandidate, storeCrashed, dateOf } from '../../src/ledger/commits';
import { compact } from '../../src/ledger/compact';
import { findProposal, readProposal, storeProposal } from '../../src/ledger/proposals';
import { exportTree } from '../../src/labs/export';
import { Git } from '../../src/ledger/git';
import { openLab } from '../../src/labs/lab';
import { appendRecord, openLedger, readLedger, saveStudy } from '../../src/ledger/ledger';
import { readAt } from '../../src/ledger/objects';
import { baseRef, freeTag } from '../../src/ledger/refs';
import { fetch, push } from '../../src/ledger/share';
import { verifyStudy } from '../../src/ledger/verify/verify';
import { changesIn, makeWorkingCopy } from '../../src/labs/working-copy';
import { git, makeLab, makeRecord, makeStudy, temporary, write } from '../labs/make-lab';

const TAG = 'nov21';
const HOOKS = [
  'applypatch-msg',
  'pre-applypatch',
  'post-applypatch',
  'pre-commit',
  'pre-merge-commit',
].concat(
  [
    'prepare-commit-msg',
    'commit-msg',
    'post-commit',
    'pre-rebase',
    'post-checkout',
    'post-merge',
    'pre-push',
  ],
  ['pre-receive', 'update', 'proc-receive', 'post-receive', 'post-update', 'reference-transaction'],
  ['push-to-checkout', 'pre-auto-gc', 'post-rewrite', 'fsmonitor-watchman', 'post-index-change'],
);

/** A program that notes its name, and the folder where the notes lie. */
function makeMarker() {
  const folder = temporary('marks');
  const program = join(temporary('bin'), 'planted');
  write(join(program, '..'), { planted: `#!/bin/sh\ntouch "${folder}/$1"\ncat 2>/dev/null\n` });
  chmodSync(program, 0o755);
  return { program, marks: () => readdirSync(folder).toSorted() };
}

function plant(root: string, program: string): void {
  const hooks = join(root, '.git', 'hooks');
  for (const name of HOOKS) {
    write(hooks, { [name]: `#!/bin/sh\nexec ${program} hook-${name} </dev/null\n` });
    chmodSync(join(hooks, name), 0o755);
  }
  const settings: Record<string, string> = {
    'filter.evil.clean': 'clean',
    'filter.evil.smudge': 'smudge',
    'filter.odd=x.clean': 'odd-clean',
    'filter.odd=x.process': 'odd-process',
    'diff.evil.command': 'diff',
    'diff.evil.textconv': 'textconv',
    'diff.external': 'external',
    'merge.evil.driver': 'merge',
    'core.fsmonitor': 'fsmonitor',
    'core.editor': 'editor',
    'core.pager': 'pager',
    'core.sshCommand': 'ssh',
    'core.askPass': 'askpass',
    'core.gitProxy': 'gitproxy',
    'core.alternateRefsCommand': 'alternates',
    'gpg.program': 'gpg',
    'credential.helper': 'credential',
    'credential.http://127.0.0.1.helper': 'credential-url',
    'remote.planted.uploadpack': 'uploadpack',
    'remote.planted.receivepack': 'receivepack',
    'uploadpack.packObjectsHook': 'packobjects',
    'gc.recentObjectsHook': 'recent',
  };
  for (const [key, name] of Object.entries(settings)) git(root, 'config', key, shell(program, key, name));
  const truths = [
    'filter.evil.required',
    'log.showSignature',
    'commit.gpgSign',
    'push.gpgSign',
    'tag.gpgSign',
  ];
  for (const key of truths) git(root, 'config', key, 'true');
  git(root, 'config', 'protocol.ext.allow', 'always');
  // A partial clone fetches what it lacks.
  git(root, 'config', 'extensions.partialClone', 'lazy');
  git(root, 'config', 'remote.lazy.promisor', 'true');
  git(root, 'config', 'remote.lazy.url', `ext::${program} lazy`);
  appendFileSync(
    join(root, '.git/info/attributes'),
    '* filter=evil diff=evil merge=evil\n*.md filter=odd=x\n',
  );
}

/** Some settings are one program without words, others a shell's line. */
function shell(program: string, key: string, name: string): string {
  return /credential/.test(key) ? `!${program} ${name}` : `${program} ${name}`;
}

function makePlanted() {
  const lab = makeLab();
  const { program, marks } = makeMarker();
  plant(lab.root, program);
  // What the index says of this file is out of date, so that git has to look into it.
  utimesSync(join(lab.root, 'score.py'), new Date(), new Date(Date.now() - 90_000));
  return { ...lab, program, marks };
}

test('git as a user runs it does run what is planted here', () => {
  const { root, marks } = makePlanted();
  const ignoring = (...args: string[]) =>
    execFileSync('git', args, { cwd: root, stdio: 'ignore', timeout: 5_000 });
  for (const args of [
    ['status'],
    ['diff', 'HEAD'],
    ['cat-file', '-t', 'a'.repeat(40)],
    ['ls-remote', 'ssh://x/y'],
  ]) {
    try {
      ignoring(...args);
    } catch {
      // It fails where the planted program gives no answer.
    }
  }
  expect(marks()).toEqual(expect.arrayContaining(['clean', 'fsmonitor', 'lazy', 'ssh']));
});

test('a whole study runs nothing of it', async () => {
  const { root, base, git: repository, marks } = makePlanted();
  const lab = await openLab(root);
  expect(lab.head).toBe(base);
  const study = makeStudy(root, base, TAG);
  await freeTag(repository, new Date());
  await repository.moveRef(baseRef(TAG), base, null);
  await openLedger(repository, study);
  await advanceBranch(repository, TAG, base);
  let incumbent = base;
  for (let number = 0; number < 2; number++) {
    const path = join(temporary(), 'copy');
    const copy = await makeWorkingCopy(study, { tag: TAG, commit: incumbent, path });
    write(path, { 'train.py': `X = ${number}\n` });
    const { edits } = await changesIn(copy, lab.config.editable, 10_000);
    const proposal = { format: 1 as const, title: 'x', hypothesis: 'y', edits };
    await storeProposal(repository, TAG, number, proposal);
    await readProposal(repository, (await findProposal(repository, TAG, number)) ?? '');
    const tree = await applyEdits(repository, incumbent, edits, lab.config);
    const commit = await storeCandidate(repository, {
      tag: TAG,
      number,
      incumbent,
      tree,
      title: 'x',
      hypothesis: 'y',
      rejected: null,
      at: study.createdAt,
    });
    await storeCrashed(repository, TAG, number, 1, commit);
    await exportTree(study, commit, join(temporary(), 'tree'));
    await dateOf(repository, commit);
    await diff(repository, commit);
    await readAt(repository, 'train.py', [commit, 'b'.repeat(40)]);
    await repository.resolve(`${'a'.repeat(40)}^{commit}`);
    await appendRecord(repository, study, makeRecord(study, number, { commit, incumbent }));
    await advanceBranch(repository, TAG, commit);
    incumbent = commit;
  }
  await saveStudy(repository, { ...study, repairs: 1 });
  expect(await readLedger(repository, TAG)).toHaveLength(2);
  await verifyStudy(repository, TAG);
  // git 2.39 cannot repack a partial clone like this.
  git(root, 'config', '--unset', 'extensions.partialClone');
  git(root, 'config', '--unset', 'remote.lazy.promisor');
  await compact(repository, 99);
  expect(marks()).toEqual([]);
});

async function withStudy() {
  const planted = makePlanted();
  const study = makeStudy(planted.root, planted.base, TAG);
  await openLedger(planted.git, study);
  await planted.git.moveRef(baseRef(TAG), planted.base, null);
  await advanceBranch(planted.git, TAG, planted.base);
  return planted;
}

describe('push and fetch', () => {
  const before = { ...process.env };
  afterEach(() => (process.env = { ...before }));

  test('to and from a folder: neither hooks nor other programs', async () => {
    const { root, git: repository, marks } = await withStudy();
    const remote = temporary('remote');
    git(remote, 'init', '--quiet', '--bare');
    git(root, 'config', 'remote.planted.url', remote);
    await push(repository, 'planted', TAG);
    await fetch(repository, 'planted', TAG);
    await fetch(new Git(makeLab().root), remote, TAG);
    expect(marks()).toEqual([]);
  });

  test('by ssh and http: the user’s ways in, not those of the repository', async () => {
    const { git: repository, marks } = await withStudy();
    const used = temporary('used');
    const home = temporary('home');
    write(home, {
      '.gitconfig': `[core]\n\tsshCommand = touch ${used}/ssh; false\n[credential]\n\thelper = "!touch ${used}/credential; echo username=a; echo password=b; :"\n`,
    });
    process.env = { ...before, GIT_CONFIG_GLOBAL: join(home, '.gitconfig'), GIT_TERMINAL_PROMPT: '0' };
    const server = createServer((_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    try {
      for (const remote of ['ssh://nowhere/x', `http://127.0.0.1:${port}/x`, 'git://127.0.0.1:1/x'])
        await expect(push(repository, remote, TAG)).rejects.toThrow('cannot push');
    } finally {
      server.close();
    }
    expect(readdirSync(used).toSorted()).toEqual(['credential', 'ssh']);
    expect(marks()).toEqual([]);
  });

  test('a remote that leads to a program is refused', async () => {
    const { root, git: repository, program, marks } = await withStudy();
    git(root, 'config', 'remote.planted.url', `ext::${program} ext`);
    await expect(push(repository, 'planted', TAG)).rejects.toThrow('cannot push');
    expect(marks()).toEqual([]);
    expect(existsSync(program) && readFileSync(program, 'utf8')).toContain('touch');
  });
});
