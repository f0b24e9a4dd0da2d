/** `resume`: a paused study goes on; one that has ended starts again from its ledger. */
import type { Command } from 'commander';
import { z } from 'zod';
import { handle, newCommand } from './command';
import { launchStudy, withReadyServer } from './launch-study';
import { givenLimits, limitSchemas, takesLimits } from './limits';
import { describeWorkflow, request } from './live';
import { phaseText } from './render/status';
import { findStudy, studyOptions, takesStudy } from './study-ref';

const schema = z.object({ ...studyOptions, ...limitSchemas });

export function resumeCommand(): Command {
  const command = takesLimits(
    takesStudy(
      newCommand({
        name: 'resume',
        summary: 'let a paused study go on, or start an ended one again',
        examples: ['npx autoresearch resume', 'npx autoresearch resume nov21 --experiments none'],
      }),
    ),
  );
  return handle(command, schema, async (out, { experiments, gpuHours, hours, ...choice }) => {
    const { config } = await findStudy(choice);
    const limits = givenLimits({ experiments, gpuHours, hours });
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
