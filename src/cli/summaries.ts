/** Each command's line in `--help`, in the order of that list. Plain data, so that `--help` loads no command. */
export const SUMMARIES = {
  up: 'start the Temporal server and the worker; set up what is missing',
  down: 'stop runs, worker and server on this host; `up` continues every study',
  doctor: 'check every prerequisite, and how to get what is missing',
  init: 'make a lab: a fresh git repository with the default trainer',
  start: 'start a study; without a limit it never stops',
  list: 'the studies of this host, one line each, the latest first',
  status: 'where a study stands: its experiment, best score, limits and last results',
  history: 'the table of experiments, from git: no server is needed',
  compare: 'studies of one lab beside each other: gain, cost, curves',
  show: 'one experiment: hypothesis, verdict, runs, diff, end of the log',
  logs: "what an experiment's training printed",
  stop: 'stop a study after its running experiment, or with --now at once',
  pause: 'pause a study after its running experiment',
  resume: 'continue a paused study, or start an ended one again',
  budget: 'show the limits of a study, or change those of a running one',
  hint: 'send the researcher a hint for its next proposal',
  ideas: 'ideas for later and lessons learnt; add an idea, or drop one',
  push: 'copy a whole study to a git remote: branch, ledger, every candidate',
  fetch: 'copy a whole study from a git remote into a lab',
  verify: 'compare records, refs, branch, results.tsv and workflows with each other',
  export: 'a study as one file: workflow histories, ledger, git bundle',
  replay: "replay a study's histories through today's workflow code",
  codec: 'decrypt payloads for the Temporal UI',
  worker: 'run server and worker of this host in the foreground, and restart them',
} as const;

export type CommandName = keyof typeof SUMMARIES;

export const isCommandName = (name: string): name is CommandName => Object.hasOwn(SUMMARIES, name);
