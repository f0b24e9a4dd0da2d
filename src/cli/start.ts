/** `start`: checks everything that can be checked, claims the tag in git, and lets the study run. */
import type { Command } from 'commander';
import { z } from 'zod';
import type { TrainBudget } from '../domain/budget';
import { dollarText, UNLIMITED } from '../domain/limits';
import { DEFAULT_POLICY, POLICIES, policyText } from '../domain/policies/choice';
import { policyOf } from '../domain/policies';
import { ASSUMED_CALL_DOLLARS, LATER_SETTINGS, rebuild, type StudyConfig } from '../domain/study';
import { summarize } from '../domain/experiment';
import { openLab, readLabConfigAt, type Lab } from '../labs/lab';
import { openLedger, readLedger, readStudy } from '../ledger/ledger';
import { branchName, branchRef, freeTag, isTagKnown, tagSchema } from '../ledger/refs';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { rememberLab } from '../studies/known-labs';
import { launchStudy, withReadyServer, type LaunchedStudy, type ReadyServer } from '../studies/launch';
import { givenLimits, limitSchemas, takesLimits } from './limits';
import { ownStudy } from '../studies/study-workflow';
import { limitText } from './render/status';
import {
  asksClaude,
  chooseResearcher,
  keyMissing,
  researcherSchemas,
  takesResearcher,
  type ChosenResearcher,
} from './researcher';

const schema = z.object({
  json: z.boolean(),
  lab: z.string(),
  tag: tagSchema.optional(),
  ...researcherSchemas,
  trainSeconds: z.coerce.number('expected a number').positive('expected more than 0').optional(),
  trainSteps: z.coerce
    .number('expected a number')
    .int('expected a whole number')
    .positive('expected more than 0')
    .optional(),
  ...limitSchemas,
  from: tagSchema.optional(),
  policy: z.enum(POLICIES, `expected ${POLICIES.join(', ')}`).optional(),
});
type StartRequest = Omit<z.infer<typeof schema>, 'json'>;

export function startCommand(): Command {
  const command = takesLimits(
    takesResearcher(
      newCommand({
        name: 'start',
        examples: [
          'npx autoresearch start --lab my-lab',
          'npx autoresearch start --lab my-lab --train-seconds 60 --hours 8',
          'npx autoresearch start --lab my-lab --researcher claude+tpe --usd 20',
        ],
      })
        .requiredOption('--lab <DIR>', 'the lab')
        .option('--tag <T>', "the study's name; today's date where none is given, such as nov21"),
    )
      .option('--train-seconds <S>', "seconds that each run trains; lab.yaml's where none are given")
      .option(
        '--train-steps <N>',
        'optimiser steps that each run trains, in the place of seconds: repeatable',
      )
      .option('--from <TAG>', "begin from the incumbent of an earlier study, in the place of the lab's HEAD")
      .option('--policy <NAME>', `the keep rule: ${POLICIES.join(', ')} (default: ${DEFAULT_POLICY.name})`),
  );
  return handle(command, schema, async (out, request) => {
    const checked = await checkStudy(request);
    const { config, link } = await withReadyServer(out.note, (server) => beginStudy(checked, server));
    const { tag, limits } = config;
    const lines = [
      `study ${tag} has started: ${limitText(limits)}`,
      `  proposes ${proposerText(config)}`,
      `  keeps by ${policyText(config.policy)}: ${policyOf(config.policy).words}`,
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
  researcher: ChosenResearcher;
  asked: StartRequest;
}

/**
 * Checks all that needs no server.
 * @throws CliError, LabError, LabConfigError
 */
export async function checkStudy(asked: StartRequest): Promise<Checked> {
  const opened = await openLab(asked.lab);
  const lab = asked.from === undefined ? opened : await atIncumbent(opened, asked.from);
  const researcher = await chooseResearcher(asked, lab, asked.usd);
  const budget = budgetOf(asked, lab);
  const tag = asked.tag ?? (await freeTag(lab.git, new Date()));
  if (await isTagKnown(lab.git, tag)) throw await taken(lab, tag);
  return { lab, tag, budget, researcher, asked };
}

/** The lab as the incumbent of an earlier study, of any version, left it. @throws CliError, LedgerError */
async function atIncumbent(lab: Lab, from: string): Promise<Lab> {
  const { git } = lab;
  const study = await readStudy(git, from);
  if (study === null) {
    throw new CliError(
      'not-found',
      `the lab has no study ${from} to begin from`,
      'see `npx autoresearch list`; `npx autoresearch fetch` brings one from a remote',
    );
  }
  const incumbent = rebuild(study.limits, (await readLedger(git, from)).map(summarize)).incumbent;
  if (incumbent === null || incumbent.score === null) {
    throw new CliError(
      'conflict',
      `study ${from} has no incumbent yet: nothing of it has a score`,
      "leave --from out: the study then begins from the lab's HEAD",
    );
  }
  const { commit } = incumbent;
  if ((await git.resolve(`${commit}^{commit}`)) === null) {
    throw new CliError(
      'not-found',
      `git has no commit ${commit}, the incumbent of study ${from}`,
      'fetch the whole study: `npx autoresearch fetch`',
    );
  }
  return { ...lab, head: commit, config: await readLabConfigAt(git, commit) };
}

/** Claims the tag in git and starts the workflow. @throws CliError if another `start` was faster */
export async function beginStudy(
  { lab, tag, budget, researcher, asked }: Checked,
  server: ReadyServer,
): Promise<LaunchedStudy> {
  if (asksClaude(researcher.researcher) && !server.has.anthropicKey) throw keyMissing();
  const wanted = await ownStudy(server.client, {
    format: 2,
    tag,
    workflowId: `study-${tag}`,
    lab: lab.root,
    labId: lab.id,
    budget,
    limits: { ...UNLIMITED, ...givenLimits(asked) },
    metric: lab.config.metric.name,
    direction: lab.config.metric.direction,
    base: lab.head,
    createdAt: new Date().toISOString(),
    ...LATER_SETTINGS,
    policy: { name: asked.policy ?? DEFAULT_POLICY.name, params: {} },
    ...researcher,
  });
  // The ledger is begun here already, so that of two starts with one tag only one goes on.
  const config = await openLedger(lab.git, wanted);
  if (config.createdAt !== wanted.createdAt) throw await taken(lab, tag);
  await rememberLab(lab.root);
  return launchStudy(server, { git: lab.git, config });
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

function proposerText({ researcher, researcherCommand, model, callDollars, limits }: StudyConfig): string {
  if (researcherCommand !== null)
    return `${researcher}: ${researcherCommand}${callText(callDollars, limits)}`;
  if (model === null) return researcher;
  return `${researcher}: ${model.name}, effort ${model.effort}${model.price === null ? ', price not known' : ''}`;
}

/** What an agent that does not say what it cost does to a limit in dollars. */
function callText(callDollars: number | null, { dollars }: StudyConfig['limits']): string {
  const counts = callDollars ?? (dollars === null ? 0 : ASSUMED_CALL_DOLLARS);
  if (dollars === null || counts === 0) return '';
  const how = callDollars === null ? ' (--usd-per-call sets it)' : '';
  return `\n           a call counts as ${dollarText(counts)} until one says what it cost${how}`;
}

async function taken({ git }: Lab, tag: string): Promise<CliError> {
  const other = `name another: --tag ${await freeTag(git, new Date())}`;
  // Upstream's program.md has agents make such a branch by hand.
  const branch = branchName(tag);
  if ((await git.resolve(branchRef(tag))) !== null && (await readStudy(git, tag)) === null) {
    const rename = `rename it: \`git branch -m ${branch} other\``;
    return new CliError(
      'conflict',
      `the lab has a branch ${branch}, which is of no study`,
      `${rename}; or ${other}`,
    );
  }
  return new CliError(
    'conflict',
    `the lab knows a study ${tag} already (branch ${branch})`,
    `go on with it: \`npx autoresearch resume ${tag}\`; or ${other}`,
  );
}
