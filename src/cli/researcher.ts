/** The options that say who proposes, the same checks for all that start a study. */
import type { Command } from 'commander';
import { z } from 'zod';
import { KnobError, readKnob } from '../domain/knobs';
import { dollarText } from '../domain/limits';
import {
  ANSWER_MINUTES,
  ASSUMED_CALL_DOLLARS,
  LATER_SETTINGS,
  MAX_ANSWER_TOKENS,
  type StudyConfig,
} from '../domain/study';
import type { Lab } from '../labs/lab';
import { readText } from '../ledger/objects';
import { environmentHas } from '../temporal/worker-info';
import { runningWorker } from '../host/worker-process';
import { checkAgentSettings } from '../researchers/agent-settings';
import { CliError } from '../studies/errors';
import { priceOf, pricesFile, readPrices } from './prices';

const RESEARCHERS = ['claude', 'claude+tpe', 'command', 'command+tpe', 'tpe'] as const;

const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const;
const MODEL = 'claude-opus-5-5';
const CONTEXT_TOKENS = 64_000;
/** Half of it is the first question, a third of which may be rules and tools. */
const LEAST_CONTEXT_TOKENS = 16_000;
const ANSWER_TOKENS = 24_000;
/** Three tries have to fit into the two hours that a proposal may take. */
const MAX_COMMAND_MINUTES = 35;
/** Experiments from one round of lessons to the next. */
const LESSONS_EVERY = 20;
/** A language model mends most of its crashes in one or two tries. */
const REPAIRS = 2;

const tokens = (least: number, most: number, why = '') =>
  z.coerce
    .number('expected a number')
    .int('expected a whole number')
    .min(least, `expected at least ${least}`)
    .max(most, `expected at most ${most}${why}`);

const experiments = z.coerce
  .number('expected a number')
  .int('expected a whole number')
  .min(1, 'expected at least 1')
  .max(100_000, 'expected at most 100000');

export const researcherSchemas = {
  researcher: z.enum(RESEARCHERS, `expected ${RESEARCHERS.slice(0, -1).join(', ')} or tpe`).optional(),
  command: z.string().min(1).optional(),
  commandMinutes: z.coerce
    .number('expected a number')
    .positive('expected more than 0')
    .max(MAX_COMMAND_MINUTES, `expected at most ${MAX_COMMAND_MINUTES}`)
    .optional(),
  usdPerCall: z.coerce
    .number('expected a number')
    .nonnegative('expected 0 or more')
    .max(10_000, 'expected at most 10000')
    .optional(),
  model: z
    .string()
    .regex(/^[\w.:@/-]{1,100}$/, 'expected the name of a model')
    .optional(),
  effort: z.enum(EFFORTS, `expected ${EFFORTS.slice(0, -1).join(', ')} or max`).optional(),
  contextTokens: tokens(LEAST_CONTEXT_TOKENS, 1_000_000).optional(),
  answerTokens: tokens(2_048, MAX_ANSWER_TOKENS, `, for an answer has ${ANSWER_MINUTES} minutes`).optional(),
  lessonsEvery: experiments.optional(),
  plateauAfter: experiments.optional(),
  restMinutes: z.coerce.number('expected a number').positive('expected more than 0').optional(),
};

export type ResearcherRequest = {
  [option in keyof typeof researcherSchemas]?: z.infer<(typeof researcherSchemas)[option]>;
};

/** The part of a study's configuration that says who proposes. */
export type ChosenResearcher = Pick<
  StudyConfig,
  | 'researcher'
  | 'researcherCommand'
  | 'commandMinutes'
  | 'callDollars'
  | 'model'
  | 'gpuHourDollars'
  | 'repairs'
  | 'plateauAfter'
  | 'restMinutes'
>;

export function takesResearcher(command: Command): Command {
  return command
    .option(
      '--researcher <NAME>',
      `who proposes: ${RESEARCHERS.join(', ')}; claude where the worker has an API key, tpe otherwise`,
    )
    .option('--command <LINE>', 'command line of the `command` researcher')
    .option(
      '--command-minutes <M>',
      `minutes that it has for a proposal, at most ${MAX_COMMAND_MINUTES} (default: ${LATER_SETTINGS.commandMinutes})`,
    )
    .option(
      '--usd-per-call <D>',
      `US dollars that a call of the command counts as until one says what it cost; 0 for one that costs nothing (default with --usd: ${ASSUMED_CALL_DOLLARS})`,
    )
    .option('--model <NAME>', `model of the \`claude\` researcher (default: ${MODEL})`)
    .option('--effort <E>', `how hard it thinks: ${EFFORTS.join(', ')} (default: high)`)
    .option('--context-tokens <N>', `tokens that a question may have (default: ${CONTEXT_TOKENS})`)
    .option(
      '--answer-tokens <N>',
      `tokens of an answer, thinking included, at most ${MAX_ANSWER_TOKENS} (default: ${ANSWER_TOKENS})`,
    )
    .option(
      '--lessons-every <N>',
      `experiments after which \`claude\` draws lessons anew (default: ${LESSONS_EVERY})`,
    )
    .option(
      '--plateau-after <N>',
      `experiments without a keep after which the approach is changed (default: ${LATER_SETTINGS.plateauAfter})`,
    )
    .option(
      '--rest-minutes <M>',
      `minutes until it is asked again when it has proposed nothing time and again (default: ${LATER_SETTINGS.restMinutes})`,
    );
}

export const asksClaude = (researcher: string): boolean => researcher.split('+').includes('claude');

/**
 * Who proposes, checked against the lab and this host.
 * @param usd the limit in dollars; null or absent for none
 * @throws CliError
 */
export async function chooseResearcher(
  asked: ResearcherRequest,
  lab: Lab,
  usd: number | null | undefined,
): Promise<ChosenResearcher> {
  const hasKey = environmentHas().anthropicKey || ((await runningWorker())?.has.anthropicKey ?? false);
  const researcher = asked.researcher ?? (hasKey ? 'claude' : 'tpe');
  const arms = researcher.split('+');
  checkCommand(asked, researcher, arms);
  checkCallFits(asked.usdPerCall ?? null, arms, usd);
  checkModelOptions(asked, researcher);
  checkPlateau(asked, researcher);
  if (arms.includes('tpe')) await checkTurnsKnobs(lab);
  // The worker's variables count, and it checks them when it opens the study; they are often this shell's.
  if (arms.includes('command')) checkAgentSettings(lab.root, lab.config);
  if (asksClaude(researcher) && !hasKey) throw keyMissing();
  const prices = await readPrices();
  return {
    researcher,
    researcherCommand: asked.command ?? null,
    commandMinutes: asked.commandMinutes ?? LATER_SETTINGS.commandMinutes,
    callDollars: asked.usdPerCall ?? LATER_SETTINGS.callDollars,
    model: asksClaude(researcher) ? await modelOf(asked, usd) : null,
    gpuHourDollars: prices.gpuHour,
    repairs: researcher === 'tpe' ? LATER_SETTINGS.repairs : REPAIRS,
    plateauAfter: asked.plateauAfter ?? LATER_SETTINGS.plateauAfter,
    restMinutes: asked.restMinutes ?? LATER_SETTINGS.restMinutes,
  };
}

/** What of a study's researcher may be changed once it has ended: not who it is, for its records name that. */
export const changeSchemas = {
  command: researcherSchemas.command,
  usdPerCall: researcherSchemas.usdPerCall,
  model: researcherSchemas.model,
  effort: researcherSchemas.effort,
  contextTokens: researcherSchemas.contextTokens,
  answerTokens: researcherSchemas.answerTokens,
};
type ResearcherChange = Pick<ResearcherRequest, keyof typeof changeSchemas>;

export function takesChanges(command: Command): Command {
  return command
    .option(
      '--command <LINE>',
      'another command line of the `command` researcher; needed once for a study that was fetched',
    )
    .option(
      '--usd-per-call <D>',
      'US dollars that a call of the command counts as until one says what it cost; 0 for one that costs nothing',
    )
    .option('--model <NAME>', 'another model of the `claude` researcher, for a study that has ended')
    .option('--effort <E>', `how hard it thinks: ${EFFORTS.join(', ')}`)
    .option('--context-tokens <N>', 'tokens that a question may have')
    .option('--answer-tokens <N>', 'tokens of an answer, thinking included');
}

/**
 * The study with its researcher as it is asked for now; the model's price is looked up again where the model changes.
 * @param usd the limit in dollars that it goes on with; null for none
 * @throws CliError
 */
export async function changeResearcher(
  config: StudyConfig,
  asked: ResearcherChange,
  usd: number | null,
): Promise<StudyConfig> {
  const { tag, researcher, model } = config;
  const arms = researcher.split('+');
  const researcherCommand = asked.command ?? config.researcherCommand;
  // A fetched ledger may name another person's command line: it runs only if the user gives it again.
  if (arms.includes('command') && researcherCommand === null) {
    throw new CliError(
      'usage',
      `study ${tag} was begun elsewhere, with a command of its own that is not run here unasked`,
      `name the command line: \`npx autoresearch resume ${tag} --command "…"\``,
    );
  }
  checkCommand({ ...asked, command: researcherCommand ?? undefined }, researcher, arms);
  const callDollars = asked.usdPerCall ?? config.callDollars;
  checkModelOptions(asked, researcher);
  const { command: _command, usdPerCall: _usdPerCall, ...change } = asked;
  if (model === null || Object.values(change).every((value) => value === undefined))
    return { ...config, researcherCommand, callDollars };
  const wanted: ResearcherRequest = {
    model: change.model ?? model.name,
    effort: change.effort ?? model.effort,
    contextTokens: change.contextTokens ?? model.contextTokens,
    answerTokens: change.answerTokens ?? model.answerTokens,
    lessonsEvery: model.lessonsEvery,
  };
  return { ...config, researcherCommand, callDollars, model: await modelOf(wanted, usd) };
}

/** The key has to be the worker's: this process only starts the study. */
export const keyMissing = (): CliError =>
  new CliError(
    'prerequisite',
    'the `claude` researcher needs an API key, and the worker has none',
    'export ANTHROPIC_API_KEY=…, `npx autoresearch up`, and start again; or --researcher tpe',
  );

async function modelOf(
  {
    model: name = MODEL,
    effort = 'high',
    contextTokens = CONTEXT_TOKENS,
    answerTokens = ANSWER_TOKENS,
    lessonsEvery = LESSONS_EVERY,
  }: ResearcherRequest,
  usd: number | null | undefined,
): Promise<StudyConfig['model']> {
  const price = priceOf(await readPrices(), name, contextTokens);
  if (price === null && usd != null) {
    throw new CliError(
      'usage',
      `the price of ${name} is not known, so the limit --usd ${usd} could not be enforced`,
      `give its price in ${pricesFile()}, or leave --usd out`,
    );
  }
  return { name, effort, contextTokens, answerTokens, price, lessonsEvery };
}

/** The first call would find out only after the baseline. */
function checkCallFits(
  usdPerCall: number | null,
  arms: readonly string[],
  usd: number | null | undefined,
): void {
  const counts = usdPerCall ?? ASSUMED_CALL_DOLLARS;
  if (!arms.includes('command') || usd == null || counts <= usd) return;
  throw new CliError(
    'usage',
    `--usd ${usd} does not cover one call of the command, which counts as ${dollarText(counts)} until one has said what it cost`,
    'give what a call costs at most: --usd-per-call D (0 for a command that costs nothing), or a higher --usd',
  );
}

function checkCommand(
  { command, commandMinutes, usdPerCall }: ResearcherRequest,
  researcher: string,
  arms: readonly string[],
): void {
  if (arms.includes('command') && command === undefined) {
    throw new CliError(
      'usage',
      'the `command` researcher needs a command line',
      'add --command "…", such as a coding agent',
    );
  }
  const given = Object.entries({ command, 'command-minutes': commandMinutes, 'usd-per-call': usdPerCall });
  const option = given.find(([, value]) => value !== undefined)?.[0];
  if (!arms.includes('command') && option !== undefined) {
    throw new CliError(
      'usage',
      `--${option} is for the \`command\` researcher, not for ${researcher}`,
      'add --researcher command',
    );
  }
}

/** An optimiser has one approach. */
function checkPlateau({ plateauAfter }: ResearcherRequest, researcher: string): void {
  if (plateauAfter === undefined || researcher !== 'tpe') return;
  throw new CliError(
    'usage',
    '--plateau-after is for researchers that can change their approach, and tpe cannot',
    'leave it out, or add --researcher claude',
  );
}

function checkModelOptions(asked: ResearcherRequest, researcher: string): void {
  const { model, effort, contextTokens, answerTokens, lessonsEvery } = asked;
  const given = Object.entries({
    model,
    effort,
    'context-tokens': contextTokens,
    'answer-tokens': answerTokens,
    'lessons-every': lessonsEvery,
  });
  const option = given.find(([, value]) => value !== undefined)?.[0];
  if (option === undefined || asksClaude(researcher)) return;
  throw new CliError(
    'usage',
    `--${option} is for the \`claude\` researcher, not for ${researcher}`,
    'add --researcher claude',
  );
}

/** Otherwise a knob that is in no file would be noticed only after the baseline. */
async function checkTurnsKnobs({ git, head, root, config }: Lab): Promise<void> {
  if (config.knobs.length === 0) {
    throw new CliError(
      'lab',
      `lab.yaml of ${root} names no knobs, so tpe has nothing to change`,
      'add knobs to lab.yaml and commit, or use --researcher command',
    );
  }
  for (const knob of config.knobs) {
    try {
      readKnob(knob, (await readText(git, head, knob.file)) ?? '');
    } catch (error) {
      if (!(error instanceof KnobError)) throw error;
      throw new CliError(
        'lab',
        `lab.yaml of ${root}: ${error.message}`,
        'correct `knobs` in lab.yaml, or the file, and commit',
        { cause: error },
      );
    }
  }
}
