/** Writes what a stopped study would forget to its ledger: changed limits, and hints and ideas that no proposal has used yet. */
import { Git } from '../ledger/git';
import { saveStudy } from '../ledger/ledger';
import { withFailures } from './failures';
import type { ControlActivities } from './interface';

export function createSave(): ControlActivities['save'] {
  return ({ study, limits, waiting }) =>
    withFailures(() => saveStudy(new Git(study.lab), { ...study, limits, waiting }));
}
