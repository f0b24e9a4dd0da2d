/**
 * The `tpe` researcher: a tree-structured Parzen estimator (Bergstra et al. 2011, Optuna's implementation) over the
 * hyperparameters under `knobs` in lab.yaml and those for which another researcher gave a range. In a fixed space it beats
 * language models at equal budget (arXiv 2603.24647), and it needs no API key.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { describeChanges, knobsNow, knobValue, turnKnob, type KnobValue } from '../domain/knobs';
import { runSeed } from '../domain/seed';
import type { Knob } from '../domain/lab';
import type { Edit, Proposal } from '../ledger/proposals';
import { packageRoot } from '../process/package-root';
import { capture, CaptureError } from './capture';
import { GivenUp, NoProposal, type Researcher, type ResearchContext } from './researcher';

const SCRIPT = join('src', 'researchers', 'tpe.py');
/** Importing Optuna and replaying a few hundred trials takes a second or two. */
const TIMEOUT_MS = 120_000;
/** More trials make each answer slower and no better. */
const MAX_TRIALS = 500;

const answerSchema = z.strictObject({
  values: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
});

interface Trial {
  values: Record<string, KnobValue>;
  score: number | null;
}

export function createTpe(): Researcher {
  return {
    async propose(context, signal): Promise<Proposal> {
      if (context.repair !== null) {
        throw new GivenUp('tpe does not repair crashes: it records that these values crash');
      }
      // Hyperparameters that the incumbent removed, or moved out of range, are left out.
      const knobs = knobsNow(context.lab.knobs, context.history, context.incumbent.files);
      if (knobs.length === 0) {
        throw new NoProposal(
          "tpe tunes hyperparameters, and the incumbent has none: neither lab.yaml's knobs nor a researcher's range names one of its constants. Choose another researcher",
        );
      }
      const question = {
        // Depends on the tag, so that studies of one lab start differently, and on the refusals, so that a refused point is drawn anew.
        seed: runSeed(context.tag, context.number, context.refused.length),
        direction: context.lab.metric.direction,
        knobs,
        current: knobValues(knobs, context.incumbent.files),
        trials: await pastTrials(context, knobs),
      };
      const stdout = await ask(context.python, JSON.stringify(question), signal);
      const { values } = answerSchema.parse(JSON.parse(stdout));
      return turn(context, knobs, values);
    },
  };
}

/** @throws NoProposal if tpe.py fails: asked again, it would fail in the same way */
async function ask(python: string, question: string, signal: AbortSignal): Promise<string> {
  try {
    const command = [python, '-B', join(packageRoot(), SCRIPT)];
    return (await capture(command, { stdin: question, timeoutMs: TIMEOUT_MS, signal })).stdout;
  } catch (error) {
    if (error instanceof CaptureError && !signal.aborted)
      throw new NoProposal(error.message, { cause: error });
    throw error;
  }
}

/** The hyperparameters' values in these files; those without a value in range are left out. */
function knobValues(knobs: readonly Knob[], files: Record<string, string>): Record<string, KnobValue> {
  const values = knobs.map((knob) => [knob.name, knobValue(knob, files[knob.file] ?? '')] as const);
  return Object.fromEntries(values.filter((entry): entry is [string, KnobValue] => entry[1] !== null));
}

/** The experiments as trials: the hyperparameters' values at each experiment's commit, whichever researcher proposed it. */
async function pastTrials(
  { lab, history, readAt }: ResearchContext,
  knobs: readonly Knob[],
): Promise<Trial[]> {
  const past = history.slice(-MAX_TRIALS);
  const commits = past.map((record) => record.commit);
  const paths = [...new Set(knobs.map((knob) => knob.file))];
  const columns = await Promise.all(paths.map((path) => readAt(path, commits)));
  const trials = past.map((record, index): Trial => {
    const files = paths.map((path, column) => [path, columns[column]?.[index] ?? ''] as const);
    return { values: knobValues(knobs, Object.fromEntries(files)), score: record.score };
  });
  // An experiment without one of lab.yaml's constants, or with one out of range, says nothing about this space. An
  // experiment from before another researcher added a constant still counts for the others.
  const needed = knobs.filter((knob) => lab.knobs.includes(knob));
  return trials.filter(({ values }) =>
    needed.length > 0 ? needed.every(({ name }) => name in values) : Object.keys(values).length > 0,
  );
}

/** The proposal that sets these values in the incumbent's files. @throws NoProposal if nothing changes */
function turn(
  { incumbent, number }: ResearchContext,
  knobs: readonly Knob[],
  values: Record<string, KnobValue>,
): Proposal {
  const edits: Edit[] = [];
  const changes: { knob: Knob; from: KnobValue; to: KnobValue }[] = [];
  for (const knob of knobs) {
    const text = incumbent.files[knob.file] ?? '';
    const to = values[knob.name];
    const from = knobValue(knob, text);
    if (to === undefined || from === null || from === to) continue;
    edits.push({ path: knob.file, ...turnKnob(knob, text, to) });
    changes.push({ knob, from, to });
  }
  if (changes.length === 0) throw new NoProposal('tpe proposed the incumbent itself');
  return {
    format: 1,
    title: describeChanges(changes),
    hypothesis: `TPE expects these values to do better, from ${number} experiment${number === 1 ? '' : 's'} so far.`,
    edits,
  };
}
