/** Each command's line in `--help`, in the order of that list. Plain data, so that `--help` loads no command. */
export const SUMMARIES = {
  up: 'start the Temporal server and the worker; set up what is missing',
  down: 'stop runs, worker and server on this host; `up` goes on with every study',
  doctor: 'check every prerequisite, and how to get what is missing',
  init: 'make a lab: a fresh git repository with the default trainer',
  start: 'start a study; without a limit it never stops',
  list: 'the studies of this host, one line each, the latest first',
  status: 'where a study stands: its experiment, best, budget and last results',
  history: 'the table of experiments, from git: no server is needed',
  compare: 'studies of one lab beside each other: gain, cost, curves',
  show: 'one experiment: hypothesis, verdict, runs, diff, end of the log',
  logs: "what an experiment's training printed",
  stop: 'end a study after its running experiment, or with --now at once',
  pause: 'let a study wait after its running experiment',
  resume: 'let a paused study go on, or start an ended one again',
  budget: 'show the limits of a study, or change those of a running one',
  hint: 'give the researcher a thought for its next proposal',
  ideas: 'ideas for later and lessons learnt; add an idea, or drop one',
  push: 'carry a whole study to a git remote: branch, ledger, every candidate',
  fetch: 'carry a whole study from a git remote into a lab',
  verify: 'hold records, refs, branch, results.tsv and workflows against each other',
  export: 'a study as one file: workflow histories, ledger, git bundle',
  replay: "replay a study's histories through today's workflow code",
  codec: 'let the Temporal UI show what is encrypted',
  worker: 'keep server and worker of this host running, in the foreground',
} as const;

export type CommandName = keyof typeof SUMMARIES;

export const isCommandName = (name: string): name is CommandName => Object.hasOwn(SUMMARIES, name);
