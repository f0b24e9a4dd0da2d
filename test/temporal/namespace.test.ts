/** A server with fewer permissions, faked with a real server's answers. */
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

test('missing permissions to raise or register become warnings', async () => {
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
    expect.stringContaining('AutoresearchStudy of namespace research has the wrong type'),
    expect.stringContaining('retention stays at 7 days'),
    expect.stringContaining(
      'AutoresearchResearcher, AutoresearchPhase, AutoresearchVerdict are not registered',
    ),
  ]);
});

test('a namespace that cannot be inspected is a warning with the attributes that it needs', async () => {
  const services = { describeNamespace: denied, listWorkflowExecutions: () => Promise.resolve({}) };
  const connected = foreign(services, { listSearchAttributes: denied });
  expect(await prepareNamespace(connected, false)).toEqual([
    expect.stringMatching(
      /cannot inspect namespace .*AutoresearchStudy \(keyword\).*AutoresearchPhase \(keyword\).*AutoresearchScore \(double\)/u,
    ),
  ]);
});

test('creates a namespace only on request, and reports a refusal', async () => {
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
    message: expect.stringContaining('does not permit creating namespace research'),
  });
  expect(registered).toHaveLength(1);
});

test('a namespace that denies access is an error with what to check', async () => {
  const services = { describeNamespace: denied, listWorkflowExecutions: denied };
  await expect(prepareNamespace(foreign(services, {}), false)).rejects.toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringMatching(/denies access to namespace research: .*unauthorized/u),
    todo: expect.stringContaining('TEMPORAL_API_KEY'),
  });
});

test('a server failure is an error, not a warning', async () => {
  await expect(prepareNamespace(foreign({ describeNamespace: broken }, {}), false)).rejects.toThrow('gone');
});
