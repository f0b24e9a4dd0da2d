/** lab.yaml: what may be edited, what is locked, how to train and score, the metric, caps and knobs. */
import type * as Yaml from 'yaml';
import { z } from 'zod';
import { knobSchema, labPath } from '../domain/lab';

const command = z.array(z.string().min(1)).min(1);
const seconds = z
  .number()
  .positive()
  .max(7 * 86_400);
const labConfigSchema = z
  .strictObject({
    version: z.literal(1),
    name: z.string().min(1).max(80),
    metric: z.strictObject({
      name: z.string().regex(/^[a-z][a-z0-9_]*$/),
      direction: z.enum(['minimize', 'maximize']),
    }),
    /** Files that a candidate may change; it may create none but these. */
    editable: z.array(labPath).min(1),
    /** Files that always come from the study's base commit. */
    locked: z.array(labPath).min(1),
    /** What the human tells the researcher; read afresh from the working tree for each proposal. */
    program: labPath.default('program.md'),
    data: z.strictObject({
      /** Run with `--source SOURCE --out DIR`; writes manifest.json last. `python` stands for the trainer's interpreter. */
      prepare: command,
      /** `packages` (sources of pinned npm packages), `climbmix`, or a folder of text. */
      source: z.string().min(1).default('packages'),
    }),
    train: z.strictObject({
      command,
      /** The default budget, which `start --train-seconds` and `--train-steps` override. */
      seconds: seconds.default(300),
    }),
    score: z.strictObject({
      /** Run with `--graph FILE --weights FILE --data DIR --out FILE`. */
      command,
    }),
    caps: z.preprocess(
      withSubmissionSeconds,
      z
        .strictObject({
          /** From launch to `start`: imports, building, compiling. Candidates have less, by what the baseline took (startup-cap.ts). */
          startup_seconds: seconds.default(300),
          /** What a candidate has beyond twice the baseline's start-up. */
          startup_spare_seconds: seconds.default(20),
          /** From the end of the budget to the last byte of the weights. */
          submission_seconds: seconds.default(30),
          score_seconds: seconds.default(600),
          /** From `start` to the last step of a budget in steps. Default: four times the baseline's, at least ten minutes. */
          train_seconds: seconds.optional(),
          /** No step reported for this long after `start` is a stall. */
          stall_seconds: seconds.default(120),
          edit_bytes: z
            .int()
            .positive()
            .default(256 * 1024),
          /** Of strings and numbers in the editable files that the study's base does not have, all changes together. */
          literal_bytes: z
            .int()
            .positive()
            .default(8 * 1024),
          /** Of the lines of the editable files that the study's base does not have, all together, when zlib has compressed them. */
          packed_bytes: z
            .int()
            .positive()
            .default(24 * 1024),
          weights_bytes: z
            .int()
            .positive()
            .default(4 * 1024 ** 3),
          log_bytes: z
            .int()
            .positive()
            .default(8 * 1024 ** 2),
          scratch_bytes: z
            .int()
            .positive()
            .default(8 * 1024 ** 3),
        })
        .prefault({}),
    ),
    knobs: z.array(knobSchema).default([]),
  })
  .superRefine((lab, context) => {
    for (const path of lab.editable) {
      if (lab.locked.includes(path)) {
        context.addIssue({
          code: 'custom',
          path: ['editable'],
          message: `"${path}" is both editable and locked`,
        });
      }
    }
    const named = [...lab.editable, ...lab.locked];
    for (const path of named) {
      const outer = named.find((other) => path.startsWith(`${other}/`));
      if (outer !== undefined)
        context.addIssue({
          code: 'custom',
          path: ['editable'],
          message: `"${path}" is inside "${outer}": expected files, not folders`,
        });
    }
    if (!lab.locked.includes('lab.yaml')) {
      context.addIssue({ code: 'custom', path: ['locked'], message: 'expected "lab.yaml" to be locked' });
    }
    lab.knobs.forEach((knob, index) => {
      if (!lab.editable.includes(knob.file)) {
        context.addIssue({
          code: 'custom',
          path: ['knobs', index, 'file'],
          message: `"${knob.file}" is not editable`,
        });
      }
      if (knob.type !== 'choice' && knob.low >= knob.high) {
        context.addIssue({ code: 'custom', path: ['knobs', index], message: 'expected low < high' });
      }
      if (knob.type !== 'choice' && knob.log && knob.low <= 0) {
        context.addIssue({
          code: 'custom',
          path: ['knobs', index, 'low'],
          message: 'expected low > 0 with log: true',
        });
      }
    });
  });

/** Version 1 of lab.yaml called the cap `handin_seconds`. */
function withSubmissionSeconds(caps: unknown): unknown {
  if (typeof caps !== 'object' || caps === null || !('handin_seconds' in caps)) return caps;
  const { handin_seconds: submission_seconds, ...others } = caps;
  return { submission_seconds, ...others };
}

export type LabConfig = z.infer<typeof labConfigSchema>;

/** lab.yaml is missing or wrong: the message says where and what was expected. */
export class LabConfigError extends Error {
  override name = 'LabConfigError';
}

/**
 * Reads lab.yaml's text.
 * @throws LabConfigError with each problem's path (`caps.score_seconds`) and reason
 */
export function parseLabConfig(text: string, source = 'lab.yaml'): LabConfig {
  const parsed = labConfigSchema.safeParse(readYaml(text, source));
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `  ${issue.path.join('.') || '(top)'}: ${issue.message}`,
  );
  throw new LabConfigError(`${source} is not a valid lab:\n${problems.join('\n')}`);
}

function readYaml(text: string, source: string): unknown {
  // Not at the top: it takes as long to load as git to answer, and most commands read no lab.yaml.
  const { parseDocument }: typeof Yaml = require('yaml');
  const document = parseDocument(text, { prettyErrors: true, stringKeys: true, logLevel: 'error' });
  const broken = document.errors[0];
  if (broken !== undefined) throw new LabConfigError(`${source} is not YAML: ${broken.message}`);
  try {
    return document.toJS();
  } catch (error) {
    // Aliases of nothing, or too many of them: only now does anybody follow them.
    const why = error instanceof Error ? error.message : String(error);
    throw new LabConfigError(`${source} is not YAML: ${why}`, { cause: error });
  }
}
