/** One line of `doctor`: a prerequisite or a running part, its state, and the remedy. */
export interface Check {
  name: string;
  /** `missing`: nothing works without it. `warning`: something works less well, or `up` provides it. */
  state: 'ok' | 'warning' | 'missing';
  /** What was found, with its version. */
  found: string;
  /** The remedy; null if nothing is wrong. */
  todo: string | null;
}

export const fine = (name: string, found: string): Check => ({ name, state: 'ok', found, todo: null });
export const warn = (name: string, found: string, todo: string): Check => ({
  name,
  state: 'warning',
  found,
  todo,
});
export const lack = (name: string, found: string, todo: string): Check => ({
  name,
  state: 'missing',
  found,
  todo,
});

/** The check's line if the check itself fails. */
export function failed(name: string, error: unknown): Check {
  const todo =
    error instanceof Error && 'todo' in error && typeof error.todo === 'string' ? error.todo : null;
  const found = error instanceof Error ? error.message : String(error);
  return warn(name, found, todo ?? 'see the message');
}
