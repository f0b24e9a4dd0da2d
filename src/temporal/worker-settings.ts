/** Settings of the worker from environment variables: cache, slots and pollers. */
import { MissingPrerequisite } from '../process/missing-prerequisite';

export interface WorkerSettings {
  /** Workflows in memory. A study and its experiments take one each; others are replayed from their history. */
  cachedWorkflows: number;
  /** Workflow tasks that run at once. */
  workflowSlots: number;
  /** Control activities (apply, record, propose, …) that run at once. A device always has one slot. */
  activitySlots: number;
  /** Open polls for workflow tasks. */
  workflowPollers: number;
  /** Open polls for control activities. */
  activityPollers: number;
}

const VARIABLES: Record<keyof WorkerSettings, { name: string; least: number; usual: number }> = {
  // A host has a few studies, with an experiment or so for each device.
  cachedWorkflows: { name: 'AUTORESEARCH_WORKFLOW_CACHE', least: 0, usual: 100 },
  workflowSlots: { name: 'AUTORESEARCH_WORKFLOW_SLOTS', least: 2, usual: 40 },
  activitySlots: { name: 'AUTORESEARCH_ACTIVITY_SLOTS', least: 1, usual: 100 },
  // The SDK needs one poll for the sticky queue and one for the other.
  workflowPollers: { name: 'AUTORESEARCH_WORKFLOW_POLLERS', least: 2, usual: 5 },
  activityPollers: { name: 'AUTORESEARCH_ACTIVITY_POLLERS', least: 1, usual: 5 },
};
const MOST = 10_000;

/** @throws MissingPrerequisite if a variable is not an integer in its range */
export function workerSettings(environment: NodeJS.ProcessEnv = process.env): WorkerSettings {
  const read = (key: keyof WorkerSettings): number => {
    const { name, least, usual } = VARIABLES[key];
    const text = environment[name] ?? '';
    if (text === '') return usual;
    const value = Number(text);
    if (/^\d+$/u.test(text) && value >= least && value <= MOST) return value;
    throw new MissingPrerequisite(
      `${name}=${text} is not an integer from ${least} to ${MOST}`,
      `correct it, or unset it for ${usual}`,
    );
  };
  const settings = {
    cachedWorkflows: read('cachedWorkflows'),
    workflowSlots: read('workflowSlots'),
    activitySlots: read('activitySlots'),
    workflowPollers: read('workflowPollers'),
    activityPollers: read('activityPollers'),
  };
  for (const kind of ['workflow', 'activity'] as const) {
    const [pollers, slots] = [`${kind}Pollers`, `${kind}Slots`] as const;
    if (settings[pollers] <= settings[slots]) continue;
    throw new MissingPrerequisite(
      `${VARIABLES[pollers].name} (${settings[pollers]}) is more than ${VARIABLES[slots].name} (${settings[slots]})`,
      'a poll needs a free slot: lower the pollers or raise the slots',
    );
  }
  return settings;
}
