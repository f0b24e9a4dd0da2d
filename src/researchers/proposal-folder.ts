/** Where an experiment's proposal stores its files: the spending journal, transcripts, working copies and smoke tests. */
import { join } from 'node:path';
import type { StudyRef } from '../domain/run';
import { experimentName } from '../domain/experiment';
import { studyState } from '../process/paths';

export const proposalFolder = ({ labId, tag }: Pick<StudyRef, 'labId' | 'tag'>, number: number): string =>
  join(studyState(labId, tag), 'proposals', experimentName(number));

/** The spend guard's journal in a proposal's folder. */
export const journalIn = (folder: string): string => join(folder, 'spent.jsonl');
