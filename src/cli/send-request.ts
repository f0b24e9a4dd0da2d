/** Sends a request to a running study, and prints where the study stands afterwards. */
import type { StudyStatus } from '../domain/status';
import type { Output } from './output';
import { waitingText } from '../domain/waiting';
import { phaseText, spentText } from './render/status';
import { withServer, type Live } from '../studies/with-server';
import { findStudy, type StudyChoice } from '../studies/find-study';

type RequestName = Parameters<Live['request']>[2];

export async function sendRequest(
  out: Output,
  choice: StudyChoice,
  name: RequestName,
  argument?: unknown,
): Promise<void> {
  const { config } = await findStudy(choice);
  const status = await withServer(async ({ client }, live) =>
    live.request(client, await live.ownStudy(client, config), name, argument),
  );
  out.answer(
    status,
    [`${status.tag} is ${phaseText({ study: status })}`, status.line, ...outcome(name, status)].join('\n'),
  );
}

/** What the study holds now, so that people see that their request arrived. */
function outcome(name: RequestName, status: StudyStatus): string[] {
  if (name === 'adjustBudget') return [`budget   ${spentText(status)}`];
  return name === 'hint' || name === 'idea' ? [`waiting  ${waitingText(status)}`] : [];
}
