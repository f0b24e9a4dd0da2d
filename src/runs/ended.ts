/**
 * Marks cancelled workflows on the disk. A late activity of such a workflow (its worker was frozen, or the server was away)
 * then begins nothing. Each try of an experiment, and each start of a study, is a workflow run of its own.
 */
import { Context } from '@temporalio/activity';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../process/error-code';
import { studyState } from '../process/paths';
import type { StudyRef } from '../domain/run';

const folderOf = ({ labId, tag }: StudyRef): string => join(studyState(labId, tag), 'ended');

/** Every activity of this product belongs to a workflow. */
const runId = (): string => Context.current().info.workflowExecution!.runId;

/**
 * Prevents a workflow's activities from beginning anything more.
 * @param run the workflow's run id; by default the calling workflow's
 */
export async function markEnded(study: StudyRef, run = runId()): Promise<void> {
  await mkdir(folderOf(study), { recursive: true });
  await writeFile(join(folderOf(study), run), '');
}

/** True if the calling workflow is marked. Ask after a start, too: the mark may have come when there was nothing to end yet. */
export async function isEnded(study: StudyRef): Promise<boolean> {
  try {
    await access(join(folderOf(study), runId()));
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
