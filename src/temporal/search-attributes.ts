/**
 * The typed search attributes that turn Temporal's list of workflows into the list of experiments.
 * Workflow code imports this: no Node built-ins here.
 */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/** The study's tag; on the study and on each of its experiments. */
export const STUDY = defineSearchAttributeKey('Study', SearchAttributeType.KEYWORD);
/** `claude`, `command`, `tpe`; `baseline` on experiment 0. */
export const RESEARCHER = defineSearchAttributeKey('Researcher', SearchAttributeType.KEYWORD);
/** `keep`, `discard`, `crash`; absent while an experiment runs. */
export const VERDICT = defineSearchAttributeKey('Verdict', SearchAttributeType.KEYWORD);
/** The sealed scorer's result; absent on a crash. */
export const SCORE = defineSearchAttributeKey('Score', SearchAttributeType.DOUBLE);

/** All of them: what a namespace needs before its first study. */
export const SEARCH_ATTRIBUTES = [STUDY, RESEARCHER, VERDICT, SCORE] as const;
