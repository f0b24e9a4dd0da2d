/**
 * Ends what a cancelled workflow has left at work. As a rule its activity has done so; not when that has lost its worker, or the
 * server, just then: a cancelled activity is not tried again, and a run that nobody watches would have the device to its end.
 */
import { endRuns } from '../runs/end-runs';
import { markEnded } from '../runs/ended';
import type { ControlActivities } from './interface';
import { endPreparer } from './prepare-data';
import { endSmokeTest } from './smoke-test';

export function createEndWork(): ControlActivities['endWork'] {
  return async ({ study, experiment }) => {
    try {
      await markEnded(study);
    } finally {
      // On a full disk as well, which takes no mark.
      if (experiment === null) await endPreparer(study);
      else await Promise.all([endRuns(study, experiment), endSmokeTest(study, experiment)]);
    }
  };
}
