/** Keeps what a stopped study would forget: limits that were changed, and what people said that no proposal has heard. */
import { Git } from '../ledger/git';
import { saveStudy } from '../ledger/ledger';
import { withFailures } from './failures';
import type { ControlActivities } from './interface';

export function createSave(): ControlActivities['save'] {
  return ({ study, limits, waiting }) =>
    withFailures(() => saveStudy(new Git(study.lab), { ...study, limits, waiting }));
}
