/**
 * The NEVER-STOP workflow: experiment after experiment until a person says stop. It decides; its state's
 * transitions are in src/domain/study.ts, and everything that it knows can be rebuilt from the ledger.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  log,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { OpenedStudy } from '../activities/interface';
import { detailsOr, studyDetails } from '../domain/details';
import { experimentName } from '../domain/experiment';
import { secondsAside } from '../domain/limits';
import { BadRequest, parseBudgetChange, parseHint, parseIdea, parseStop } from '../domain/requests';
import { phaseLabel, studyStatus, type Phase, type StudyStatus } from '../domain/status';
import {
  adjustLimits,
  adopt,
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
import { PHASE, RESEARCHER, SCORE, STUDY } from '../temporal/search-attributes';
import { openStudy, save } from './activities';
import { stoppedOnCancel } from './end-work';
import { experiment, type ExperimentDone, type ExperimentInput } from './experiment';
import { causesOf, isBudgetExhausted, isDataGone, isNeverStarted, messageOf } from './failures';
import * as messages from './messages';

/**
 * Length of a run after which a study continues as new: about 90 experiments. A worker that takes a study over replays its
 * history within a workflow task's 10 s: 4,096 events, where servers suggest it, took 2.3 s of CPU, too much on a busy machine.
 */
const MAX_EVENTS = 1000;
/** Servers end a workflow at 50 MB. Only what people send is ever large. */
const MAX_HISTORY_BYTES = 4_000_000;
/** Here a study does not wait for the end of its experiment, but begins that anew after it has continued as new. */
const FULL_HISTORY_BYTES = 20_000_000;
/** How often a study looks whether an experiment that its ended run left behind is over: two never run at once. */
const LET_GO_MS = 5_000;

/**
 * Runs a study.
 * @param carried its state from before a continue-as-new, or what people asked before it was started again
 * @returns where it stands when it was stopped
 */
export async function study(config: StudyConfig, carried?: StudyState): Promise<StudyStatus> {
  let state = carried ?? newStudy(config.limits, config.waiting);
  let opened: OpenedStudy | null = null;
  let isOpening = false;
  let current: number | null = null;
  let running: CancellationScope | null = null;

  // Handlers only change state; the loop below acts on it. They are set before the first await, so that a message that
  // comes with the first task is not lost.
  const change = (next: StudyState): StudyStatus => {
    state = next;
    if (state.stopping === 'now' || workflowInfo().historySize > FULL_HISTORY_BYTES) running?.cancel();
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
  // A run that continues a paused one has its state and may wait; it looks into git when it goes on.
  const isContinued = workflowInfo().continuedFromExecutionRunId !== undefined;
  if (!isContinued && nextAction(state) !== 'stop') opened = await open();
  for (;;) {
    if (opened !== null) state = holdToLimits(state, config, aside());
    show();
    const action = nextAction(state);
    if (action === 'stop') break;
    // Cancelled, it ends below, where it saves: a condition would throw here.
    if (isLongEnough() && !CancellationScope.current().consideredCancelled) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof study>(config, state);
    }
    if (action === 'wait') await wait();
    else if (opened === null) opened = await open();
    else await runExperiment(opened);
  }
  const { cancelRequested, consideredCancelled } = CancellationScope.current();
  await CancellationScope.nonCancellable(saveRequests);
  show();
  // Cancelled from outside, it ends as cancelled; nothing is lost by that.
  if (consideredCancelled) await cancelRequested;
  return status();

  /**
   * Shows where the study stands, and sends the server a command, whether or not anything has changed.
   *
   * Each task that brings news has to send one: the loop shows the study when a result has come, handlers when they have
   * changed the state. Otherwise a worker that replays the history takes such a task and the next one for a single task, in
   * which it handles messages first: a `resume` before the failure that had paused the study.
   */
  function show(): void {
    setCurrentDetails(detailsOr(() => studyDetails(config, state, current)));
    const score = state.incumbent?.score ?? null;
    upsertSearchAttributes([
      { key: PHASE, value: phaseLabel(phase(), state.paused) },
      ...(score === null ? [] : [{ key: SCORE, value: score }]),
    ]);
  }

  /** GPU seconds for the next experiment. */
  function aside(): number {
    return secondsAside(config.budget, state.recent);
  }

  /** Waits for a message; after a lack of ideas no longer than a rest. */
  async function wait(): Promise<void> {
    const by = state.paused?.by;
    const isElse = (): boolean => nextAction(state) !== 'wait' || state.paused?.by !== by || isLongEnough();
    if (by !== 'ideas') {
      await interruptible(() => condition(isElse));
      return;
    }
    const isAsked = await interruptible(() => condition(isElse, config.restMinutes * 60_000));
    if (isAsked === false) state = resume(state);
  }

  /** Saves limits and messages in the ledger, from which the study may be started again. */
  async function saveRequests(): Promise<void> {
    for (;;) {
      await condition(allHandlersFinished);
      const { limits, waiting } = state;
      try {
        await save({ study: config, limits, waiting });
      } catch (error) {
        // A closed workflow still answers `status`: `resume` asks it.
        log.error(
          `limits and messages could not be saved in the ledger: ${messageOf(causesOf(error).at(-1))}`,
        );
        return;
      }
      // A message may have come meanwhile.
      if (state.limits === limits && state.waiting === waiting) return;
    }
  }

  /** Finds the study in git, where it may have gone on before. Null when that was stopped, or failed. */
  async function open(): Promise<OpenedStudy | null> {
    isOpening = true;
    try {
      const ended = { study: config, experiment: null };
      const found = await interruptible(() => stoppedOnCancel(ended, () => openStudy(config), show));
      if (found === null) return null;
      state = adopt(state, found.state, found.last, workflowInfo().startTime.getTime());
      return found;
    } catch (error) {
      fail('the study could not be opened', error);
      return null;
    } finally {
      isOpening = false;
    }
  }

  /** Does work that "stop now", a cancellation from outside and a full history end. Null when it was ended. */
  async function interruptible<T>(work: () => Promise<T>): Promise<T | null> {
    const scope = new CancellationScope();
    running = scope;
    try {
      return await scope.run(work);
    } catch (error) {
      // An experiment that was cancelled alone fails here like any other error.
      if (!isCancellation(error) || !scope.consideredCancelled) throw error;
      // Cancelled from outside, in the UI for instance.
      if (CancellationScope.current().consideredCancelled) state = stop(state, true);
      return null;
    } finally {
      running = null;
    }
  }

  /** Runs the next experiment as a child and takes in how it ended. */
  async function runExperiment({ lane, caps, class: runClass, seal }: OpenedStudy): Promise<void> {
    const number = nextNumber(state);
    const { incumbent, baseline, waiting, limits } = state;
    const left = leftOf(state, config, aside());
    current = number;
    try {
      const input = {
        study: config,
        number,
        incumbent,
        baseline,
        waiting,
        lane,
        caps,
        class: runClass,
        seal,
        limits,
        left,
      };
      const done = await interruptible(() => runChild(input));
      if (done !== null) state = takeIn(finish(state, done.summary), done.taken);
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) {
        log.warn(`${error.workflowId} of an ended run has not let go yet: waiting for it`);
        await interruptible(() => condition(() => nextAction(state) !== 'experiment', LET_GO_MS));
        return;
      }
      const gone = goneWith(error, lane.queue);
      if (gone !== null) {
        log.warn(`${gone}: opening the study anew`);
        opened = null;
        return;
      }
      const noMoney = causesOf(error).find(isBudgetExhausted);
      if (noMoney === undefined) fail(`experiment ${number} could not be done`, error);
      // Another limit came meanwhile: the experiment is tried again with it.
      else if (state.limits.dollars !== limits.dollars) return;
      // More money would end the pause that a person has asked for meanwhile.
      else if (state.paused?.by !== 'user') state = pause(state, { by: 'limit', reason: noMoney.message });
    } finally {
      current = null;
    }
  }

  async function runChild(input: ExperimentInput): Promise<ExperimentDone> {
    const { number } = input;
    const child = await startChild(experiment, {
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
    show();
    return await child.result();
  }

  /** Pauses the study for a person to look: no retry cures this. */
  function fail(what: string, error: unknown): void {
    const reason = `${what}: ${messageOf(causesOf(error).at(-1))}; \`autoresearch resume\` tries it again`;
    log.error(reason);
    state = pause(state, { by: 'error', reason });
  }

  /** Validates an update: refused if it would change nothing but `refused`. */
  function mustBeTaken(next: StudyState): void {
    if (next.waiting === state.waiting) throw new BadRequest(next.refused ?? 'refused');
  }

  /** Signals cannot answer: `status` shows what is wrong with one. */
  function orRefuse(handle: () => unknown): void {
    try {
      handle();
    } catch (error) {
      change(refuse(state, error instanceof Error ? error.message : String(error)));
    }
  }

  function phase(): Phase {
    if (state.stopping !== null) return current === null && !isOpening ? 'stopped' : 'stopping';
    if (state.paused !== null) return current === null ? 'paused' : 'pausing';
    return opened === null ? 'opening' : 'running';
  }

  function status(): StudyStatus {
    return studyStatus(config, state, phase(), current);
  }
}

function isLongEnough(): boolean {
  const { continueAsNewSuggested, historyLength, historySize } = workflowInfo();
  return continueAsNewSuggested || historyLength > MAX_EVENTS || historySize > MAX_HISTORY_BYTES;
}

/** Names what the study was opened with and has lost; opened anew, it finds that again, or another. */
function goneWith(error: unknown, queue: string): string | null {
  if (isNeverStarted(error)) return `no worker serves ${queue} any more`;
  return isDataGone(error) ? messageOf(causesOf(error).at(-1)) : null;
}
