/** Hides Temporal settings from other programs: they include credentials and the codec's keys. */

const OURS = /^(TEMPORAL_|AUTORESEARCH_CODEC_KEY)/u;

/** The environment without addresses, credentials and codec keys. */
export const withoutTemporalSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !OURS.test(name)));
