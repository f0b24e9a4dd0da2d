/** However a study ends, what people have said and no proposal has heard is kept for the next time. */
import { EventEmitter, once } from 'node:events';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { MAX_WAITING } from '../../src/domain/study';
import * as messages from '../../src/workflows/messages';
import { inPhase, openStage, until, World, type Stage } from './world';

let stage: Stage;
let world: World;

beforeAll(async () => {
  stage = await openStage(() => world);
});
afterAll(() => stage.stop(), 300_000);
beforeEach(() => {
  world = new World();
});

const savedHints = () => world.saved.map(({ waiting }) => waiting.hints);

test('cancelled in the UI while an experiment runs', async () => {
  world.hangAt(1);
  const study = await stage.start();
  await until(() => world.trained.includes(1), Boolean);
  await study.handle.signal('hint', 'for experiment 2');
  await study.handle.cancel();
  await expect(study.handle.result()).rejects.toThrow('cancelled');
  expect(world.cancelled).toEqual([1]);
  expect(savedHints()).toEqual([['for experiment 2']]);
});

test('cancelled in the UI while it is paused', async () => {
  const study = await stage.start({ limits: { experiments: 1 } });
  await inPhase(study, 'paused');
  await study.handle.signal('hint', 'for experiment 1');
  await study.handle.cancel();
  await expect(study.handle.result()).rejects.toThrow('cancelled');
  expect(savedHints()).toEqual([['for experiment 1']]);
});

test('what is said while the rest is being saved', async () => {
  const gate = new EventEmitter();
  world.activities.save = async (input) => {
    world.saved.push(input);
    if (world.saved.length === 1) await once(gate, 'open');
  };
  const study = await stage.start({ limits: { experiments: 1 } });
  await inPhase(study, 'paused');
  await study.handle.signal('hint', 'early');
  await study.handle.signal('stop');
  await until(() => world.saved.length, Boolean);
  await study.handle.executeUpdate(messages.hintUpdate, { args: ['at the last moment'] });
  gate.emit('open');
  await study.handle.result();
  expect(savedHints()).toEqual([['early'], ['early', 'at the last moment']]);
});

test('one experiment cancelled in the UI is not the study: that waits for a person', async () => {
  world.hangAt(1);
  const study = await stage.start({ limits: { experiments: 2 } });
  await until(() => world.trained.includes(1), Boolean);
  await stage.environment.client.workflow.getHandle(`${study.config.workflowId}/exp-0001`).cancel();
  expect((await inPhase(study, 'paused')).reason).toMatch(
    /^experiment 1 could not be done: it was cancelled; /u,
  );
  expect(world.cancelled).toEqual([1]);
  world.trainingOf = () => Promise.resolve();
  await study.handle.executeUpdate(messages.resumeUpdate);
  await until(
    () => study.handle.query(messages.statusQuery),
    ({ spent }) => spent.experiments === 2,
  );
  expect(world.records.map(({ number }) => number)).toEqual([0, 1]);
  await study.handle.signal('stop');
});

test('a hint or an idea for which there is no place is refused, not accepted and dropped', async () => {
  const study = await stage.start({ limits: { experiments: 1 } });
  await inPhase(study, 'paused');
  for (let nth = 1; nth <= MAX_WAITING; nth++) await study.handle.signal('hint', `hint ${nth}`);
  const tooMany = study.handle.executeUpdate(messages.hintUpdate, { args: ['one more'] });
  const refusal = await tooMany.then(
    () => null,
    (error: unknown) => error,
  );
  expect(refusal).toBeInstanceOf(WorkflowUpdateFailedError);
  expect((refusal as Error).cause).toMatchObject({ message: expect.stringContaining('wait already') });
  const answer = await study.handle.executeUpdate(messages.ideaUpdate, { args: ['there is place for it'] });
  expect(answer.waiting).toMatchObject({ ideas: ['there is place for it'] });
  await study.handle.signal('stop');
});
