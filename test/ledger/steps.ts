/** What child processes of these tests do. */
import { createApply } from '../../src/activities/apply';
import type { ApplyInput, RecordInput } from '../../src/activities/interface';
import { createRecord } from '../../src/activities/record';
import type { ExperimentRecord } from '../../src/domain/experiment';
import type { StudyConfig } from '../../src/domain/study';
import { storeProposal, type Proposal } from '../../src/ledger/proposals';
import { Git } from '../../src/ledger/git';
import { appendRecord, openLedger } from '../../src/ledger/ledger';

export async function append(study: StudyConfig, records: ExperimentRecord[]): Promise<void> {
  for (const record of records) await appendRecord(new Git(study.lab), study, record);
}

/** All that an experiment writes into git, from the study's beginning on. */
export async function experiment(
  proposal: Proposal,
  change: Omit<ApplyInput, 'proposal'>,
  end: Omit<RecordInput, 'commit' | 'proposals'>,
): Promise<void> {
  const git = new Git(end.study.lab);
  await openLedger(git, end.study);
  const blob = await storeProposal(git, end.study.tag, end.number, proposal);
  const { commit } = await createApply()({ ...change, proposal: blob });
  await createRecord({ cleanUp: () => Promise.resolve() })({ ...end, commit, proposals: [blob] });
}
