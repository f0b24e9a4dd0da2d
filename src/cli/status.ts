/** `status`: where a study stands; with --follow, each change of it. */
import type { Command } from 'commander';
import { z } from 'zod';
import { handle, newCommand } from './command';
import { follow } from './follow';
import { answerList } from './list';
import { takeSnapshot } from '../studies/take-snapshot';
import { statusText } from './render/status';
import { findAllShown, studyOptions, takesStudy } from '../studies/find-study';

const schema = z.object({ ...studyOptions, follow: z.boolean() });

export function statusCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'status',
      examples: ['npx autoresearch status', 'npx autoresearch status nov21 --follow'],
    }),
  ).option(
    '-f, --follow',
    'show each change until the study ends or Ctrl-C; with --json one document a line',
    false,
  );
  return handle(command, schema, async (out, { follow: follows, ...choice }) => {
    const [study, ...more] = await findAllShown(choice);
    if (more.length > 0) {
      const studies = [study, ...more].map((each) => ({ study: each, runs: choice.tag === undefined }));
      return answerList(out, studies);
    }
    if (follows) {
      await follow(study, ({ study: { phase } }) => phase === 'stopped', out.json);
      if (out.json) return;
    }
    const snapshot = await takeSnapshot(study);
    if (follows) out.note('');
    out.answer(snapshot, statusText(snapshot));
  });
}
