/**
 * Marks on disk of workflows that were cancelled: an activity of such a one that comes too late, because its worker was frozen or the
 * server away, begins nothing any more. Each try of an experiment, and each life of a study, is a workflow run of its own.
 */
import { Context } from '@temporalio/activity';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../process/error-code';
import { studyState } from '../process/paths';
import type { StudyRef } from '../domain/run';

const folderOf = ({ labId, tag }: StudyRef): string => join(studyState(labId, tag), 'ended');

/** Activities of ours are always a workflow's. */
const runId = (): string => Context.current().info.workflowExecution!.runId;

/**
 * Keeps a workflow from beginning anything more.
 * @param run the workflow's run id; by default that of the workflow that calls
 */
export async function markEnded(study: StudyRef, run = runId()): Promise<void> {
  await mkdir(folderOf(study), { recursive: true });
  await writeFile(join(folderOf(study), run), '');
}

/** Whether the workflow that calls has been marked so. To be asked after a start too: before that, whoever marks may see nothing to end. */
export async function isEnded(study: StudyRef): Promise<boolean> {
  try {
    await access(join(folderOf(study), runId()));
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
