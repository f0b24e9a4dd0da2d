/** Prints the progress of a set-up step: start, still running, end and duration. */

export type Say = (line: string) => void;

const STILL_MS = 20_000;

/** Runs one step that may take long and prints its progress. Errors of `work` pass through. */
export async function step<T>(say: Say, name: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - began) / 1000)} s`;
  say(`${name} …`);
  const still = setInterval(() => say(`${name} … ${seconds()}`), STILL_MS);
  try {
    const result = await work();
    say(`${name}: done in ${seconds()}`);
    return result;
  } catch (error) {
    say(`${name}: failed after ${seconds()}`);
    throw error;
  } finally {
    clearInterval(still);
  }
}
