/**
 * The transcript of one proposal: a JSON line for each call of the Messages API, in the proposal's folder. It lets people see
 * how an idea arose, and it counts the tokens of conversations that ended without a proposal.
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

  /** @param from index of the first message that no earlier line has */
  async add({ messages, system }: Question, from: number, { content, stop, usage }: Answer): Promise<void> {
    const asked = { ...(from === 0 ? { system } : {}), messages: messages.slice(from) };
    const entry = { at: new Date().toISOString(), asked, answer: content, stop, usage };
    await mkdir(dirname(this.file), { recursive: true });
    await appendFile(this.file, `${redact(JSON.stringify(entry))}\n`);
  }

  /** Tokens of all calls for this proposal, also of those before a worker died. */
  async usage(model: string): Promise<Usage> {
    const text = await readFile(this.file, 'utf8').catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return '';
      throw error;
    });
    return text.split('\n').flatMap(usageIn).reduce(addUsage, noUsage(model));
  }
}

/** Ignores a line that a dying worker left unfinished. */
function usageIn(line: string): Usage[] {
  try {
    return [entrySchema.parse(JSON.parse(line)).usage];
  } catch {
    return [];
  }
}
