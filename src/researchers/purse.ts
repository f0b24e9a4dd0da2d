/**
 * The money that one experiment may spend on being proposed. Each call is reserved before it is made and settled after,
 * in a journal on disk: a worker that dies in the middle leaves a reservation, and that counts as spent in full.
 */
import { randomInt } from 'node:crypto';
import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';
import { experimentName } from '../domain/experiment';
import { dollarText } from '../domain/limits';
import type { Assumed } from '../domain/money';
import { errorCode } from '../process/error-code';
import { studyState } from '../process/paths';

/** What is left does not cover the next call: the study waits until its limit is raised. */
export class BudgetExhausted extends Error {
  override name = 'BudgetExhausted';
}

/** Calls of one experiment that may get lost within an hour. */
export const MAX_LOST = 8;
const HOUR_MS = 3_600_000;

const callId = z.int().positive();
const paid = z.number().nonnegative();
const entrySchema = z.union([
  /** `at` in milliseconds since 1970. */
  z.strictObject({ reserve: paid, id: callId, at: z.number() }),
  z.strictObject({ settle: paid, id: callId }),
  /** The cost could not be read, and this is what the call counts as. */
  z.strictObject({ assume: paid, id: callId }),
]);

type Entry = z.infer<typeof entrySchema>;

/** What an experiment has spent on being proposed, in US dollars. */
export interface Account {
  /** Calls that said what they cost. */
  settled: number;
  assumed: Assumed | null;
  /** Reserved for calls that are under way, or were lost: nobody knows what they cost. */
  aside: Assumed | null;
}

/** As large as randomInt can. */
const MAX_ID = 2 ** 48 - 1;

/** Tells what a call has cost; null where that could not be read, with the part that could. */
export type Settle = (dollars: number | null, atLeast?: number) => void;

export class Purse {
  private constructor(
    private readonly file: string,
    /** US dollars that this experiment may spend in all; null without a limit. */
    private readonly limit: number | null,
    /** By call: what it may cost while it is under way, or has cost. */
    private readonly calls: Map<number, Entry>,
  ) {}

  /** @param file the journal; what it holds already is spent */
  static async open(file: string, limit: number | null): Promise<Purse> {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return '';
      throw error;
    });
    const calls = new Map<number, Entry>();
    for (const line of text.split('\n')) {
      const entry = entryIn(line);
      if (entry !== null) calls.set(entry.id, entry);
    }
    return new Purse(file, limit, calls);
  }

  /** All that this experiment has spent, calls under way at the most that they can cost. */
  spent(): number {
    const { settled, assumed, aside } = this.account();
    return settled + (assumed?.dollars ?? 0) + (aside?.dollars ?? 0);
  }

  account(): Account {
    const entries = [...this.calls.values()];
    return {
      settled: entries.reduce((sum, entry) => sum + ('settle' in entry ? entry.settle : 0), 0),
      assumed: assumedIn(entries.flatMap((entry) => ('assume' in entry ? [entry.assume] : []))),
      aside: assumedIn(entries.flatMap((entry) => ('reserve' in entry ? [entry.reserve] : []))),
    };
  }

  /** The most that one call has cost, in US dollars, of those that said what they did; null where none has. */
  dearestCall(): number | null {
    const settled = [...this.calls.values()].flatMap((entry) => ('settle' in entry ? [entry.settle] : []));
    return settled.length === 0 ? null : Math.max(...settled);
  }

  /**
   * Makes a call that costs at most `atMost` dollars; `call` says what it really cost. One that fails without an answer
   * is settled by what its failure says, or stays reserved.
   * @throws BudgetExhausted before the call if that much is not left; ApplicationFailure if too many were lost lately
   */
  async spend<T>(atMost: number, call: (settle: Settle) => Promise<T>): Promise<T> {
    this.checkLost();
    if (this.limit !== null && this.spent() + atMost > this.limit) {
      throw new BudgetExhausted(
        `the next call may cost ${dollarText(atMost)}, and ${dollarText(Math.max(0, this.limit - this.spent()))} is left of the study's dollars`,
      );
    }
    // Not the next number: an attempt that was replaced may still write to the same journal.
    const id = randomInt(1, MAX_ID);
    await this.enter({ reserve: atMost, id, at: Date.now() });
    let said: Entry | null = null;
    try {
      return await call((dollars, atLeast = 0) => {
        said = dollars === null ? { assume: Math.max(atMost, atLeast), id } : { settle: dollars, id };
      });
    } finally {
      if (said !== null) await this.enter(said);
    }
  }

  /** A worker that dies again and again in the middle of a call pays each time, and no wait of Temporal's is between. */
  private checkLost(): void {
    const now = Date.now();
    const lost = [...this.calls.values()]
      .flatMap((entry) => ('reserve' in entry && entry.reserve > 0 ? [entry.at] : []))
      .filter((at) => at <= now && now - at < HOUR_MS)
      .toSorted((a, b) => a - b);
    const oldest = lost.at(-MAX_LOST);
    if (oldest === undefined) return;
    const wait = oldest + HOUR_MS - now;
    throw ApplicationFailure.create({
      type: 'TooManyLost',
      message: `${MAX_LOST} calls in an hour came to nothing, and each may have cost money: the next one is made in ${Math.ceil(wait / 60_000)} min`,
      nextRetryDelay: wait,
    });
  }

  private async enter(entry: Entry): Promise<void> {
    this.calls.set(entry.id, entry);
    await mkdir(dirname(this.file), { recursive: true });
    // The line break comes first too: what an interrupted write has left stays a line of its own.
    await appendFile(this.file, `\n${JSON.stringify(entry)}\n`);
    const handle = await open(this.file, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** The folder of a proposal, with its journal, transcripts and worktrees. */
export const proposalFolder = ({ labId, tag }: { labId: string; tag: string }, number: number): string =>
  join(studyState(labId, tag), 'proposals', experimentName(number));

export const journalIn = (folder: string): string => join(folder, 'spent.jsonl');

function assumedIn(amounts: readonly number[]): Assumed | null {
  if (amounts.length === 0) return null;
  const dollars = amounts.reduce((sum, amount) => sum + amount, 0);
  return { calls: amounts.length, dollars, most: Math.max(...amounts) };
}

/** A line that was cut off in the middle was never acted upon: the call comes after the write. */
function entryIn(line: string): Entry | null {
  try {
    return entrySchema.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
