/** `start`: checks everything that can be checked, claims the tag in git, and lets the study run. */
import type { Command } from 'commander';
import { z } from 'zod';
import type { TrainBudget } from '../domain/experiment';
import { KnobError, readKnob } from '../domain/knobs';
import { UNLIMITED } from '../domain/limits';
import { LATER_SETTINGS, type StudyConfig } from '../domain/study';
import { openLab, type Lab } from '../lab/lab';
import { openLedger } from '../lab/ledger';
import { readText } from '../lab/objects';
import { branchName, freeTag, isTagKnown, tagSchema } from '../lab/refs';
import { handle, newCommand } from './command';
import { CliError } from './errors';
import { rememberLab } from './known-labs';
import { freeWorkflowId, launchStudy, withReadyServer } from './launch-study';
import { givenLimits, limitSchemas, takesLimits } from './limits';
import { limitText } from './render/status';
import type { FoundStudy } from './study-ref';
import type { Connected } from '../temporal/connection';

const schema = z.object({
  json: z.boolean(),
  lab: z.string(),
  tag: tagSchema.optional(),
  researcher: z.enum(['tpe', 'command'], 'expected tpe or command').default('tpe'),
  command: z.string().min(1).optional(),
  trainSeconds: z.coerce.number('expected a number').positive('expected more than 0').optional(),
  trainSteps: z.coerce
    .number('expected a number')
    .int('expected a whole number')
    .positive('expected more than 0')
    .optional(),
  ...limitSchemas,
});
type StartRequest = Omit<z.infer<typeof schema>, 'json'>;

interface StartedStudy extends FoundStudy {
  /** Its page in the Temporal UI; null where that is not known. */
  link: string | null;
}

export function startCommand(): Command {
  const command = takesLimits(
    newCommand({
      name: 'start',
      summary: 'start a study; without a limit it never stops',
      examples: [
        'npx autoresearch start --lab my-lab',
        'npx autoresearch start --lab my-lab --train-seconds 60 --hours 8',
      ],
    })
      .requiredOption('--lab <DIR>', 'the lab')
      .option('--tag <T>', "the study's name; today's date where none is given, such as nov21")
      .option('--researcher <NAME>', 'who proposes: `tpe` (turns the knobs of lab.yaml) or `command`', 'tpe')
      .option('--command <LINE>', 'command line of the `command` researcher')
      .option('--train-seconds <S>', "seconds that each run trains; lab.yaml's where none are given")
      .option(
        '--train-steps <N>',
        'optimiser steps that each run trains, in the place of seconds: repeatable',
      ),
  );
  return handle(command, schema, async (out, request) => {
    const checked = await checkStudy(request);
    const { config, link } = await withReadyServer(out.note, (server) => beginStudy(checked, server));
    const { tag, limits } = config;
    const lines = [
      `study ${tag} has started: ${limitText(limits)}`,
      `  look     npx autoresearch status ${tag} --follow`,
      `  history  npx autoresearch history ${tag}`,
      `  end it   npx autoresearch stop ${tag}`,
      ...(link === null ? [] : [`  Temporal ${link}`]),
    ];
    out.answer({ study: config, link }, lines.join('\n'));
  });
}

/** A request that a lab can serve. */
interface Checked {
  lab: Lab;
  tag: string;
  budget: TrainBudget;
  asked: StartRequest;
}

/**
 * Checks all that needs no server.
 * @throws CliError, LabError, LabConfigError
 */
export async function checkStudy(asked: StartRequest): Promise<Checked> {
  const lab = await openLab(asked.lab);
  await checkResearcher(asked, lab);
  const budget = budgetOf(asked, lab);
  const tag = asked.tag ?? (await freeTag(lab.git, new Date()));
  if (await isTagKnown(lab.git, tag)) throw await taken(lab, tag);
  return { lab, tag, budget, asked };
}

/** Claims the tag in git and starts the workflow. @throws CliError if another `start` was faster */
export async function beginStudy(
  { lab, tag, budget, asked }: Checked,
  server: Connected,
): Promise<StartedStudy> {
  const wanted: StudyConfig = {
    format: 1,
    tag,
    workflowId: await freeWorkflowId(server, tag, lab.id),
    lab: lab.root,
    labId: lab.id,
    researcher: asked.researcher,
    researcherCommand: asked.command ?? null,
    budget,
    limits: { ...UNLIMITED, ...givenLimits(asked) },
    metric: lab.config.metric.name,
    direction: lab.config.metric.direction,
    base: lab.head,
    createdAt: new Date().toISOString(),
    ...LATER_SETTINGS,
  };
  // The ledger is begun here already, so that of two starts with one tag only one goes on.
  const config = await openLedger(lab.git, wanted);
  if (config.createdAt !== wanted.createdAt) throw await taken(lab, tag);
  await rememberLab(lab.root);
  return { config, git: lab.git, link: await launchStudy(server, config) };
}

async function checkResearcher({ researcher, command }: StartRequest, lab: Lab): Promise<void> {
  const { config, root } = lab;
  if (researcher === 'command' && command === undefined) {
    throw new CliError(
      'usage',
      'the `command` researcher needs a command line',
      'add --command "…", such as a coding agent',
    );
  }
  if (researcher !== 'command' && command !== undefined) {
    throw new CliError(
      'usage',
      `--command is for the \`command\` researcher, not for ${researcher}`,
      'add --researcher command',
    );
  }
  if (researcher === 'tpe' && config.knobs.length === 0) {
    throw new CliError(
      'lab',
      `lab.yaml of ${root} names no knobs, so tpe has nothing to turn`,
      'add knobs to lab.yaml and commit, or use --researcher command',
    );
  }
  if (researcher === 'tpe') await checkKnobs(lab);
}

/** A knob that no file has would be found out only after the baseline. */
async function checkKnobs({ git, head, root, config }: Lab): Promise<void> {
  for (const knob of config.knobs) {
    try {
      readKnob(knob, (await readText(git, head, knob.file)) ?? '');
    } catch (error) {
      if (!(error instanceof KnobError)) throw error;
      throw new CliError(
        'lab',
        `lab.yaml of ${root}: ${error.message}`,
        'correct `knobs` in lab.yaml, or the file, and commit',
        {
          cause: error,
        },
      );
    }
  }
}

function budgetOf({ trainSeconds, trainSteps }: StartRequest, { config }: Lab): TrainBudget {
  if (trainSeconds !== undefined && trainSteps !== undefined) {
    throw new CliError(
      'usage',
      'a run trains for seconds or for steps, not for both',
      'give --train-seconds or --train-steps',
    );
  }
  if (trainSteps !== undefined) return { steps: trainSteps };
  return { seconds: trainSeconds ?? config.train.seconds };
}

async function taken({ git }: Lab, tag: string): Promise<CliError> {
  return new CliError(
    'conflict',
    `the lab knows a study ${tag} already (branch ${branchName(tag)})`,
    `go on with it: \`npx autoresearch resume ${tag}\`; or name another: --tag ${await freeTag(git, new Date())}`,
  );
}
