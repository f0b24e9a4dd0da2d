/** How a command fails: a code for scripts, what happened, and what to do. */

/** Exit codes, the same for every command. The keys are the `code` of an error printed as JSON. */
export const EXIT_CODES = {
  ok: 0,
  /** A fault of this program, or of the machine. */
  unexpected: 1,
  /** The command line does not make sense. */
  usage: 2,
  /** The lab, its lab.yaml, or another file given is not as it must be. */
  lab: 3,
  /** No Temporal server answers, or no worker is there. */
  server: 4,
  /** No such study, experiment or remote. */
  'not-found': 5,
  /** Refused as things stand: a tag taken, a branch checked out. Or `verify` or `replay` found a difference. */
  conflict: 6,
  /** Something that must be installed is not. */
  prerequisite: 7,
} as const;

export type ErrorCode = Exclude<keyof typeof EXIT_CODES, 'ok'>;

/** The table of exit codes for `--help`. */
export const EXIT_CODE_HELP = `Exit codes:
  0  success
  1  unexpected error: AUTORESEARCH_DEBUG=1 shows the stack
  2  the command line is wrong
  3  the lab, or another file given, is not valid
  4  no Temporal server, or no worker
  5  no such study, experiment or remote
  6  refused in the present state (tag taken, branch checked out, …), or verify or replay found a difference
  7  something that must be installed is missing`;

/** A failure that the user can fix. */
export class CliError extends Error {
  override name = 'CliError';
  /**
   * @param message what happened, and what was expected
   * @param todo what to do now, as a sentence or a command line
   */
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly todo: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
