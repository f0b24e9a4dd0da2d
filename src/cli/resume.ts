/** `resume`: a paused study goes on; one that has ended starts again from its ledger. */
import type { Command } from 'commander';
import { z } from 'zod';
import { handle, newCommand } from './command';
import { launchStudy, readyServer } from './launch-study';
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
        examples: ['autoresearch resume', 'autoresearch resume nov21 --experiments none'],
      }),
    ),
  );
  return handle(command, schema, async (out, { experiments, gpuHours, hours, ...choice }) => {
    const { config } = await findStudy(choice);
    const limits = givenLimits({ experiments, gpuHours, hours });
    const server = await readyServer(out.note);
    try {
      const workflow = await describeWorkflow(server.client, config.workflowId);
      if (workflow?.status.name !== 'RUNNING') {
        const again = { ...config, limits: { ...config.limits, ...limits } };
        const link = await launchStudy(server, again);
        out.answer(
          { study: again, link, restarted: true },
          `study ${config.tag} goes on from its ledger${link === null ? '' : `: ${link}`}`,
        );
        return;
      }
      if (Object.keys(limits).length > 0) await request(server.client, config, 'adjustBudget', limits);
      const status = await request(server.client, config, 'resume');
      out.answer(status, `${status.tag} is ${phaseText({ study: status })}\n${status.line}`);
    } finally {
      await server.connection.close();
    }
  });
}
