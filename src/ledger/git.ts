/**
 * git as a database. Commands run isolated: without hooks, without user or system configuration, with a fixed identity, so that
 * the same input gives the same hash on every host, and without running programs that the repository's settings name.
 * `withoutFilters` turns filters off for commands that would run them. Push and fetch, which use the user's settings, go through
 * simple-git in share.ts; simple-git decodes git's output as text, so it cannot read blobs here.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { removeStaleLock } from './stale-lock';

/** Settings that override the user's and the repository's. */
const ISOLATION = {
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'core.autocrlf': 'false',
  'core.attributesFile': '/dev/null',
  'core.excludesFile': '/dev/null',
  'commit.gpgSign': 'false',
  'log.showSignature': 'false',
  // Do not fetch missing objects: git would run a program that the repository names.
  ...Object.fromEntries(
    ['file', 'ext', 'git', 'ssh', 'http', 'https'].map((name) => [`protocol.${name}.allow`, 'never']),
  ),
  'i18n.commitEncoding': 'utf-8',
  // A lab's prepare.py runs outside any sandbox, so a user who starts a study trusts the lab's git settings too.
  'safe.directory': '*',
  // By default git does not sync loose objects: after a power cut a ref could point to an empty object.
  'core.fsync': 'committed,loose-object,reference',
  'core.filesRefLockTimeout': '2000',
};

const FLAGS = ['--no-optional-locks', '--no-replace-objects', '--literal-pathspecs'];
const SETTINGS = Object.entries(ISOLATION).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
const IDENTITY = 'autoresearch';

/** A git command failed; the message has the command and git's stderr. */
export class GitError extends Error {
  override name = 'GitError';
  constructor(
    readonly args: readonly string[],
    readonly exitCode: number | null,
    readonly stderr: string,
    directory: string,
  ) {
    const said = stderr.trim() === '' ? `exit code ${String(exitCode)}` : stderr.trim();
    super(redact(`git ${args.slice(0, 6).join(' ')} failed in ${directory}: ${said.slice(0, 2000)}`));
  }
}

/** Removes user names and passwords from the addresses of remotes. */
export function redact(text: string): string {
  return text.replaceAll(/(\w+:\/\/)[^/@\s]+@/g, '$1');
}

/** The lab cannot be used; the message says why and what to do. */
export class LabError extends Error {
  override name = 'LabError';
}

/** A ref was not where the caller expected it: someone else moved it first. */
export class RefConflict extends Error {
  override name = 'RefConflict';
  constructor(
    readonly ref: string,
    readonly expected: string | null,
    readonly actual: string | null,
  ) {
    super(`${ref} is at ${actual ?? 'nothing'}, expected ${expected ?? 'nothing'}`);
  }
}

export interface GitOptions {
  input?: string | Buffer;
  env?: Record<string, string>;
  /** Exit codes, besides 0, that are no failures. */
  accept?: readonly number[];
  /** Where git runs; the repository's directory by default. */
  cwd?: string;
}

/** A git repository, given by any of its working trees. Cheap to create: it holds only a path. */
export class Git {
  constructor(readonly directory: string) {}

  /** Runs git. @returns its stdout @throws GitError */
  async bytes(args: readonly string[], options: GitOptions = {}): Promise<Buffer> {
    const { stdout } = await this.#isolated(args, options);
    return stdout;
  }

  /** Runs git. @returns its stdout as text, without the last newline @throws GitError */
  async text(args: readonly string[], options: GitOptions = {}): Promise<string> {
    const printed = await this.bytes(args, options);
    return printed.toString('utf8').replace(/\n$/, '');
  }

  /** Like `text`, but null when git exits with 1, its answer for "no". @throws GitError */
  async answer(args: readonly string[], options: GitOptions = {}): Promise<string | null> {
    const { exitCode, stdout } = await this.#isolated(args, { ...options, accept: [1] });
    return exitCode === 0 ? stdout.toString('utf8').replace(/\n$/, '') : null;
  }

  /** The id of the object that a revision names; null when there is none. */
  async resolve(revision: string): Promise<string | null> {
    return this.answer(['rev-parse', '--verify', '--quiet', '--end-of-options', revision]);
  }

  /**
   * Moves a ref from `expected` (null: it must not exist) to `next`; does nothing if it is already there.
   * @throws RefConflict if it is anywhere else
   */
  async moveRef(ref: string, next: string, expected: string | null): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.bytes(['update-ref', '--no-deref', '-m', IDENTITY, ref, next, expected ?? '']);
        return;
      } catch (error) {
        if (!(error instanceof GitError)) throw error;
        const actual = await this.resolve(ref);
        if (actual === next) return;
        if (actual !== expected) throw new RefConflict(ref, expected, actual);
        const lock = /Unable to create '(.+\.lock)': File exists/.exec(error.stderr)?.[1];
        if (lock === undefined || attempt >= LOCK_ATTEMPTS) throw error;
        await removeStaleLock(resolve(this.directory, lock), this.directory);
      }
    }
  }

  /** The environment variables that turn off the repository's filters, which are programs. @throws GitError */
  async withoutFilters(): Promise<Record<string, string>> {
    const names = await this.answer(['config', '--null', '--name-only', '--get-regexp', '^filter\\..']);
    const filters = new Set(
      (names ?? '').split('\0').flatMap((name) => /^(filter\..+)\.[^.]+$/s.exec(name)?.[1] ?? []),
    );
    return configEnvironment(
      [...filters].flatMap((filter) => [
        ...['clean', 'smudge', 'process'].map((name): [string, string] => [`${filter}.${name}`, '']),
        [`${filter}.required`, 'false'],
      ]),
    );
  }

  async #isolated(args: readonly string[], options: GitOptions): Promise<Finished> {
    const { PATH = '', HOME = '/', TMPDIR = '/tmp' } = process.env;
    const env = {
      PATH,
      HOME,
      TMPDIR,
      LC_ALL: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_NO_LAZY_FETCH: '1',
      GIT_AUTHOR_NAME: IDENTITY,
      GIT_AUTHOR_EMAIL: `${IDENTITY}@localhost`,
      GIT_COMMITTER_NAME: IDENTITY,
      GIT_COMMITTER_EMAIL: `${IDENTITY}@localhost`,
      ...options.env,
    };
    return this.#spawn([...FLAGS, ...SETTINGS, ...args], args, env, options);
  }

  #spawn(
    argv: readonly string[],
    shown: readonly string[],
    env: NodeJS.ProcessEnv,
    options: GitOptions,
  ): Promise<Finished> {
    const { input, accept = [], cwd = this.directory } = options;
    return new Promise((done, fail) => {
      const child = spawn('git', argv, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
      const out: Uint8Array[] = [];
      const err: Uint8Array[] = [];
      child.stdout.on('data', (chunk: Uint8Array) => out.push(chunk));
      child.stderr.on('data', (chunk: Uint8Array) => err.push(chunk));
      child.once('error', (error) => {
        const why = existsSync(cwd)
          ? `could not start git: ${error.message}. Is it installed?`
          : `the folder ${cwd} is gone`;
        fail(new GitError(shown, null, why, cwd));
      });
      child.once('close', (exitCode) => {
        const stderr = Buffer.concat(err).toString('utf8');
        if (exitCode !== null && (exitCode === 0 || accept.includes(exitCode))) {
          done({ exitCode, stdout: Buffer.concat(out), stderr });
        } else {
          fail(new GitError(shown, exitCode, stderr, cwd));
        }
      });
      // git may exit before it has read all input: its exit code matters then, not the broken pipe.
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  }
}

/** Settings for one call as environment variables; unlike `-c` options they allow `=` in names. */
export function configEnvironment(settings: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries([
    ['GIT_CONFIG_COUNT', String(settings.length)],
    ...settings.flatMap(([key, value], index) => [
      [`GIT_CONFIG_KEY_${index}`, key],
      [`GIT_CONFIG_VALUE_${index}`, value],
    ]),
  ]);
}

interface Finished {
  exitCode: number;
  stdout: Buffer;
  stderr: string;
}

/** Enough for a lock to reach the age of a stale one; git itself waits 2 s each time. */
const LOCK_ATTEMPTS = 6;
