/** The model's tools. One zod schema each gives both the description to the model and the check of its input. */
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { knobSchema } from '../../domain/lab';
import { MAX_EDITS, MAX_HYPOTHESIS } from '../../ledger/proposals';

/** Proposals that may be refused in one conversation. The model knows both limits. */
export const MAX_OBJECTIONS = 4;
/** Look-ups (read_file, show_experiment) in one conversation. */
export const MAX_LOOK_UPS = 8;

const text = (length: number, what: string) => z.string().min(1).max(length).describe(what);

const readFile = z.strictObject({
  path: z.string().describe('path of an editable file, or of program.md'),
  first: z.int().positive().nullable().describe('number of the first line, from 1; null for the beginning'),
  last: z.int().positive().nullable().describe('number of the last line (inclusive); null for the end'),
});

const showExperiment = z.strictObject({ number: z.int().nonnegative() });

const edit = z.strictObject({
  path: z.string().describe('path of an editable file'),
  search: z
    .string()
    .describe(
      'text that occurs exactly once in the file, character for character; an empty string replaces the whole file',
    ),
  replace: z.string().describe('the text that replaces it'),
});

const range = z.strictObject({
  name: z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'expected the name of a constant'),
  file: z.string(),
  type: z.enum(['float', 'int']),
  low: z.number(),
  high: z.number(),
  log: z.boolean().describe('true for a logarithmic scale, which needs low > 0'),
});

const propose = z.strictObject({
  title: text(120, 'one line: what the change does'),
  hypothesis: text(MAX_HYPOTHESIS, 'why this should help, and by which mechanism'),
  expected: text(1000, 'the effect on the metric that you expect, with its size'),
  knobs: z
    .array(z.string().max(80))
    .max(50)
    .describe('names of the constants that the change alters or adds'),
  edits: z.array(edit).min(1).max(MAX_EDITS),
  idea: z
    .string()
    .regex(/^\d+\.\d+$/, 'expected an id from the backlog, such as 12.1')
    .nullable()
    .describe('id of the backlog idea that this change tries; null for none'),
  ideas: z
    .array(text(2000, 'one idea'))
    .max(10)
    .describe(
      'ideas for later experiments that are not yet in the backlog; they are added to it. Often empty',
    ),
  ranges: z
    .array(range)
    .max(50)
    .describe(
      'ranges in which an optimiser may tune the numeric constants that this change adds at the top of a file. Often empty',
    ),
  lessons: z
    .array(text(2000, 'one lesson'))
    .max(20)
    .nullable()
    .describe('all lessons that hold now, if the task asks for lessons; null otherwise'),
});

const giveUp = z.strictObject({ reason: text(1000, 'why this crash is not worth a repair') });

export type ProposeInput = z.infer<typeof propose>;

const TOOLS = {
  read_file: {
    schema: readFile,
    description:
      "Reads lines of an editable file or of program.md. Editable files are the incumbent's; in a repair, the crashed candidate's.",
  },
  show_experiment: {
    schema: showExperiment,
    description: 'Shows an earlier experiment: its hypothesis, expectation and result, and its patch.',
  },
  propose: {
    schema: propose,
    description:
      'Proposes the change. It is checked at once, before any training: if something is wrong, the result says what, and you propose again.',
  },
  give_up: {
    schema: giveUp,
    description:
      'Gives up the repair of a crashed candidate, because its idea is wrong and not only its code.',
  },
} as const;

const toolUseSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('read_file'), input: readFile }),
  z.strictObject({ name: z.literal('show_experiment'), input: showExperiment }),
  z.strictObject({ name: z.literal('propose'), input: propose }),
  z.strictObject({ name: z.literal('give_up'), input: giveUp }),
]);

export type ToolUse = z.infer<typeof toolUseSchema>;

/** The tools as the API takes them. The list is always the same: the API's prompt cache includes it. */
export const toolDefinitions = (): Anthropic.Tool[] =>
  Object.entries(TOOLS).map(([name, { schema, description }]) => ({
    name,
    description,
    strict: true,
    input_schema: { type: 'object', ...strictSchema(schema) },
  }));

/** The JSON schema without sizes and patterns, which strict tools do not allow; `parseToolUse` checks those. */
function strictSchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      for (const key of UNSUPPORTED) delete jsonSchema[key];
    },
  });
  return rest;
}

const UNSUPPORTED = [
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'pattern',
] as const;

/** A tool's checked input; or a text that says what is wrong with it. */
export function parseToolUse(name: string, input: unknown): ToolUse | string {
  if (!Object.hasOwn(TOOLS, name)) return `there is no tool ${JSON.stringify(name)}`;
  const parsed = toolUseSchema.safeParse({ name, input });
  if (parsed.success) return parsed.data;
  return parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.slice(1).join('.') || 'input'}: ${issue.message}`)
    .join('; ');
}

/** A range in the form of lab.yaml's `knobs`; or a text that says what is wrong with it. */
export function parseRange({ log, type, ...given }: ProposeInput['ranges'][number]) {
  const parsed = knobSchema.safeParse({ ...given, type, log });
  if (!parsed.success) return `ranges: ${given.name}: ${parsed.error.issues[0]?.message ?? ''}`;
  if (given.low >= given.high) return `ranges: ${given.name}: expected low < high`;
  if (log && given.low <= 0) return `ranges: ${given.name}: expected low > 0 with log`;
  return parsed.data;
}
