/**
 * Limits what one experiment spends on its proposal. It reserves the most that a call can cost before the call and settles
 * it afterwards, in a journal on disk. When a worker dies in between, the reservation stays and counts as spent in full.
 */
import { randomInt } from 'node:crypto';
import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';

import { dollarText } from '../domain/limits';
import type { Assumed } from '../domain/money';
import { errorCode } from '../process/error-code';

/** The remaining dollars do not cover the next call: the study waits until its limit is raised. */
export class BudgetExhausted extends Error {
  override name = 'BudgetExhausted';
}

/** Calls of one experiment that may get lost (reserved, never settled) within an hour. */
export const MAX_LOST = 8;
const HOUR_MS = 3_600_000;

const callId = z.int().positive();
const paid = z.number().nonnegative();
const entrySchema = z.union([
  /** US dollars; `at` in milliseconds since 1970. */
  z.strictObject({ reserve: paid, id: callId, at: z.number() }),
  z.strictObject({ settle: paid, id: callId }),
  /** The cost could not be read: the call counts as this many US dollars. */
  z.strictObject({ assume: paid, id: callId }),
]);

type Entry = z.infer<typeof entrySchema>;

/** What an experiment has spent on its proposal, in US dollars. */
export interface Account {
  /** The sum over calls whose cost is known. */
  settled: number;
  assumed: Assumed | null;
  /** Reserved for calls that are running or were lost: their cost is unknown. */
  aside: Assumed | null;
}

/** The largest that randomInt takes. */
const MAX_ID = 2 ** 48 - 1;

/**
 * Reports what a call cost.
 * @param dollars null when the cost could not be read
 * @param atLeast the part of it that could be read
 */
export type Settle = (dollars: number | null, atLeast?: number) => void;

export class SpendGuard {
  private constructor(
    private readonly file: string,
    /** US dollars that this experiment may spend in total; null without a limit. */
    private readonly limit: number | null,
    /** By call id: the reservation while it runs, its cost afterwards. */
    private readonly calls: Map<number, Entry>,
  ) {}

  /** @param file the journal; entries that it already holds count as spent */
  static async open(file: string, limit: number | null): Promise<SpendGuard> {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return '';
      throw error;
    });
    const calls = new Map<number, Entry>();
    for (const line of text.split('\n')) {
      const entry = entryIn(line);
      if (entry !== null) calls.set(entry.id, entry);
    }
    return new SpendGuard(file, limit, calls);
  }

  /** All that this experiment has spent, in US dollars; running calls count with their reservation. */
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

  /** The highest known cost of one call, in US dollars; null when no cost is known. */
  dearestCall(): number | null {
    const settled = [...this.calls.values()].flatMap((entry) => ('settle' in entry ? [entry.settle] : []));
    return settled.length === 0 ? null : Math.max(...settled);
  }

  /**
   * Makes a call that costs at most `atMost` dollars. `call` reports the real cost to `settle`; if it never does, the
   * reservation stays.
   * @throws BudgetExhausted before the call when less than `atMost` is left
   * @throws ApplicationFailure (TooManyLost) when MAX_LOST calls were lost within the last hour
   */
  async spend<T>(atMost: number, call: (settle: Settle) => Promise<T>): Promise<T> {
    this.checkLost();
    if (this.limit !== null && this.spent() + atMost > this.limit) {
      throw new BudgetExhausted(
        `the next call may cost ${dollarText(atMost)}, but only ${dollarText(Math.max(0, this.limit - this.spent()))} of the study's dollars is left`,
      );
    }
    // Random, not the next number: a replaced attempt may still write to the same journal.
    const id = randomInt(1, MAX_ID);
    await this.enter({ reserve: atMost, id, at: Date.now() });
    let outcome: Entry | null = null;
    try {
      return await call((dollars, atLeast = 0) => {
        outcome = dollars === null ? { assume: Math.max(atMost, atLeast), id } : { settle: dollars, id };
      });
    } finally {
      if (outcome !== null) await this.enter(outcome);
    }
  }

  /** A worker that dies during each call pays each time, and Temporal does not wait between a worker's deaths. */
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
      message: `${MAX_LOST} calls within an hour ended without an answer, and each may have cost money: the next call is in ${Math.ceil(wait / 60_000)} min`,
      nextRetryDelay: wait,
    });
  }

  private async enter(entry: Entry): Promise<void> {
    this.calls.set(entry.id, entry);
    await mkdir(dirname(this.file), { recursive: true });
    // A line break before the entry as well: it ends a line that an interrupted write left unfinished.
    await appendFile(this.file, `\n${JSON.stringify(entry)}\n`);
    const handle = await open(this.file, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

function assumedIn(amounts: readonly number[]): Assumed | null {
  if (amounts.length === 0) return null;
  const dollars = amounts.reduce((sum, amount) => sum + amount, 0);
  return { calls: amounts.length, dollars, most: Math.max(...amounts) };
}

/** An unfinished line is ignored: its call was never made, for the call follows the write. */
function entryIn(line: string): Entry | null {
  try {
    return entrySchema.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
