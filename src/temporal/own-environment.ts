/** What of this process's environment is between it and the Temporal server, and nobody else's business. */

const OURS = /^(TEMPORAL_|AUTORESEARCH_CODEC_KEY)/u;

/** For other programs: the environment without addresses, credentials and the codec's keys. */
export const withoutTemporalSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !OURS.test(name)));
