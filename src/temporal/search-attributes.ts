/** What the Temporal UI can filter and sort workflows by. No imports from Node: workflow code uses these too. */
import { defineSearchAttributeKey } from '@temporalio/common';

/** The study's tag: on studies and on experiments. */
export const STUDY = defineSearchAttributeKey('Study', 'KEYWORD');
/** `keep`, `discard` or `crash`: on experiments that have ended. */
export const VERDICT = defineSearchAttributeKey('Verdict', 'KEYWORD');
/** On experiments the score, on studies the best one so far. */
export const SCORE = defineSearchAttributeKey('Score', 'DOUBLE');
/** Who proposes: `tpe`, `command`, … */
export const RESEARCHER = defineSearchAttributeKey('Researcher', 'KEYWORD');

/** All of them, to be registered with a namespace before use. */
export const SEARCH_ATTRIBUTES = [STUDY, VERDICT, SCORE, RESEARCHER];
