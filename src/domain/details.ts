/** The Markdown that Temporal's UI shows beside a workflow: a study's and an experiment's page. */
import type { ExperimentSummary, ScoredRun } from './experiment';
import { dollarText, hoursText, type Limits, type Spent } from './limits';
import { scoreText } from './numbers';
import { APPROACH_TEXT, plateauOf } from './plateau';
import type { Decision, Incumbent } from './policies/policy';
import { statusLine } from './status';
import type { StudyConfig, StudyState } from './study';

/** The UI cuts off what comes last: let that be an empty line. */
const END = '\u00a0';

/** A page that cannot be made is an empty one: what only shows a workflow must not fail it. */
export function detailsOr(make: () => string): string {
  try {
    return make();
  } catch (error) {
    return `this page could not be made: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export interface ExperimentPage {
  study: StudyConfig;
  number: number;
  title: string;
  incumbent: Incumbent | null;
  runs: readonly ScoredRun[];
  decision: Decision | null;
}

export function experimentDetails({
  study,
  number,
  title,
  incumbent,
  runs,
  decision,
}: ExperimentPage): string {
  const verdict = decision === null ? 'under way' : `**${decision.verdict}** · ${markdown(decision.detail)}`;
  const lines = [`### #${number} · ${markdown(title)}`, verdict];
  if (incumbent !== null && incumbent.score !== null) {
    lines.push(
      `to beat: ${study.metric} ${scoreText(incumbent.score, 6)} (#${incumbent.experiment}, \`${incumbent.commit.slice(0, 7)}\`)`,
    );
  }
  if (runs.length > 0) {
    lines.push(
      [
        '| run | seed | ' + study.metric + ' | steps | train s | wall s |',
        '| --- | --- | --- | --- | --- | --- |',
        ...runs.map(runRow),
      ].join('\n'),
    );
  }
  return [...lines, END].join('\n\n');
}

function runRow(run: ScoredRun, index: number): string {
  const score = run.score === null ? (run.failure?.reason ?? '–') : scoreText(run.score, 6);
  return `| ${index + 1} | ${run.seed} | ${score} | ${run.metrics['steps'] ?? '–'} | ${run.trainSeconds.toFixed(1)} | ${run.wallSeconds.toFixed(1)} |`;
}

/** Best so far, why it waits, what is left of the budget, the last five experiments. */
export function studyDetails(config: StudyConfig, state: StudyState, current: number | null): string {
  const lines = [`### ${config.tag} · ${config.metric} · ${config.researcher}`, statusLine(state)];
  if (state.stopping !== null) lines.push('**stopping**');
  else if (state.paused !== null) lines.push(`**paused** · ${markdown(state.paused.reason)}`);
  else if (current !== null)
    lines.push(
      `experiment **#${current}** is under way: \`${config.workflowId}/exp-${String(current).padStart(4, '0')}\``,
    );
  const plateau = plateauOf(state.sinceKeep, config.plateauAfter);
  if (plateau.approach !== null) {
    // tpe has one approach only: nobody is asked to change it.
    const asked = config.researcher === 'tpe' ? '' : `, so: ${APPROACH_TEXT[plateau.approach]}`;
    lines.push(`plateau · nothing kept in ${plateau.since} experiments${asked}`);
  }
  lines.push(`budget · ${budgetLeft(state.limits, state.spent)}`);
  const last = state.recent.slice(-5).toReversed();
  if (last.length > 0) {
    lines.push(
      [
        `| # | ${config.metric} | verdict | what |`,
        '| --- | --- | --- | --- |',
        ...last.map(summaryRow),
      ].join('\n'),
    );
  }
  return [...lines, END].join('\n\n');
}

function summaryRow({ number, score, verdict, reason, title }: ExperimentSummary): string {
  return `| ${number} | ${score === null ? reason : scoreText(score, 6)} | ${verdict} | ${markdown(title)} |`;
}

/** `experiments 12 of 100 · GPU-hours 0.4 of 8 · hours 0.5 · dollars $0.00`: where no limit is named there is none. */
function budgetLeft(limits: Limits, spent: Spent): string {
  return [
    part('experiments', String(spent.experiments), limits.experiments),
    part('GPU-hours', hoursText(spent.gpuSeconds), limits.gpuHours),
    part('hours', hoursText(spent.seconds), limits.hours),
    part('dollars', dollarText(spent.dollars), limits.dollars),
  ].join(' · ');
}

function part(name: string, used: string, cap: number | null): string {
  return cap === null ? `${name} ${used}` : `${name} ${used} of ${cap}`;
}

/** Titles are a researcher's words: shown as text, never as markup. */
function markdown(text: string): string {
  return text.replace(/[\\`*_{}[\]<>()#|!]/g, String.raw`\$&`);
}
