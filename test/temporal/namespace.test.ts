/** A server not ours, where less is allowed: the answers are as a real one gives them, without needing one. */
import { ServiceError } from '@temporalio/client';
import type { Connected } from '../../src/temporal/connection';
import { prepareNamespace } from '../../src/temporal/namespace';

const broken = (): Promise<never> => Promise.reject(new ServiceError('gone'));
const absent = (): Promise<never> => Promise.reject(grpcError(5, 'Namespace research is not found.'));
const denied = (): Promise<never> => Promise.reject(grpcError(7, 'PERMISSION_DENIED: Request unauthorized.'));

function grpcError(code: number, message: string): Error {
  return Object.assign(new Error(message), { code, details: message, metadata: {} });
}

const described =
  (seconds: number): (() => Promise<unknown>) =>
  () =>
    Promise.resolve({ config: { workflowExecutionRetentionTtl: { seconds } } });

function foreign(workflowService: object, operatorService: object): Connected {
  const server = { address: 'prod:7233', namespace: 'research', options: {}, ui: null, ours: false };
  return Object.assign(Object.create(null), server, { connection: { workflowService, operatorService } });
}

test('what we may not raise or register becomes warnings', async () => {
  const connected = foreign(
    { describeNamespace: described(7 * 86_400), updateNamespace: denied },
    {
      listSearchAttributes: () =>
        Promise.resolve({ customAttributes: { AutoresearchScore: 4, AutoresearchStudy: 1 } }),
      addSearchAttributes: denied,
    },
  );
  const warnings = await prepareNamespace(connected, false);
  expect(warnings).toEqual([
    expect.stringContaining('AutoresearchStudy of namespace research has another type'),
    expect.stringContaining('retention stays at 7 days'),
    expect.stringContaining(
      'AutoresearchResearcher, AutoresearchPhase, AutoresearchVerdict are not registered',
    ),
  ]);
});

test('a namespace that we may not even look at is a warning that names what it needs', async () => {
  const services = { describeNamespace: denied, listWorkflowExecutions: () => Promise.resolve({}) };
  const connected = foreign(services, { listSearchAttributes: denied });
  expect(await prepareNamespace(connected, false)).toEqual([
    expect.stringMatching(
      /may not be looked at .*AutoresearchStudy \(keyword\).*AutoresearchPhase \(keyword\).*AutoresearchScore \(double\)/u,
    ),
  ]);
});

test('a namespace is created only when that is asked for, and a server that refuses is told', async () => {
  const registered: object[] = [];
  const services = {
    describeNamespace: absent,
    registerNamespace: (request: object) => (registered.push(request), denied()),
  };
  await expect(prepareNamespace(foreign(services, {}), false)).rejects.toMatchObject({
    name: 'ServerUnavailable',
    todo: expect.stringContaining('--create-namespace'),
  });
  expect(registered).toEqual([]);
  await expect(prepareNamespace(foreign(services, {}), true)).rejects.toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringContaining('does not let us create namespace research'),
  });
  expect(registered).toHaveLength(1);
});

test('a namespace that does not let us in at all is told, with what to check', async () => {
  const services = { describeNamespace: denied, listWorkflowExecutions: denied };
  await expect(prepareNamespace(foreign(services, {}), false)).rejects.toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringMatching(/does not let us into namespace research: .*unauthorized/u),
    todo: expect.stringContaining('TEMPORAL_API_KEY'),
  });
});

test('a server that breaks down meanwhile is no warning', async () => {
  await expect(prepareNamespace(foreign({ describeNamespace: broken }, {}), false)).rejects.toThrow('gone');
});
