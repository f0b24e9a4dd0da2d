/**
 * What was asked and answered for one proposal, a line a call, in the proposal's folder: for people who want to know how
 * an idea came about, and for the tokens of calls whose conversation came to nothing.
 */
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { addUsage, noUsage, type Usage } from '../../domain/money';
import { errorCode } from '../../process/error-code';
import type { Answer, Question } from './call';
import { redact } from '../redact';

const count = z.int().nonnegative();
const entrySchema = z.object({
  usage: z.object({
    model: z.string(),
    calls: count,
    input: count,
    cacheWrite: count,
    cacheWriteHour: count,
    cacheRead: count,
    output: count,
  }),
});

export class Transcript {
  private readonly file: string;

  /** @param attempt 0 for the change itself, 1 for its first repair, … */
  constructor(folder: string, attempt: number) {
    this.file = join(folder, attempt === 0 ? 'transcript.jsonl' : `transcript-repair-${attempt}.jsonl`);
  }

  /** @param from messages before this one are on earlier lines */
  async add({ messages, system }: Question, from: number, { content, stop, usage }: Answer): Promise<void> {
    const asked = { ...(from === 0 ? { system } : {}), messages: messages.slice(from) };
    const entry = { at: new Date().toISOString(), asked, answer: content, stop, usage };
    await mkdir(dirname(this.file), { recursive: true });
    await appendFile(this.file, `${redact(JSON.stringify(entry))}\n`);
  }

  /** Tokens of all calls for this proposal, those before a worker's death too. */
  async usage(model: string): Promise<Usage> {
    const text = await readFile(this.file, 'utf8').catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return '';
      throw error;
    });
    return text.split('\n').flatMap(usageIn).reduce(addUsage, noUsage(model));
  }
}

/** A line that a dying worker cut off says nothing. */
function usageIn(line: string): Usage[] {
  try {
    return [entrySchema.parse(JSON.parse(line)).usage];
  } catch {
    return [];
  }
}
