/**
 * What people may ask of a running study, and how each request is checked. Signals and updates share these:
 * an update that does not pass is refused with the reason, a signal's refusal is told by `status`.
 */
import { z } from 'zod';
import type { Limits } from './limits';

// The workflow sandbox allows no code generation, which zod uses to be faster.
z.config({ jitless: true });

const limit = (what: string) =>
  z
    .number({ error: `${what}: expected a number, or null for no limit` })
    .positive({ error: `${what}: expected more than 0` })
    .nullable();

const limitsSchema = z.strictObject({
  experiments: limit('experiments').refine(
    (n) => n === null || Number.isInteger(n),
    'experiments: expected a whole number',
  ),
  gpuHours: limit('gpuHours'),
  hours: limit('hours'),
  dollars: limit('dollars'),
}) satisfies z.ZodType<Limits>;

/** `{"experiments": 200, "gpuHours": null}`: absolute values, null clears one, what is absent stays. */
const budgetChangeSchema = limitsSchema
  .partial()
  .refine(
    (change) => Object.keys(change).length > 0,
    'expected at least one of experiments, gpuHours, hours, dollars',
  );

/** `{"now": true}` ends the running experiment too; nothing at all means after it. */
const stopSchema = z.strictObject({ now: z.boolean().default(false) });

const textSchema = z
  .string({ error: 'expected a text' })
  .trim()
  .min(1, 'expected a text')
  .max(2000, 'expected at most 2,000 characters');

const ideaIdSchema = z
  .string({ error: 'expected the id of an idea, such as 12.1' })
  .regex(/^\d+\.\d+$/, 'expected the id of an idea, such as 12.1');

export type BudgetChange = z.input<typeof budgetChangeSchema>;
export type IdeaRequest = string | { text: string } | { drop: string };
export type StopRequest = z.input<typeof stopSchema>;

/** A request that does not pass, in words for the person who made it. */
export class BadRequest extends Error {
  override name = 'BadRequest';
}

export function parseBudgetChange(input: unknown): Partial<Limits> {
  const change = parse('adjustBudget', budgetChangeSchema, input);
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}

export function parseStop(input: unknown): { now: boolean } {
  return parse('stop', stopSchema, input ?? {});
}

/** A hint may be a plain text or, as the UI likes it, `{"text": "…"}`. */
export function parseHint(input: unknown): string {
  const text = typeof input === 'object' && input !== null && 'text' in input ? input.text : input;
  return parse('hint', textSchema, text);
}

/** `"text"` or `{"text": "…"}` adds an idea to the backlog, `{"drop": "12.1"}` takes one off. */
export function parseIdea(input: unknown): { text: string } | { drop: string } {
  if (typeof input === 'object' && input !== null && 'drop' in input) {
    return { drop: parse('idea', ideaIdSchema, input.drop) };
  }
  const text = typeof input === 'object' && input !== null && 'text' in input ? input.text : input;
  return { text: parse('idea', textSchema, text) };
}

/** A reason may quote what it refuses, such as an unknown key; a study carries it, and must not grow by it. */
const MAX_REASON = 500;

function parse<T>(name: string, schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const reasons = result.error.issues.map((issue) => {
    const at = issue.path.join('.');
    return at === '' || issue.message.startsWith(at) ? issue.message : `${at}: ${issue.message}`;
  });
  const reason = `${name}: ${reasons.join('; ')}`;
  throw new BadRequest(reason.length <= MAX_REASON ? reason : `${reason.slice(0, MAX_REASON)}…`);
}
