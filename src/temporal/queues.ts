/** Task queue names. Deterministic text only: workflow code imports this. */

/** Workflows and the activities that any worker of the study's host may do. */
export const CONTROL_QUEUE = 'autoresearch';
