/** The workflow types of a worker: what `bundleWorkflowCode` starts from. */
export { experiment } from './experiment';
export { study } from './study';
