/** One study and its lab, read with plain git and plain files, and asked of the server. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';

const here = dirname(fileURLToPath(import.meta.url));
const STEPS = 20;
const ANSWER_MS = 2_000;
export const TAG = 'chaos';
export const LEDGER = `autoresearch-ledger/${TAG}`;

export class Study {
  #connection = null;
  #workflowId = null;

  /** A fresh lab. */
  constructor(installation, name) {
    this.installation = installation;
    this.lab = join(installation.labs, name);
    /** Locks that a disturbance has left, each with how many records there were. */
    this.locksLeft = new Map();
    cpSync(join(here, 'lab'), this.lab, { recursive: true });
    this.git('init', '--quiet', '--initial-branch', 'main');
    this.git('add', '--all');
    const identity = ['-c', 'user.name=chaos', '-c', 'user.email=chaos@localhost'];
    this.git(...identity, 'commit', '--quiet', '-m', 'a lab');
  }

  /** A study on it that ends after so many experiments. @returns {Promise<{code: number | string, said: string}>} */
  start(experiments) {
    const researcher = `python3 ${join(here, 'propose.py')}`;
    // prettier-ignore
    return this.installation.run(
      'start', '--lab', this.lab, '--tag', TAG, '--train-steps', String(STEPS), '--experiments', String(experiments),
      '--researcher', 'command', '--command', researcher,
    );
  }

  git(...args) {
    return execFileSync('git', args, {
      cwd: this.lab,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  }

  /** The folder of the study's runs and proposals. */
  state() {
    const id = createHash('sha256').update(realpathSync(this.lab)).digest('hex').slice(0, 8);
    return join(this.installation.root, 'state', 'autoresearch', 'labs', id, TAG);
  }

  /** Attempts whose sandbox was begun, each as often as it was; none where there are no sandboxes. */
  begun() {
    try {
      const lines = readFileSync(this.installation.begun, 'utf8').trim().split('\n');
      return lines.filter((attempt) => attempt.startsWith(`${this.state()}/`));
    } catch {
      return [];
    }
  }

  /** Records in the ledger, 0 before there is one. */
  recorded() {
    try {
      return Number(this.git('rev-list', '--count', LEDGER)) - 1;
    } catch {
      return 0;
    }
  }

  verify = () => this.ask('verify');

  /** Runs a command of the CLI on this study. */
  ask = (command, ...options) => this.installation.run(command, TAG, '--lab', this.lab, ...options);

  /**
   * What the server says just now, null when it does not answer.
   * @returns {Promise<{ run: string, attempts: number | null } | null>} the workflow's run id, and how often the
   *   activity that is under way has been begun
   */
  async look() {
    try {
      this.#connection ??= await Connection.connect({
        address: this.installation.address,
        connectTimeout: ANSWER_MS,
      });
      return await this.#connection.withDeadline(Date.now() + ANSWER_MS, () => this.#look(this.#connection));
    } catch {
      await this.close();
      return null;
    }
  }

  /** Sends a request as a client does that is no command of ours. @param {'signal' | 'executeUpdate'} way */
  async send(way, name, args) {
    const handle = await this.#handle();
    await (way === 'signal' ? handle.signal(name, ...args) : handle.executeUpdate(name, { args }));
  }

  /** Ends the experiment that is under way, from outside. @param {'terminate' | 'cancel'} how @returns whether there was one */
  async endChild(how) {
    const { raw } = await (await this.#handle()).describe();
    const child = raw.pendingChildren?.[0]?.workflowId;
    if (child === undefined) return false;
    const handle = new Client({ connection: this.#connection }).workflow.getHandle(child);
    const ended = how === 'terminate' ? handle.terminate() : handle.cancel();
    // It may have come to its end just then.
    return ended.then(
      () => true,
      () => false,
    );
  }

  async #handle() {
    this.#connection ??= await Connection.connect({ address: this.installation.address });
    this.#workflowId ??= JSON.parse(this.git('show', `${LEDGER}:study.json`)).workflowId;
    return new Client({ connection: this.#connection }).workflow.getHandle(this.#workflowId);
  }

  async close() {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.close().catch(() => undefined);
  }

  async #look(connection) {
    const client = new Client({ connection });
    this.#workflowId ??= JSON.parse(this.git('show', `${LEDGER}:study.json`)).workflowId;
    const { runId, raw } = await client.workflow.getHandle(this.#workflowId).describe();
    const child = raw.pendingChildren?.[0]?.workflowId;
    if (child === undefined) return { run: runId, attempts: null };
    const { raw: its } = await client.workflow.getHandle(child).describe();
    const activity = its.pendingActivities?.[0];
    const attempts = activity === undefined ? null : Number(activity.attempt);
    return { run: runId, attempts, isStarted: Number(activity?.state) === STARTED };
  }
}

/** `running`, `paused`, … of what `status --json` has said; null where that is no status. */
export function phaseOf(said) {
  try {
    return JSON.parse(said).study.phase;
  } catch {
    return null;
  }
}

/** PENDING_ACTIVITY_STATE_STARTED. */
const STARTED = 2;
