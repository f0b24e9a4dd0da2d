/** One line of `doctor`: a prerequisite or a part that runs, whether it is well, and what to do if not. */
export interface Check {
  name: string;
  /** `missing`: nothing works without it. `warning`: something works less well, or `up` will see to it. */
  state: 'ok' | 'warning' | 'missing';
  /** What was found, with its version where it has one. */
  found: string;
  /** null where there is nothing to do. */
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

/** A check of its own for whatever goes wrong while checking. */
export function failed(name: string, error: unknown): Check {
  const todo =
    error instanceof Error && 'todo' in error && typeof error.todo === 'string' ? error.todo : null;
  const found = error instanceof Error ? error.message : String(error);
  return warn(name, found, todo ?? 'see the message');
}
