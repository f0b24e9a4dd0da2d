/**
 * The money that one experiment may spend on being proposed. Each call is reserved before it is made and settled after,
 * in a journal on disk: a worker that dies in the middle leaves a reservation, and that counts as spent in full.
 */
import { randomInt } from 'node:crypto';
import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { dollarText } from '../domain/limits';
import { errorCode } from '../process/error-code';

/** What is left does not cover the next call: the study waits until its limit is raised. */
export class BudgetExhausted extends Error {
  override name = 'BudgetExhausted';
}

const entrySchema = z.union([
  z.strictObject({ reserve: z.number().nonnegative(), id: z.int().positive() }),
  z.strictObject({ settle: z.number().nonnegative(), id: z.int().positive() }),
]);

type Entry = z.infer<typeof entrySchema>;

/** As large as randomInt can. */
const MAX_ID = 2 ** 48 - 1;

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
    return [...this.calls.values()].reduce(
      (sum, entry) => sum + ('settle' in entry ? entry.settle : entry.reserve),
      0,
    );
  }

  /** The most that one call has cost, in US dollars, of those that said what they did; null where none has. */
  dearestCall(): number | null {
    const settled = [...this.calls.values()].flatMap((entry) => ('settle' in entry ? [entry.settle] : []));
    return settled.length === 0 ? null : Math.max(...settled);
  }

  /**
   * Makes a call that costs at most `atMost` dollars; `call` says what it really cost. One that fails without an answer
   * is settled by what its failure says, or stays reserved.
   * @throws BudgetExhausted before the call if that much is not left
   */
  async spend<T>(atMost: number, call: (settle: (dollars: number) => void) => Promise<T>): Promise<T> {
    if (this.limit !== null && this.spent() + atMost > this.limit) {
      throw new BudgetExhausted(
        `the next call may cost ${dollarText(atMost)}, and ${dollarText(Math.max(0, this.limit - this.spent()))} is left of the study's dollars`,
      );
    }
    // Not the next number: an attempt that was replaced may still write to the same journal.
    const id = randomInt(1, MAX_ID);
    await this.enter({ reserve: atMost, id });
    let settled: number | null = null;
    try {
      return await call((dollars) => {
        settled = dollars;
      });
    } finally {
      if (settled !== null) {
        await this.enter({ settle: settled, id });
      }
    }
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

/** A line that was cut off in the middle was never acted upon: the call comes after the write. */
function entryIn(line: string): Entry | null {
  try {
    return entrySchema.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
