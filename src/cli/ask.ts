/** Commands that ask a running study for something: all say where it stands afterwards. */
import type { Output } from './output';
import { phaseText } from './render/status';
import { withServer, type Live } from './server';
import { findStudy, type StudyChoice } from './study-ref';

type RequestName = Parameters<Live['request']>[2];

export async function ask(
  out: Output,
  choice: StudyChoice,
  name: RequestName,
  argument?: unknown,
): Promise<void> {
  const { config } = await findStudy(choice);
  const status = await withServer(({ client }, live) => live.request(client, config, name, argument));
  out.answer(status, `${status.tag} is ${phaseText({ study: status })}\n${status.line}`);
}
