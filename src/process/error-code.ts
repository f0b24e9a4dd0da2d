/** The system's code of a caught error (`ENOENT`, `ESRCH`, …); undefined if it has none. */
export function errorCode(error: unknown): string | undefined {
  // Not `instanceof`: jest's errors come from another realm.
  const has = typeof error === 'object' && error !== null && 'code' in error;
  return has && typeof error.code === 'string' ? error.code : undefined;
}
