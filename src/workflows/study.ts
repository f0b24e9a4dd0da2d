/**
 * The NEVER-STOP workflow: experiment after experiment until somebody says stop. It decides; its state's
 * transitions are in src/domain/study.ts, and everything that it knows can be rebuilt from the ledger.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  executeChild,
  isCancellation,
  log,
  ParentClosePolicy,
  patched,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { OpenedStudy } from '../activities/interface';
import { studyDetails } from '../domain/details';
import { experimentName, type ExperimentSummary } from '../domain/experiment';
import { limitsGpu, secondsAside, trainingSeconds, type Limits } from '../domain/limits';
import { BadRequest, parseBudgetChange, parseHint, parseIdea, parseStop } from '../domain/requests';
import { studyStatus, type Phase, type StudyStatus } from '../domain/status';
import {
  adjustLimits,
  adopt,
  completeConfig,
  completeState,
  finish,
  hint,
  holdToLimits,
  idea,
  leftOf,
  listen,
  newStudy,
  nextAction,
  nextNumber,
  pause,
  refuse,
  resume,
  stop,
  takeIn,
  type StudyConfig,
  type StudyState,
} from '../domain/study';
import type { Waiting } from '../domain/waiting';
import { RESEARCHER, SCORE, STUDY } from '../temporal/search-attributes';
import { openStudy, openStudyUnwatched, save } from './activities';
import { endWork } from './end-work';
import { experiment, type ExperimentDone, type ExperimentInput } from './experiment';
import { causesOf, isBudgetExhausted, isDataGone, isNeverStarted, isTimeout, messageOf } from './failures';
import * as messages from './messages';

/** Events of a run after which a study continues as new, about 110 experiments. Servers suggest it at 4,096. */
const LONG_HISTORY = 1000;
/** Between two looks whether an experiment that an ended run of the study has left behind is over: never two at once. */
const LET_GO_MS = 5_000;

/**
 * Runs a study. `carried` is its state from before a continue-as-new, or what people asked before it was started again.
 * @returns where it stands, when it was stopped
 */
export async function study(given: StudyConfig, carried?: StudyState): Promise<StudyStatus> {
  const config = completeConfig(given);
  let state = carried === undefined ? newStudy(config.limits, config.waiting) : completeState(carried);
  /** As the ledger has them: each record brings those of its time. */
  let limitsKept = config.limits;
  let isOpen = false;
  let isOpening = false;
  let current: number | null = null;
  let running: CancellationScope | null = null;
  let shownBest: number | null = null;

  // Handlers only change state; the loop below acts on it. They stand before the first await, so that a message
  // that comes with the first task is not lost.
  const change = (next: StudyState): StudyStatus => {
    state = next;
    if (state.stopping === 'now') running?.cancel();
    show();
    return status();
  };
  const handlers = {
    stop: (request: unknown) => change(stop(listen(state), parseStop(request).now)),
    pause: () => change(pause(listen(state), { by: 'user', reason: 'paused by request' })),
    resume: () => change(resume(listen(state))),
    adjustBudget: (request: unknown) => change(adjustLimits(listen(state), parseBudgetChange(request))),
    hint: (request: unknown) => change(hint(listen(state), parseHint(request))),
    idea: (request: unknown) => change(idea(listen(state), parseIdea(request))),
  };
  setHandler(messages.stopSignal, (request) => orRefuse(() => handlers.stop(request)));
  setHandler(messages.pauseSignal, () => void handlers.pause());
  setHandler(messages.resumeSignal, () => void handlers.resume());
  setHandler(messages.adjustBudgetSignal, (request) => orRefuse(() => handlers.adjustBudget(request)));
  setHandler(messages.hintSignal, (request) => orRefuse(() => handlers.hint(request)));
  setHandler(messages.ideaSignal, (request) => orRefuse(() => handlers.idea(request)));
  setHandler(messages.stopUpdate, handlers.stop, { validator: (request) => void parseStop(request) });
  setHandler(messages.pauseUpdate, handlers.pause);
  setHandler(messages.resumeUpdate, handlers.resume);
  setHandler(messages.adjustBudgetUpdate, handlers.adjustBudget, {
    validator: (request) => void parseBudgetChange(request),
  });
  setHandler(messages.hintUpdate, handlers.hint, {
    validator: (request) => mustBeTaken(hint(state, parseHint(request))),
  });
  setHandler(messages.ideaUpdate, handlers.idea, {
    validator: (request) => mustBeTaken(idea(state, parseIdea(request))),
  });
  setHandler(messages.statusQuery, status);
  setHandler(messages.historyQuery, () => state.recent);

  show();
  let opened = await open();
  for (;;) {
    if (opened !== null) state = holdToLimits(state, config, aside());
    show();
    showBest();
    const action = nextAction(state);
    if (action === 'stop') break;
    if (action === 'wait') {
      await wait();
    } else if (opened === null) {
      opened = await open();
    } else {
      await runExperiment(opened);
      // Cancelled while the experiment was being recorded, it ends in the loop, where it saves: a condition would throw.
      const { consideredCancelled: isCancelled } = CancellationScope.current();
      if (state.stopping === null && isLongEnough() && !isCancelled) {
        await condition(allHandlersFinished);
        await continueAsNew<typeof study>({ ...config, limits: limitsKept }, state);
      }
    }
  }
  const { cancelRequested, consideredCancelled } = CancellationScope.current();
  await CancellationScope.nonCancellable(keepWhatWaits);
  // Cancelled from outside, it ends as such, with the same things kept.
  if (consideredCancelled) await cancelRequested;
  return status();

  /** GPU seconds for the next experiment. Asked for only where it matters: the answer of `patched` is an event. */
  function aside(): number {
    if (!limitsGpu(state.limits, config.gpuHourDollars) || !patched('longest-aside'))
      return trainingSeconds(config.budget);
    return secondsAside(config.budget, state.recent);
  }

  /** For somebody to say something; where only ideas were lacking, no longer than a rest. */
  async function wait(): Promise<void> {
    if (state.paused?.by !== 'ideas' || !patched('rest')) {
      await interruptible(() => condition(() => nextAction(state) !== 'wait'));
      return;
    }
    const isElse = (): boolean => nextAction(state) !== 'wait' || state.paused?.by !== 'ideas';
    const isAsked = await interruptible(() => condition(isElse, config.restMinutes * 60_000));
    if (isAsked === false) state = resume(state);
  }

  /** Ended and started again, a study knows what is in its ledger: so this has to be there, to the last word. */
  async function keepWhatWaits(): Promise<void> {
    await condition(allHandlersFinished);
    // Compared also with what it began with, as 0.2 did: its histories are replayed.
    if (!hasUnsaved(state, config.limits, limitsKept) || !patched('save')) return;
    let kept: StudyState;
    do {
      kept = state;
      await save({ study: config, limits: kept.limits, waiting: kept.waiting });
      // Somebody may have said something meanwhile.
    } while ((state.limits !== kept.limits || state.waiting !== kept.waiting) && patched('save-again'));
  }

  /** Finds the study in git, where it may have gone on before. Null when that was stopped, or is in trouble. */
  async function open(): Promise<OpenedStudy | null> {
    // Said before the first task: nothing runs yet that a cancellation would end.
    if (state.stopping === 'now' && patched('never-opened')) return null;
    const isWatched = patched('end-opening');
    isOpening = true;
    try {
      const found = await interruptible(() => (isWatched ? openStudy : openStudyUnwatched)(config));
      if (found === null) {
        if (isWatched) await endWork({ study: config, experiment: null });
        return null;
      }
      isOpen = true;
      state = adopt(state, found.state, found.last ?? null, workflowInfo().startTime.getTime());
      return found;
    } catch (error) {
      trouble('the study could not be opened', error);
      return null;
    } finally {
      isOpening = false;
    }
  }

  /** Does what "stop now" ends. Null when it was: a cancellation from outside, in the UI for instance, is the same. */
  async function interruptible<T>(work: () => Promise<T>): Promise<T | null> {
    const scope = new CancellationScope();
    running = scope;
    try {
      return await scope.run(work);
    } catch (error) {
      const isLost = scope.consideredCancelled && isTimeout(error);
      if (!isCancellation(error) && !(isLost && patched('lost-and-cancelled'))) throw error;
      // Not the study was cancelled, but its experiment alone.
      if (!scope.consideredCancelled && patched('cancelled-experiment')) throw error;
      state = stop(state, true);
      return null;
    } finally {
      running = null;
    }
  }

  /** Runs the next experiment as a child and takes in how it ended. */
  async function runExperiment({ lane, caps, fingerprint }: OpenedStudy): Promise<void> {
    const number = nextNumber(state);
    const { incumbent, waiting, limits } = state;
    const left = leftOf(state, config, aside());
    current = number;
    show();
    try {
      const input = { study: config, number, incumbent, waiting, lane, caps, fingerprint, limits, left };
      const done = await interruptible(() => runChild(input));
      if (done === null) return;
      const { summary, taken } = doneOf(done, waiting);
      state = takeIn(finish(state, summary), taken);
      limitsKept = limits;
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError && patched('wait-for-left-behind')) {
        log.warn(`${error.workflowId} of an ended run has not let go yet: waiting for it`);
        await interruptible(() => condition(() => nextAction(state) !== 'experiment', LET_GO_MS));
        return;
      }
      const gone = goneWith(error, lane.queue);
      if (gone !== null && patched('open-again')) {
        log.warn(`${gone}: opening the study anew`);
        opened = null;
        return;
      }
      const noMoney = causesOf(error).find(isBudgetExhausted);
      if (noMoney === undefined) trouble(`experiment ${number} could not be done`, error);
      // More money would end the pause that somebody has asked for meanwhile.
      else if (state.paused?.by !== 'user' || !patched('pause-stays'))
        state = pause(state, { by: 'limit', reason: noMoney.message });
    } finally {
      current = null;
    }
  }

  function runChild(input: ExperimentInput): Promise<ExperimentDone> {
    const { number } = input;
    return executeChild(experiment, {
      workflowId: `${config.workflowId}/exp-${experimentName(number)}`,
      args: [input],
      typedSearchAttributes: [
        { key: STUDY, value: config.tag },
        { key: RESEARCHER, value: number === 0 ? 'baseline' : config.researcher },
      ],
      staticSummary: number === 0 ? `${config.tag} · baseline` : `${config.tag} · experiment ${number}`,
      // A study that is terminated takes its training with it.
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    });
  }

  /** Our own trouble, which no retry mends: a person has to look. */
  function trouble(what: string, error: unknown): void {
    const reason = `${what}: ${messageOf(causesOf(error).at(-1))}; \`autoresearch resume\` tries it again`;
    log.error(reason);
    state = pause(state, { by: 'trouble', reason });
  }

  /** An update that changes nothing but what was refused is told so, instead of being accepted. */
  function mustBeTaken(next: StudyState): void {
    if (next.waiting === state.waiting) throw new BadRequest(next.refused ?? 'refused');
  }

  /** Signals cannot answer: what is wrong with one is told by `status`. */
  function orRefuse(handle: () => unknown): void {
    try {
      handle();
    } catch (error) {
      state = refuse(state, error instanceof Error ? error.message : String(error));
    }
  }

  /** So that the list of studies has it. */
  function showBest(): void {
    const { score = null } = state.incumbent ?? {};
    if (score === null || score === shownBest || !patched('best-score')) return;
    shownBest = score;
    upsertSearchAttributes([{ key: SCORE, value: score }]);
  }

  function show(): void {
    setCurrentDetails(studyDetails(config, state, current));
  }

  function phase(): Phase {
    if (state.stopping !== null) return current === null && !isOpening ? 'stopped' : 'stopping';
    if (state.paused !== null) return current === null ? 'paused' : 'pausing';
    return isOpen ? 'running' : 'opening';
  }

  function status(): StudyStatus {
    return studyStatus(config, state, phase(), current);
  }
}

/**
 * A worker that takes a study over, or that a signal has surprised in the act of continuing as new, replays its history
 * first, within a workflow task's 10 s. 4,096 events were 2.3 s of CPU: on a busy machine that came too late, every time.
 */
function isLongEnough(): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || (historyLength > LONG_HISTORY && patched('continue-by-length'));
}

/** What the study was opened with and is not there any more, in words: opened anew, it finds it again, or another. */
function goneWith(error: unknown, queue: string): string | null {
  if (isNeverStarted(error)) return `nobody serves ${queue} any more`;
  return isDataGone(error) ? messageOf(causesOf(error).at(-1)) : null;
}

/** The experiment's answer; version 0.1 gave the summary alone, and had given it all hints. */
function doneOf(done: ExperimentDone | ExperimentSummary, waiting: Waiting): ExperimentDone {
  return 'summary' in done ? done : { summary: done, taken: waiting };
}

/** Does the state hold what the ledger, which it would be started again from, may not? */
function hasUnsaved({ limits, waiting }: StudyState, ...kept: Limits[]): boolean {
  const isWaiting = Object.values(waiting).some((texts: string[]) => texts.length > 0);
  return isWaiting || kept.some((each) => JSON.stringify(each) !== JSON.stringify(limits));
}
