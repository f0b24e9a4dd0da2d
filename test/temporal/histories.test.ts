import { studyHistories, type RunHistory } from '../../src/temporal/histories';
import { end, openStage, paused, World, type Stage } from '../workflows/world';

let stage: Stage;
const world = new World();

beforeAll(async () => {
  stage = await openStage(() => world);
});
afterAll(() => stage.stop(), 60_000);

async function collect(workflowId: string): Promise<RunHistory[]> {
  const found: RunHistory[] = [];
  for await (const run of studyHistories(stage.environment.client, workflowId)) found.push(run);
  return found;
}

test('a study that was reset in the UI yields each run once, with its own history', async () => {
  const study = await stage.start({ limits: { experiments: 1 } });
  await paused(study);
  const { workflowId } = study.handle;
  const { client } = stage.environment;
  const execution = { workflowId, runId: study.handle.firstExecutionRunId };
  const { events } = await study.handle.fetchHistory();
  const completed = events?.find((event) => event.workflowTaskCompletedEventAttributes)?.eventId;
  const { runId: again } = await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: execution,
    workflowTaskFinishEventId: completed!,
    requestId: 'again',
    reason: 'a test',
  });
  const reset = { handle: client.workflow.getHandle(workflowId) };
  await paused(reset);
  await end(reset);
  const studies = (await collect(workflowId)).filter((run) => run.workflowId === workflowId);
  expect(studies.map(({ runId }) => runId).toSorted()).toEqual([execution.runId, again].toSorted());
  for (const { runId, history } of studies) {
    expect(history).toEqual(await client.workflow.getHandle(workflowId, runId).fetchHistory());
  }
});

test('an unknown study yields nothing', async () => {
  expect(await collect('study-never')).toEqual([]);
});
