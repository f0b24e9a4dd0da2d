/** The command line as a whole: finds the command, runs it and reports errors. */
import { Command, CommanderError, Help } from 'commander';
import { packageVersion } from '../temporal/build-id';
import { asCalled } from './called-as';
import { CliError, EXIT_CODE_HELP, EXIT_CODES } from '../studies/errors';
import { isCommandName, SUMMARIES, type CommandName } from './summaries';
import { printError } from './print-error';

/** Loads only the command that is called: `history` must not wait for what `up` needs. */
const LOADERS: Record<CommandName, () => Command> = {
  up: () => require('./up').upCommand(),
  down: () => require('./down').downCommand(),
  doctor: () => require('./doctor').doctorCommand(),
  init: () => require('./init').initCommand(),
  start: () => require('./start').startCommand(),
  list: () => require('./list').listCommand(),
  status: () => require('./status').statusCommand(),
  history: () => require('./history').historyCommand(),
  compare: () => require('./compare').compareCommand(),
  show: () => require('./show').showCommand(),
  logs: () => require('./logs').logsCommand(),
  stop: () => require('./stop').stopCommand(),
  pause: () => require('./pause').pauseCommand(),
  resume: () => require('./resume').resumeCommand(),
  budget: () => require('./budget').budgetCommand(),
  hint: () => require('./hint').hintCommand(),
  ideas: () => require('./ideas').ideasCommand(),
  push: () => require('./push').pushCommand(),
  fetch: () => require('./fetch').fetchCommand(),
  verify: () => require('./verify').verifyCommand(),
  export: () => require('./export').exportCommand(),
  replay: () => require('./replay').replayCommand(),
  codec: () => require('./codec').codecCommand(),
  worker: () => require('./worker').workerCommand(),
};

/** @param argv what follows the program's name. @returns the exit code */
export async function run(argv: string[]): Promise<number> {
  // `help` is `--help`, and `help start` is `start --help`.
  const asked = argv[0] === 'help' ? [...argv.slice(1, 2), '--help'] : argv.length === 0 ? ['--help'] : argv;
  const program = createProgram(asked);
  try {
    await program.parseAsync(asked, { from: 'user' });
    return Number(process.exitCode ?? EXIT_CODES.ok);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT_CODES.ok;
    const end = argv.indexOf('--');
    return printError(asUsageError(error, argv), (end < 0 ? argv : argv.slice(0, end)).includes('--json'));
  }
}

function asUsageError(error: unknown, [name = '']: string[]): unknown {
  if (!(error instanceof CommanderError)) return error;
  const help = isCommandName(name) ? `${name} --help` : '--help';
  return new CliError('usage', error.message.replace(/^error: /, ''), `see \`npx autoresearch ${help}\``);
}

function createProgram(argv: string[]): Command {
  const called = argv.find((word) => !word.startsWith('-')) ?? '';
  const program = new Command('autoresearch')
    .description(
      'An AI researcher that never stops, on Temporal: propose, commit, train, score, keep or reset.',
    )
    .usage('COMMAND [options]')
    .helpCommand(false)
    .version(packageVersion(), '--version', 'the version of this program')
    .exitOverride()
    .configureHelp({ optionDescription: (option) => withoutFalse(new Help().optionDescription(option)) })
    .configureOutput({
      outputError: () => undefined,
      writeOut: (text) => void process.stdout.write(asCalled(text)),
    })
    .addHelpText('after', `\n${EXIT_CODE_HELP}\n\nEach command has its own --help with an example.`);
  if (isCommandName(called)) program.addCommand(LOADERS[called]().copyInheritedSettings(program));
  else for (const [name, summary] of Object.entries(SUMMARIES)) program.command(name).summary(summary);
  // Last, for commands inherit it: only here is an argument too many the name of no command.
  return program.allowExcessArguments();
}

/** A switch that is off by default needs no word about it. */
const withoutFalse = (text: string): string => text.replace(/ ?\(default: false\)/u, '');
