import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { storeProposal } from '../../src/ledger/proposals';
import { Git } from '../../src/ledger/git';
import { appendRecord } from '../../src/ledger/ledger';
import { ownerOf } from '../../src/process/owner';
import { studyState } from '../../src/process/paths';
import type { TaskStatus } from '../../src/runner/task';
import { git, makeRecord } from '../labs/make-lab';
import { asJson, autoresearch, labWith } from './invoke';

const ESCAPE = '\u001B';

/** A lab whose experiment 1 has a commit, a record and a log. */
async function experiment(tag: string) {
  const { root, studies } = await labWith({ [tag]: [{ score: 2 }] });
  const [study] = studies;
  if (study === undefined) throw new Error('expected a study');
  const folder = join(studyState(study.labId, tag), 'runs', '0001', '1', 'train-1');
  mkdirSync(folder, { recursive: true });
  return { root, study, folder };
}

describe('show', () => {
  it('tells an experiment: verdict, hypothesis, runs, failure, diff', async () => {
    const { root, studies } = await labWith({ shown: [{ score: 2 }] });
    writeFileSync(join(root, 'train.py'), 'LEARNING_RATE = 0.2\n');
    git(root, 'commit', '--quiet', '--all', '--message', 'candidate');
    const commit = git(root, 'rev-parse', 'HEAD');
    const tail = `Traceback\n${ESCAPE}[2Jtorch.OutOfMemoryError`;
    for (const study of studies) {
      const record = makeRecord(study, 1, {
        commit,
        verdict: 'crash',
        reason: 'oom',
        detail: 'out of memory',
        score: null,
        failure: { reason: 'oom', message: 'out of memory', tail },
      });
      await appendRecord(new Git(root), study, record);
    }

    const { exitCode, stdout } = await autoresearch('show', '1', 'shown', '--lab', root);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^shown #1 · change 1\ncrash: oom · out of memory$/m);
    expect(stdout).toContain('it helps');
    expect(stdout).toMatch(/^ +1 +1 +oom +10 +2560 +3\.0 +5\.0 +1536 +bubblewrap$/m);
    expect(stdout).toContain('│ torch.OutOfMemoryError');
    expect(stdout).toContain('+LEARNING_RATE = 0.2');
    expect(stdout).not.toContain(ESCAPE);
    const { document } = await asJson('show', '1', 'shown', '--lab', root);
    expect(document).toMatchObject({
      number: 1,
      record: { verdict: 'crash' },
      diff: expect.stringContaining('+LEARNING_RATE'),
      log: null,
    });
  });

  it('tells the change that took the place of a crashed baseline as the change that it is', async () => {
    const { root, studies } = await labWith({ mended: [{ verdict: 'crash', reason: 'lost', score: null }] });
    writeFileSync(join(root, 'train.py'), 'LEARNING_RATE = 0.3\n');
    git(root, 'commit', '--quiet', '--all', '--message', 'candidate');
    const commit = git(root, 'rev-parse', 'HEAD');
    for (const study of studies) {
      await appendRecord(new Git(root), study, makeRecord(study, 1, { commit, reason: 'baseline' }));
    }
    await storeProposal(new Git(root), 'mended', 1, {
      format: 1,
      title: 'change 1',
      hypothesis: 'it helps',
      edits: [{ path: 'train.py', content: 'LEARNING_RATE = 0.3\n' }],
    });
    const { stdout } = await autoresearch('show', '1', 'mended', '--lab', root);
    expect(stdout).toContain('+LEARNING_RATE = 0.3');
    expect(stdout).not.toContain('not applied');
  });

  it('shows what was proposed and not applied', async () => {
    const { root, studies } = await labWith({ refused: [{ score: 2 }] });
    git(root, 'commit', '--quiet', '--allow-empty', '--message', 'candidate');
    const commit = git(root, 'rev-parse', 'HEAD');
    const refused = { commit, verdict: 'crash', reason: 'rejected', score: null } as const;
    for (const study of studies) await appendRecord(new Git(root), study, makeRecord(study, 1, refused));
    const edits = [
      { path: 'score.py', search: 'honest', replace: `generous${ESCAPE}[2J` },
      { path: 'new.py', content: 'print(1)\n' },
      { path: 'train.py', delete: true as const },
    ];
    await storeProposal(new Git(root), 'refused', 1, {
      format: 1,
      title: 'change 1',
      hypothesis: 'it helps',
      edits,
    });
    const { stdout } = await autoresearch('show', '1', 'refused', '--lab', root);
    expect(stdout).toContain('── proposed, not applied\ndiff score.py\n-honest\n+generous');
    expect(stdout).toContain('diff new.py\n+print(1)\ndiff train.py\n- (the whole file)');
    expect(stdout).not.toContain(ESCAPE);
  });

  it('shows the summary of a run, not what libraries print at exit', async () => {
    const { root, folder } = await experiment('summed');
    writeFileSync(
      join(folder, 'log'),
      'step 1\n---\ntraining_seconds: 5.0\ndepth:            3\nnanobind: leaked 514 functions!\n',
    );
    const { stdout } = await autoresearch('show', '1', '--lab', root);
    expect(stdout).toMatch(/│ training_seconds: 5\.0\n│ depth: {12}3\n$/);
    expect(stdout).toContain('under way: no verdict yet');
  });

  it('does not know an experiment that never was: exit code 5', async () => {
    const { root } = await experiment('short');
    expect(await autoresearch('show', '7', '--lab', root)).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('no experiment 7'),
    });
  });
});

describe('logs', () => {
  it('prints what the training printed, without escapes', async () => {
    const { root, folder } = await experiment('logged');
    writeFileSync(join(folder, 'log'), `step 1\n${ESCAPE}]0;owned\u0007step 2\n`);
    expect(await autoresearch('logs', '1', '--lab', root)).toMatchObject({
      exitCode: 0,
      stdout: 'step 1\nstep 2\n',
    });
  });

  it('takes the latest attempt', async () => {
    const { root, folder } = await experiment('again');
    writeFileSync(join(folder, 'log'), 'killed\n');
    const second = folder.replace('train-1', 'train-2');
    mkdirSync(second);
    writeFileSync(join(second, 'log'), 'went through\n');
    const { document } = await asJson('logs', '1', '--lab', root);
    expect(document).toMatchObject({ attempt: 2, run: 1, kind: 'train', text: 'went through\n' });
  });

  it('follows until the task is done, whole lines at a time', async () => {
    const { root, folder } = await experiment('followed');
    const log = join(folder, 'log');
    const say = (phase: TaskStatus['phase']) =>
      writeFileSync(join(folder, 'status.json'), JSON.stringify(status(phase)));
    writeFileSync(log, 'first\nhalf a li');
    say('training');
    const following = autoresearch('logs', '1', '--lab', root, '--follow');
    setTimeout(() => {
      writeFileSync(log, 'first\nhalf a line\nlast');
      say('done');
    }, 700);
    expect(await following).toMatchObject({ exitCode: 0, stdout: 'first\nhalf a line\nlast\n' });
  });

  it('says that there is no log on this host: exit code 5', async () => {
    const { root } = await labWith({ elsewhere: [{ score: 2 }] });
    expect(await autoresearch('logs', '0', '--lab', root, '--score')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('show 0 elsewhere'),
    });
  });
});

function status(phase: TaskStatus['phase']): TaskStatus {
  const owner = ownerOf(process.pid);
  if (owner === null) throw new Error('expected this process to be alive');
  return {
    format: 1,
    owner,
    phase,
    updatedAt: 0,
    startedAt: null,
    deadline: null,
    step: 0,
    tokens: 0,
    lastLoss: null,
    startupSeconds: 0,
    startupGpuSeconds: null,
    trainSeconds: 0,
    wallSeconds: 0,
    dataWaitSeconds: 0,
    peakMemoryMb: 0,
    initialWeights: null,
    weights: null,
    parameters: 0,
    sandbox: 'none',
    score: null,
    failure: null,
  };
}
