/** How our own trouble reaches Temporal: what a retry cannot mend is not retried. */
import { ApplicationFailure } from '@temporalio/common';

/** Errors whose cause is in the lab or in git itself and stays until a person acts. */
const LASTING = new Set([
  'LabError',
  'LabConfigError',
  'LedgerError',
  'StudyMismatch',
  'DataError',
  'DataGone',
  'AgentSettingsError',
  'EnvironmentChanged',
]);

/** The study is not what the ledger of its tag says. */
export class StudyMismatch extends Error {
  override name = 'StudyMismatch';
}

/** No retry mends it. */
export const isLasting = (error: Error): boolean => LASTING.has(error.name);

/** Runs `work`; errors keep their name as the failure's type, and lasting ones end the retries. */
export async function withFailures<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error) || !isLasting(error)) throw error;
    throw ApplicationFailure.create({
      message: error.message,
      type: error.name,
      nonRetryable: true,
      cause: error,
    });
  }
}
