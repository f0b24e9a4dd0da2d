/**
 * Stops leftover processes before a cancelled workflow closes. Usually its activity has done so. But if that activity lost its
 * worker or the server just then, Temporal does not retry it, and an unwatched run would occupy the device to its end.
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
      // Also on a full disk, where markEnded fails.
      if (experiment === null) await endPreparer(study);
      else await Promise.all([endRuns(study, experiment), endSmokeTest(study, experiment)]);
    }
  };
}
