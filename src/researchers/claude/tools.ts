/** The tools that the model has, each by one zod schema: what it is told, and what its answers are checked against. */
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { knobSchema } from '../../domain/lab';
import { MAX_EDITS, MAX_HYPOTHESIS } from '../../ledger/proposals';

const text = (length: number, what: string) => z.string().min(1).max(length).describe(what);

const readFile = z.strictObject({
  path: z.string().describe('an editable file, or program.md'),
  first: z.int().positive().nullable().describe('first line, from 1; null for the beginning'),
  last: z.int().positive().nullable().describe('last line, itself included; null for the end'),
});

const showExperiment = z.strictObject({ number: z.int().nonnegative() });

const edit = z.strictObject({
  path: z.string().describe('an editable file'),
  search: z
    .string()
    .describe(
      'text that occurs exactly once in the file, character for character; empty replaces the whole file',
    ),
  replace: z.string().describe('what to put in its place'),
});

const range = z.strictObject({
  name: z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'expected the name of a constant'),
  file: z.string(),
  type: z.enum(['float', 'int']),
  low: z.number(),
  high: z.number(),
  log: z.boolean().describe('whether its scale is logarithmic; low is above 0 then'),
});

const propose = z.strictObject({
  title: text(120, 'one line: what is changed'),
  hypothesis: text(MAX_HYPOTHESIS, 'why this should help, and by which mechanism'),
  expected: text(1000, 'the effect that you expect on the metric, with its size'),
  knobs: z.array(z.string().max(80)).max(50).describe('names of the constants that the change touches'),
  edits: z.array(edit).min(1).max(MAX_EDITS),
  idea: z
    .string()
    .regex(/^\d+\.\d+$/, 'expected an id of the backlog, such as 12.1')
    .nullable()
    .describe('id of the idea of the backlog that this takes up; null for none'),
  ideas: z
    .array(text(2000, 'one idea'))
    .max(10)
    .describe('ideas for later experiments that the backlog does not have yet; it keeps them. Often none'),
  ranges: z
    .array(range)
    .max(50)
    .describe(
      'for numeric constants that this change brings in, at the top of a file: how far an optimiser may turn them. Often none',
    ),
  lessons: z
    .array(text(2000, 'one lesson'))
    .max(20)
    .nullable()
    .describe('all lessons that hold now, only when they are asked for; null otherwise'),
});

const giveUp = z.strictObject({ reason: text(1000, 'why this crash is not worth a repair') });

export type ProposeInput = z.infer<typeof propose>;

const TOOLS = {
  read_file: {
    schema: readFile,
    description:
      'Reads an editable file as the change would find it (in a repair, as the crashed candidate has it), or program.md, by lines.',
  },
  show_experiment: {
    schema: showExperiment,
    description: 'Shows an earlier experiment: what was expected, what came of it, and its whole patch.',
  },
  propose: {
    schema: propose,
    description:
      'Proposes the change. It is checked at once, without the device: what is wrong with it comes back, and you propose again.',
  },
  give_up: {
    schema: giveUp,
    description: 'Leaves a crashed candidate as it is: the idea is wrong, not its code.',
  },
} as const;

const toolUseSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('read_file'), input: readFile }),
  z.strictObject({ name: z.literal('show_experiment'), input: showExperiment }),
  z.strictObject({ name: z.literal('propose'), input: propose }),
  z.strictObject({ name: z.literal('give_up'), input: giveUp }),
]);

export type ToolUse = z.infer<typeof toolUseSchema>;

/** The tools as the API takes them. All are there always: another list would be another prompt to its cache. */
export const toolDefinitions = (): Anthropic.Tool[] =>
  Object.entries(TOOLS).map(([name, { schema, description }]) => ({
    name,
    description,
    strict: true,
    input_schema: { type: 'object', ...strictSchema(schema) },
  }));

/** What strict tools may not say (sizes, patterns) is left out: zod checks it here. */
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

/** A tool's input, checked; or in words what is wrong with it. */
export function parseToolUse(name: string, input: unknown): ToolUse | string {
  if (!Object.hasOwn(TOOLS, name)) return `there is no tool ${JSON.stringify(name)}`;
  const parsed = toolUseSchema.safeParse({ name, input });
  if (parsed.success) return parsed.data;
  return parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.slice(1).join('.') || 'input'}: ${issue.message}`)
    .join('; ');
}

/** A range as lab.yaml's knobs are written; in words what is wrong where it is none. */
export function parseRange({ log, type, ...given }: ProposeInput['ranges'][number]) {
  const parsed = knobSchema.safeParse({ ...given, type, log });
  if (!parsed.success) return `ranges: ${given.name}: ${parsed.error.issues[0]?.message ?? ''}`;
  if (given.low >= given.high) return `ranges: ${given.name}: expected low < high`;
  if (log && given.low <= 0) return `ranges: ${given.name}: expected low > 0 with log`;
  return parsed.data;
}
