/** `ENOENT`, `ESRCH`, …: the system's code of an error that was caught; undefined when it has none. */
export function errorCode(error: unknown): string | undefined {
  // Not by `instanceof`: jest's errors come from another realm.
  const has = typeof error === 'object' && error !== null && 'code' in error;
  return has && typeof error.code === 'string' ? error.code : undefined;
}
