/** Where a command works: a copy of the lab at one commit, in a bubblewrap sandbox where bubblewrap runs. */
import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { changesIn, copiesIn, makeWorkingCopy, removeCopies, type Changes } from '../labs/working-copy';
import { findSandbox, SHARED_DEVICES } from '../runner/sandbox';
import { closedFolders } from './agent-settings';
import { agentWalls } from './agent-walls';
import { ledgerFile } from './command-context';
import type { ResearchContext } from './researcher';

export interface Workspace {
  path: string;
  /** What the command can reach, as a sentence for the transcript. */
  protection: string;
  /** The environment variables that tell the command where it runs. */
  env: Record<string, string>;
  /** Device files of the host that the command may use but not change. */
  devices: readonly string[];
  /** The command line that runs a shell command in it. */
  enclose(command: string): Promise<string[]>;
  changes(): Promise<Changes>;
  remove(): Promise<void>;
}

export async function openWorkspace(
  study: { lab: string; base: string },
  context: ResearchContext,
): Promise<Workspace> {
  const { folder, incumbent, repair, tag } = context;
  const { editable, caps } = context.lab;
  await mkdir(copiesIn(folder), { recursive: true });
  // One copy for each attempt: a replaced attempt may still be running.
  const attempt = await mkdtemp(join(copiesIn(folder), 'attempt-'));
  const commit = repair?.commit ?? incumbent.commit;
  const copy = await makeWorkingCopy(study, { tag, commit, path: join(attempt, 'lab') });
  const { sandbox, detail } = await findSandbox();
  const isContained = sandbox === 'bubblewrap';
  return {
    path: copy.path,
    protection: isContained
      ? 'bubblewrap: the command can write only this copy and the paths in AUTORESEARCH_AGENT_WRITES; it cannot see data, runs or secrets'
      : `no sandbox (${detail}): the command can read and write everything that the worker can`,
    env: { AUTORESEARCH_SANDBOX: sandbox },
    devices: isContained ? SHARED_DEVICES : [],
    async enclose(command) {
      const shell = ['/bin/sh', '-c', command];
      if (!isContained) return shell;
      const walls = await agentWalls({
        command,
        copy: copy.path,
        ledger: ledgerFile(context),
        closed: closedFolders(study.lab, context.lab),
      });
      return [...walls, ...shell];
    },
    changes: () => changesIn(copy, editable, caps.edit_bytes),
    remove: () => removeCopies(attempt),
  };
}
