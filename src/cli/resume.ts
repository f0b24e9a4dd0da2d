/** `resume`: a paused study goes on; one that has ended starts again from its ledger. */
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { StudyConfig } from '../domain/study';
import { handle, newCommand } from './command';
import { CliError } from './errors';
import { launchStudy, withReadyServer } from './launch-study';
import { givenLimits, limitSchemas, takesLimits } from './limits';
import { describeWorkflow, request } from './live';
import { experimentName } from '../domain/experiment';
import { Git } from '../lab/git';
import { readLedger } from '../lab/ledger';
import type { Connected } from '../temporal/connection';
import { phaseText } from './render/status';
import { findStudy, studyOptions, takesStudy } from './study-ref';

/** A training ends within seconds of being asked to. */
const LET_GO_MS = 60_000;

const schema = z.object({ ...studyOptions, ...limitSchemas, command: z.string().min(1).optional() });

export function resumeCommand(): Command {
  const command = takesLimits(
    takesStudy(
      newCommand({
        name: 'resume',
        summary: 'let a paused study go on, or start an ended one again',
        examples: ['npx autoresearch resume', 'npx autoresearch resume nov21 --experiments none'],
      }),
    ),
  ).option('--command <LINE>', 'command line of the `command` researcher, for a study that was fetched');
  return handle(command, schema, async (out, { command: line, tag, lab, ...limitOptions }) => {
    const config = withCommand((await findStudy({ tag, lab })).config, line);
    const limits = givenLimits(limitOptions);
    await withReadyServer(out.note, async (server) => {
      const workflow = await describeWorkflow(server.client, config.workflowId);
      if (workflow?.status.name !== 'RUNNING') {
        await untilLetGo(server, config, out.note);
        const again = { ...config, limits: { ...config.limits, ...limits } };
        const link = await launchStudy(server, again);
        const where = link === null ? '' : `: ${link}`;
        out.answer({ study: again, link }, `study ${config.tag} goes on from its ledger${where}`);
        return;
      }
      if (Object.keys(limits).length > 0) await request(server.client, config, 'adjustBudget', limits);
      const status = await request(server.client, config, 'resume');
      out.answer(status, `${status.tag} is ${phaseText({ study: status })}\n${status.line}`);
    });
  });
}

/**
 * A study that was terminated leaves its experiment to end by itself, and its name is taken so long.
 * @throws CliError if that takes more than a minute
 */
async function untilLetGo(
  { client }: Connected,
  { tag, workflowId, lab }: StudyConfig,
  say: (line: string) => void,
): Promise<void> {
  const number = (await readLedger(new Git(lab), tag)).length;
  const id = `${workflowId}/exp-${experimentName(number)}`;
  const end = performance.now() + LET_GO_MS;
  for (let nth = 0; (await describeWorkflow(client, id))?.status.name === 'RUNNING'; nth++) {
    if (nth === 0) say(`experiment ${number} of the ended workflow has not let go yet: waiting for it`);
    if (performance.now() > end) {
      throw new CliError(
        'conflict',
        `the workflow ${id} still runs, ${LET_GO_MS / 1000} s after its study's has ended`,
        `see what it waits for in the Temporal UI, or terminate it there; then resume again`,
      );
    }
    await sleep(500);
  }
}

/** A command line that came with somebody else's ledger is not run unasked. */
function withCommand(config: StudyConfig, line: string | undefined): StudyConfig {
  if (config.researcher !== 'command') return config;
  const researcherCommand = line ?? config.researcherCommand;
  if (researcherCommand !== null) return { ...config, researcherCommand };
  throw new CliError(
    'usage',
    `study ${config.tag} was begun elsewhere, with a command of its own that is not run here unasked`,
    `name the command line: \`npx autoresearch resume ${config.tag} --command "…"\``,
  );
}
