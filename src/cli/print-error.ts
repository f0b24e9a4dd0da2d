/** Prints what a command threw: message, exit code, and what to do. */
import { asCalled } from './called-as';
import { CliError, EXIT_CODES, type ErrorCode } from '../studies/errors';
import { clean, colour } from './output';

/** Errors of other folders by name: importing their classes would load those folders. */
const CODES: Record<string, ErrorCode> = {
  BadRequest: 'usage',
  AgentSettingsError: 'usage',
  LabError: 'lab',
  LabConfigError: 'lab',
  LedgerError: 'lab',
  JsonFileError: 'lab',
  ArchiveError: 'lab',
  ServerUnavailable: 'server',
  CodecKeyError: 'server',
  WorkerFailed: 'server',
  PortInUse: 'conflict',
  RefConflict: 'conflict',
  BranchCheckedOut: 'conflict',
  Diverged: 'conflict',
  NotThere: 'not-found',
  TakeoverRefused: 'conflict',
  BuildReplaced: 'conflict',
  HeldElsewhere: 'conflict',
  DevicesUnknown: 'prerequisite',
  MissingPrerequisite: 'prerequisite',
};

/** gRPC's UNAVAILABLE, PERMISSION_DENIED and UNAUTHENTICATED, each with what to do. */
const SERVER_ERRORS = new Map([
  [14, 'run `npx autoresearch up`, or check TEMPORAL_ADDRESS'],
  [7, 'check the permissions of TEMPORAL_API_KEY or of the profile'],
  [16, 'check TEMPORAL_API_KEY, or the profile that is used'],
]);

/** Prints it, on stdout as a document with `--json`. @returns the exit code */
export function printError(error: unknown, json: boolean): number {
  const { code, message: said, todo: advice } = describe(error);
  const [message, todo] = [asCalled(said), asCalled(advice)];
  if (process.env['AUTORESEARCH_DEBUG']) console.error(error);
  if (json) {
    process.stdout.write(`${JSON.stringify({ error: { code, message: clean(message), todo } })}\n`);
  } else {
    const lines = [`${colour.red('error:')} ${clean(message)}`];
    if (todo !== '') lines.push(`  → ${clean(todo)}`);
    process.stderr.write(`${lines.join('\n')}\n`);
  }
  return EXIT_CODES[code];
}

function describe(error: unknown): { code: ErrorCode; message: string; todo: string } {
  if (error instanceof CliError) return error;
  if (!(error instanceof Error)) return unexpected(String(error));
  const grpc = grpcCode(error);
  const problem = grpc === undefined ? undefined : SERVER_ERRORS.get(grpc);
  if (problem !== undefined) {
    return { code: 'server', message: `the Temporal server: ${innermost(error).message}`, todo: problem };
  }
  const code = CODES[error.name];
  if (code === undefined) return unexpected(innermost(error).message);
  const todo = 'todo' in error && typeof error.todo === 'string' ? error.todo : '';
  return { code, message: error.message, todo };
}

const unexpected = (message: string): ReturnType<typeof describe> => ({
  code: 'unexpected',
  message,
  todo: 'set AUTORESEARCH_DEBUG=1 to see where; `npx autoresearch doctor` checks the installation',
});

function grpcCode(error: Error): number | undefined {
  if ('code' in error && typeof error.code === 'number' && 'details' in error) return error.code;
  return error.cause instanceof Error ? grpcCode(error.cause) : undefined;
}

function innermost(error: Error): Error {
  return error.cause instanceof Error ? innermost(error.cause) : error;
}
