/**
 * The `tpe` researcher: a tree-structured Parzen estimator (Bergstra et al. 2011, as Optuna has it) over the knobs of
 * lab.yaml. In a fixed space of knobs it beats language models at equal budget (arXiv 2603.24647), and it needs no key.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { admits, describeChanges, readKnob, turnKnob, type KnobValue } from '../domain/knobs';
import { runSeed } from '../domain/seed';
import type { Knob } from '../lab/config';
import type { Edit, Proposal } from '../lab/edits';
import { packageRoot } from '../process/package-root';
import { capture, CaptureError } from './capture';
import { NoProposal, type Researcher, type ResearchContext } from './researcher';

const SCRIPT = join('src', 'researchers', 'tpe.py');
/** Optuna's import and a few hundred trials take a second or two. */
const TIMEOUT_MS = 120_000;
/** More trials make each question slower and the answer no better. */
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
      const { metric } = context.lab;
      const current = knobValues(context.lab.knobs, context.incumbent.files);
      // What the incumbent has taken away, or moved out of its range, is no knob any more.
      const knobs = context.lab.knobs.filter((knob) => knob.name in current);
      if (knobs.length === 0) {
        throw new NoProposal(
          'tpe turns knobs, and the incumbent has none that lab.yaml names: choose another researcher',
        );
      }
      const question = {
        // The study's name is in it, or all studies of a lab would begin with the same ideas.
        seed: runSeed(context.tag, context.number, 0),
        direction: metric.direction,
        knobs,
        current,
        trials: await pastTrials(context, knobs),
      };
      const stdout = await ask(context.python, JSON.stringify(question), signal);
      const { values } = answerSchema.parse(JSON.parse(stdout));
      return turn(context, values);
    },
  };
}

/** @throws NoProposal if the question has no answer: the same one would fail the same way for ever */
async function ask(python: string, question: string, signal: AbortSignal): Promise<string> {
  try {
    const command = [python, join(packageRoot(), SCRIPT)];
    return (await capture(command, { stdin: question, timeoutMs: TIMEOUT_MS, signal })).stdout;
  } catch (error) {
    if (error instanceof CaptureError && !signal.aborted)
      throw new NoProposal(error.message, { cause: error });
    throw error;
  }
}

/** The values that these files give the knobs; one that has none within its range is left out. */
function knobValues(knobs: readonly Knob[], files: Record<string, string>): Record<string, KnobValue> {
  const values = knobs.map((knob) => [knob.name, valueOf(knob, files[knob.file] ?? '')] as const);
  return Object.fromEntries(values.filter((entry): entry is [string, KnobValue] => entry[1] !== null));
}

/** What was tried, as knob values read from each experiment's own commit, whoever proposed it. */
async function pastTrials({ history, readAt }: ResearchContext, knobs: readonly Knob[]): Promise<Trial[]> {
  const past = history.slice(-MAX_TRIALS);
  const commits = past.map((record) => record.commit);
  const paths = [...new Set(knobs.map((knob) => knob.file))];
  const columns = await Promise.all(paths.map((path) => readAt(path, commits)));
  const trials = past.map((record, index): Trial => {
    const files = paths.map((path, column) => [path, columns[column]?.[index] ?? ''] as const);
    return { values: knobValues(knobs, Object.fromEntries(files)), score: record.score };
  });
  // An experiment that took a constant away, or moved it out of range, says nothing about this space.
  return trials.filter((trial) => knobs.every((knob) => knob.name in trial.values));
}

function valueOf(knob: Knob, text: string): KnobValue | null {
  try {
    const value = readKnob(knob, text);
    return admits(knob, value) ? value : null;
  } catch {
    return null;
  }
}

/** The proposal that sets these values in the incumbent's files. */
function turn({ lab, incumbent, number }: ResearchContext, values: Record<string, KnobValue>): Proposal {
  const edits: Edit[] = [];
  const changes: { knob: Knob; from: KnobValue; to: KnobValue }[] = [];
  for (const knob of lab.knobs) {
    const text = incumbent.files[knob.file];
    const to = values[knob.name];
    if (text === undefined || to === undefined) continue;
    const from = valueOf(knob, text);
    // A constant that the incumbent no longer has, or has moved out of its range, is left as it is.
    if (from === null || from === to) continue;
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
