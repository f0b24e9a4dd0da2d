/** The command line as a whole: finds the command, runs it, and tells how it ended. */
import { Command, CommanderError, Help } from 'commander';
import { packageVersion } from '../temporal/build-id';
import { asCalled } from './called-as';
import { CliError, EXIT_CODE_HELP, EXIT_CODES } from '../studies/errors';
import { tellError } from './tell-error';

/** In the order of `--help`. Each is in the file of its name, which exports `<name>Command`. */
export const COMMANDS = [
  'up',
  'down',
  'doctor',
  'init',
  'start',
  'list',
  'status',
  'history',
  'compare',
  'show',
  'logs',
  'stop',
  'pause',
  'resume',
  'budget',
  'hint',
  'ideas',
  'push',
  'fetch',
  'verify',
  'export',
  'replay',
  'codec',
  'worker',
];

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
    return tellError(asUsageError(error, argv), (end < 0 ? argv : argv.slice(0, end)).includes('--json'));
  }
}

function asUsageError(error: unknown, [name = '']: string[]): unknown {
  if (!(error instanceof CommanderError)) return error;
  const help = COMMANDS.includes(name) ? `${name} --help` : '--help';
  return new CliError('usage', error.message.replace(/^error: /, ''), `see \`npx autoresearch ${help}\``);
}

/** Only the command that is called is loaded: `history` must not wait for what `up` needs. */
function createProgram(argv: string[]): Command {
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
  const called = COMMANDS.find((name) => name === argv[0]);
  for (const name of called === undefined ? COMMANDS : [called]) {
    program.addCommand(load(name).copyInheritedSettings(program));
  }
  // Last, for commands inherit it: only here is an argument too many the name of no command.
  return program.allowExcessArguments();
}

/** A switch that is off by default needs no word about it. */
const withoutFalse = (text: string): string => text.replace(/ ?\(default: false\)/u, '');

function load(name: string): Command {
  const module: Record<string, () => Command> = require(`./${name}`);
  const create = module[`${name}Command`];
  if (create === undefined) throw new TypeError(`src/cli/${name}.ts exports no ${name}Command`);
  return create();
}
