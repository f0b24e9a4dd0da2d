import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openLedger } from '../../src/ledger/ledger';
import { FILES, git, LAB_YAML, makeLab, makeStudy, temporary } from '../labs/make-lab';
import { asJson, autoresearch, labWith } from './invoke';

const KNOBS = 'knobs: [{ name: LEARNING_RATE, type: float, low: 0.01, high: 1, log: true }]\n';
const withKnobs = { ...FILES, 'lab.yaml': LAB_YAML + KNOBS };

describe('init', () => {
  it('makes a lab that a study could start from', async () => {
    const directory = join(temporary(), 'lab');
    const { exitCode, document } = await asJson('init', directory, '--data', 'climbmix');
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({
      lab: directory,
      data: 'climbmix',
      commit: git(directory, 'rev-parse', 'main'),
    });
    expect(readFileSync(join(directory, 'lab.yaml'), 'utf8')).toMatch(/source: climbmix/);
    expect(git(directory, 'status', '--porcelain')).toBe('');
  });

  it('refuses a folder with something in it: exit code 3', async () => {
    const directory = temporary();
    writeFileSync(join(directory, 'mine.txt'), 'keep me');
    expect(await autoresearch('init', directory)).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('not empty'),
    });
    expect(readFileSync(join(directory, 'mine.txt'), 'utf8')).toBe('keep me');
  });

  it('makes nothing for data that is not there', async () => {
    const directory = join(temporary(), 'lab');
    expect(await autoresearch('init', directory, '--data', '/no/such/texts')).toMatchObject({ exitCode: 3 });
    expect(existsSync(directory)).toBe(false);
  });
});

describe('start, before it needs a server', () => {
  it('refuses a folder that is no git repository', async () => {
    expect(await autoresearch('start', '--lab', temporary())).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('git init'),
    });
  });

  it('refuses a lab with changes that are not committed, and names them', async () => {
    const { root } = makeLab(withKnobs);
    writeFileSync(join(root, 'train.py'), 'changed\n');
    expect(await autoresearch('start', '--lab', root)).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('train.py'),
    });
  });

  it('refuses knobs that no file has, before anything is trained', async () => {
    const { root } = makeLab({
      ...FILES,
      'lab.yaml': LAB_YAML + KNOBS.replace('LEARNING_RATE', 'NO_SUCH_KNOB'),
    });
    expect(await autoresearch('start', '--lab', root)).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('expected exactly one line "NO_SUCH_KNOB = '),
    });
  });

  it('refuses a lab.yaml that is wrong, with each path and reason', async () => {
    const { root } = makeLab({
      ...FILES,
      'lab.yaml': LAB_YAML.replace('metric: { name: val_bpb, direction: minimize }', ''),
    });
    const { exitCode, document } = await asJson('start', '--lab', root);
    expect(exitCode).toBe(3);
    expect(document.error).toMatchObject({
      code: 'lab',
      message: expect.stringMatching(/lab\.yaml.*\n {2}metric: /),
    });
  });

  it('refuses tpe on a lab without knobs, and says what else there is', async () => {
    const { exitCode, stderr } = await autoresearch('start', '--lab', makeLab().root);
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/names no knobs[^]*--researcher command/);
  });

  it.each([
    ['a command researcher without a command', ['--researcher', 'command'], /--command/],
    ['a command without its researcher', ['--command', 'my-agent'], /--researcher command/],
    ['seconds and steps', ['--train-seconds', '5', '--train-steps', '5'], /not for both/],
  ])('refuses %s: exit code 2', async (_, options, message) => {
    const { exitCode, stderr } = await autoresearch('start', '--lab', makeLab(withKnobs).root, ...options);
    expect(stderr).toMatch(message);
    expect(exitCode).toBe(2);
  });

  it('refuses a tag that the lab knows, and names a free one: exit code 6', async () => {
    const { root, git: repository, base } = makeLab(withKnobs);
    await openLedger(repository, makeStudy(root, base, 'taken'));
    const { exitCode, stderr } = await autoresearch('start', '--lab', root, '--tag', 'taken');
    expect(exitCode).toBe(6);
    expect(stderr).toMatch(/knows a study taken[^]*resume taken[^]*--tag \w+\n/);
  });

  it('refuses a tag whose branch somebody has made by hand, and does not say that there is a study to resume', async () => {
    const { root } = makeLab(withKnobs);
    git(root, 'branch', 'autoresearch/taken');
    const { exitCode, stderr } = await autoresearch('start', '--lab', root, '--tag', 'taken');
    expect(exitCode).toBe(6);
    expect(stderr).toMatch(/branch autoresearch\/taken[^]*git branch -m autoresearch\/taken[^]*--tag \w+\n/);
    expect(stderr).not.toContain('resume');
  });
});

describe('push and fetch', () => {
  it('carry a study to a remote and into a fresh clone', async () => {
    const { root } = await labWith({ carried: [{ score: 2 }, { score: 1.9, title: 'wider' }] });
    const remote = temporary('remote');
    git(remote, 'init', '--quiet', '--bare', '--initial-branch=main');
    git(root, 'push', '--quiet', remote, 'main');
    expect(await autoresearch('push', remote, 'carried', '--lab', root)).toMatchObject({ exitCode: 0 });
    const clone = join(temporary(), 'clone');
    git(root, 'clone', '--quiet', remote, clone);
    expect(await autoresearch('fetch', 'origin', 'carried', '--lab', clone)).toMatchObject({ exitCode: 0 });
    const { document } = await asJson('history', 'carried', '--lab', clone);
    expect(document.study.lab).toBe(clone);
    expect(document.experiments).toHaveLength(2);
  });

  it('say that there is no such remote, or no such study there', async () => {
    const { root } = await labWith({ stays: [{ score: 2 }] });
    const none = join(temporary(), 'nowhere');
    expect(await autoresearch('push', none, '--lab', root)).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining(none),
    });
    const empty = temporary('empty');
    git(empty, 'init', '--quiet', '--bare');
    expect(await autoresearch('fetch', empty, 'stays', '--lab', root)).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('no study stays'),
    });
  });
});
