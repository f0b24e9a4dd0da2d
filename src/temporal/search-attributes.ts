/**
 * What the Temporal UI can filter and sort workflows by. The prefix keeps them apart from those of other applications in the
 * same namespace. No imports from Node: workflow code uses these too.
 */
import { defineSearchAttributeKey } from '@temporalio/common';

/** The study's tag: on studies and on experiments. */
export const STUDY = defineSearchAttributeKey('AutoresearchStudy', 'KEYWORD');
/** Who proposes: `tpe`, `command`, … */
export const RESEARCHER = defineSearchAttributeKey('AutoresearchResearcher', 'KEYWORD');
/** On studies: `running`, `paused by limit`, … (`phaseLabel` makes it). */
export const PHASE = defineSearchAttributeKey('AutoresearchPhase', 'KEYWORD');
/** `keep`, `discard` or `crash`: on experiments that have ended. */
export const VERDICT = defineSearchAttributeKey('AutoresearchVerdict', 'KEYWORD');
/** On experiments the score, on studies the best one so far. */
export const SCORE = defineSearchAttributeKey('AutoresearchScore', 'DOUBLE');

/** All of them, to be registered with a namespace before use. */
export const SEARCH_ATTRIBUTES = [STUDY, RESEARCHER, PHASE, VERDICT, SCORE];
