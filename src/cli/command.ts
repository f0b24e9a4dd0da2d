/** Makes every command, so that all of them have `--json`, an example and the same exit codes. */
import { Command } from 'commander';
import type { z } from 'zod';
import { CliError, EXIT_CODE_HELP } from '../studies/errors';
import { createOutput, type Output } from './output';
import { SUMMARIES, type CommandName } from './summaries';

interface Description {
  name: CommandName;
  /** What it does, for `--help`, where one line is not enough. */
  details?: string;
  /** Whole command lines. */
  examples: string[];
}

export function newCommand({ name, details, examples }: Description): Command {
  return new Command(name)
    .description(details ?? SUMMARIES[name])
    .option('--json', 'one JSON document on stdout; everything else on stderr', false)
    .addHelpText(
      'after',
      ['', 'Example:', ...examples.map((line) => `  $ ${line}`), '', EXIT_CODE_HELP].join('\n'),
    );
}

/**
 * Gives a command its work. Options and arguments are one object, by their camel-case names, that `schema`
 * checks; what it refuses is a usage error. program.ts prints what `work` throws, and sets its exit code.
 */
export function handle<T>(
  command: Command,
  schema: z.ZodType<T>,
  work: (out: Output, input: T) => Promise<void>,
): Command {
  return command.action(async () => {
    const input: Record<string, unknown> = { ...command.opts() };
    command.registeredArguments.forEach((argument, index) => {
      input[argument.name().toLowerCase()] = command.processedArgs[index];
    });
    const parsed = schema.safeParse(input);
    if (!parsed.success) throw usageError(command, parsed.error);
    await work(createOutput(input['json'] === true), parsed.data);
  });
}

function usageError(command: Command, error: z.ZodError): CliError {
  const reasons = error.issues.map(({ path, message }) => {
    const key = String(path[0] ?? '');
    const option = command.options.find((candidate) => candidate.attributeName() === key);
    const name =
      option?.long ??
      command.registeredArguments.find((argument) => argument.name().toLowerCase() === key)?.name();
    return name === undefined ? message : `${name}: ${message}`;
  });
  return new CliError('usage', reasons.join('; '), `see \`npx autoresearch ${command.name()} --help\``);
}
