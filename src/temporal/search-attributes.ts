/**
 * Search attributes: the Temporal UI filters and sorts workflows by them. The prefix avoids clashes with other applications in the
 * namespace. No imports from Node: workflow code uses these too.
 */
import { defineSearchAttributeKey } from '@temporalio/common';

/** The study's tag; on studies and experiments. */
export const STUDY = defineSearchAttributeKey('AutoresearchStudy', 'KEYWORD');
/** The researcher: `tpe`, `command`, … */
export const RESEARCHER = defineSearchAttributeKey('AutoresearchResearcher', 'KEYWORD');
/** On studies: `running`, `paused by limit`, … (see `phaseLabel`). */
export const PHASE = defineSearchAttributeKey('AutoresearchPhase', 'KEYWORD');
/** `keep`, `discard` or `crash`; on closed experiments. */
export const VERDICT = defineSearchAttributeKey('AutoresearchVerdict', 'KEYWORD');
/** On experiments the score, on studies the best score so far. */
export const SCORE = defineSearchAttributeKey('AutoresearchScore', 'DOUBLE');

/** `prepareNamespace` registers these. */
export const SEARCH_ATTRIBUTES = [STUDY, RESEARCHER, PHASE, VERDICT, SCORE];
