/** `resume`: a paused study goes on; one that has ended starts again from its ledger. */
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { newStudy, type StudyConfig } from '../domain/study';
import { handle, newCommand } from './command';
import { carriedOver } from '../studies/carry-over';
import { CliError } from '../studies/errors';
import { launchStudy, withReadyServer } from '../studies/launch';
import { givenLimits, limitSchemas, takesLimits } from './limits';
import { describeWorkflow, ownStudy, pendingActivity, request } from '../studies/study-workflow';
import { experimentName } from '../domain/experiment';
import { Git } from '../ledger/git';
import { readLedger } from '../ledger/ledger';
import type { Connected } from '../temporal/connection';
import { phaseText } from './render/status';
import { changeResearcher, changeSchemas, takesChanges } from './researcher';
import { endIfFailing } from '../studies/stop-now';
import { findStudy, studyOptions, takesStudy } from '../studies/find-study';

/** A training ends within seconds of being asked to. */
const LET_GO_MS = 60_000;

const schema = z.object({ ...studyOptions, ...limitSchemas, ...changeSchemas });

export function resumeCommand(): Command {
  const command = takesChanges(
    takesLimits(
      takesStudy(
        newCommand({
          name: 'resume',
          examples: [
            'npx autoresearch resume',
            'npx autoresearch resume nov21 --experiments none',
            'npx autoresearch resume nov21 --model claude-sonnet-5-5',
          ],
        }),
      ),
    ),
  );
  return handle(command, schema, async (out, { tag, lab, ...options }) => {
    const found = await findStudy({ tag, lab });
    const limits = givenLimits(options);
    const { command: line, usdPerCall, model, effort, contextTokens, answerTokens } = options;
    const change = { command: line, usdPerCall, model, effort, contextTokens, answerTokens };
    const usd = { ...found.config.limits, ...limits }.dollars;
    const changed = await changeResearcher(found.config, change, usd);
    await withReadyServer(out.note, async (server) => {
      const config = await ownStudy(server.client, changed);
      const workflow = await describeWorkflow(server.client, config.workflowId);
      if (workflow?.status.name !== 'RUNNING') {
        await untilLetGo(server, config, out.note);
        const asked = await carriedOver(server, { ...found, config }, workflow, out.note);
        const again = { ...asked, limits: { ...asked.limits, ...limits } };
        // As the ledger has it, and what is asked beyond that: so the workflow knows what there is to save.
        const begins = newStudy(again.limits, again.waiting);
        const launched = await launchStudy(server, { ...found, config }, begins);
        const { link } = launched;
        const where = link === null ? '' : `: ${link}`;
        const study = { ...launched.config, ...again };
        out.answer({ study, link }, `study ${config.tag} goes on from its ledger${where}`);
        return;
      }
      if (Object.values(change).some((value) => value !== undefined)) throw stillRuns(config.tag);
      if (Object.keys(limits).length > 0) await request(server.client, config, 'adjustBudget', limits);
      const status = await request(server.client, config, 'resume');
      out.answer(status, `${status.tag} is ${phaseText({ study: status })}\n${status.line}`);
    });
  });
}

/**
 * A study that was terminated leaves its experiment to end by itself, and its name is taken so long. The one before may be
 * recorded, and still tidy up.
 * @throws CliError if that takes more than a minute
 */
async function untilLetGo(server: Connected, study: StudyConfig, say: (line: string) => void): Promise<void> {
  const next = (await readLedger(new Git(study.lab), study.tag)).length;
  for (const number of [next - 1, next]) {
    if (number >= 0) await untilClosed(server, study, number, say);
  }
}

async function untilClosed(
  { client }: Connected,
  study: StudyConfig,
  number: number,
  say: (line: string) => void,
): Promise<void> {
  const id = `${study.workflowId}/exp-${experimentName(number)}`;
  const end = performance.now() + LET_GO_MS;
  for (let nth = 0; ; nth++) {
    const workflow = await describeWorkflow(client, id);
    if (workflow?.status.name !== 'RUNNING' || (await endIfFailing(client, study, workflow, say))) return;
    if (nth === 0) say(`experiment ${number} of the ended workflow has not ended yet: waiting for it`);
    if (performance.now() > end) {
      const activity = await pendingActivity(client, workflow);
      const why = activity?.lastFailure == null ? '' : ` (${activity.name}: ${activity.lastFailure})`;
      throw new CliError(
        'conflict',
        `the workflow ${id} still runs, ${LET_GO_MS / 1000} s after its study's has ended${why}`,
        `see what it waits for in the Temporal UI, or terminate it there; then resume again`,
      );
    }
    await sleep(500);
  }
}

/** A workflow carries its study's settings with it. */
const stillRuns = (tag: string): CliError =>
  new CliError(
    'conflict',
    `study ${tag} runs, with the researcher that it began with`,
    `stop it first: \`npx autoresearch stop ${tag}\`, then resume it so`,
  );
