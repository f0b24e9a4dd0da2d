/** `stop`: the study's end, until `resume`. */
import type { Command } from 'commander';
import { z } from 'zod';
import { sendRequest } from './send-request';
import { handle, newCommand } from './command';
import { takeSnapshotOver } from '../studies/take-snapshot';
import { phaseText } from './render/status';
import { withServer } from '../studies/with-server';
import type * as StopNowModule from '../studies/stop-now';
import { findStudy, studyOptions, takesStudy } from '../studies/find-study';

const schema = z.object({ ...studyOptions, now: z.boolean() });

export function stopCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'stop',
      details:
        'Ends a study after its running experiment. With --now the run is killed within seconds and leaves no record: ' +
        'the same experiment, with the same seed, is the first after `resume`. A workflow that cannot take the message is terminated.',
      examples: ['npx autoresearch stop', 'npx autoresearch stop nov21 --now'],
    }),
  ).option('--now', 'do not wait for the running experiment', false);
  return handle(command, schema, async (out, { now, ...choice }) => {
    if (!now) return sendRequest(out, choice, 'stop', { now });
    const found = await findStudy(choice);
    const { study, problem } = await withServer(async (server, live) => {
      // Not at the top: `stop` alone does without the runner's part.
      const { stopNow }: typeof StopNowModule = require('../studies/stop-now');
      await stopNow(server.client, await live.ownStudy(server.client, found.config), out.note);
      return takeSnapshotOver(found, server, live);
    });
    const lines = [
      `${study.tag} is ${phaseText({ study })}`,
      study.line,
      ...(problem === null ? [] : [problem]),
    ];
    out.answer(study, lines.join('\n'));
  });
}
