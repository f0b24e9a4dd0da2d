/** A workflow that runs one training and records it. */
import { proxyActivities } from '@temporalio/workflow';

interface Activities {
  train(): Promise<unknown>;
  record(input: unknown): Promise<unknown>;
}

const { train, record } = proxyActivities<Activities>({
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '10ms' },
});

export async function metered(): Promise<void> {
  await train();
  await record({ study: { tag: 'nov21', researcher: 'tpe' }, dollars: 0.25 });
}
