/** `resume`: a paused study goes on; one that has ended starts again from its ledger. */
import type { Command } from 'commander';
import { z } from 'zod';
import type { StudyConfig } from '../domain/study';
import { handle, newCommand } from './command';
import { CliError } from './errors';
import { launchStudy, withReadyServer } from './launch-study';
import { givenLimits, limitSchemas, takesLimits } from './limits';
import { describeWorkflow, request } from './live';
import { phaseText } from './render/status';
import { findStudy, studyOptions, takesStudy } from './study-ref';

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
