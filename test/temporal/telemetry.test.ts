import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { activityMetrics } from '../../src/activities/metrics';
import { findTemporal } from '../../src/host/temporal-binary';
import { installRuntime, telemetry } from '../../src/temporal/telemetry';
import { freePort } from '../ports';

describe('settings', () => {
  test('without variables there are no metrics, and logs are text', () => {
    expect(telemetry({})).toEqual({ json: false, metrics: null });
  });

  test.each([
    [{ AUTORESEARCH_OTLP: 'http://127.0.0.1:4317' }, { url: 'http://127.0.0.1:4317', http: false }],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, { url: 'http://c:4318', http: true }],
    [
      { AUTORESEARCH_OTLP: 'https://c/x', OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' },
      { url: 'https://c/x', http: true },
    ],
  ])('OpenTelemetry: %j', (environment, otel) => {
    expect(telemetry(environment).metrics).toMatchObject({ otel });
  });

  test('an own address takes precedence over the general OpenTelemetry variable', () => {
    const both = { AUTORESEARCH_PROMETHEUS: '[::1]:9464', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4317' };
    expect(telemetry(both).metrics).toMatchObject({ prometheus: { bindAddress: '[::1]:9464' } });
  });

  test.each([
    [{ AUTORESEARCH_PROMETHEUS: '9464' }, /AUTORESEARCH_PROMETHEUS=9464 is not an address and a port/u],
    [{ AUTORESEARCH_PROMETHEUS: '127.0.0.1:99999' }, /not an address and a port/u],
    [{ AUTORESEARCH_PROMETHEUS: '127.0.0.1:1', AUTORESEARCH_OTLP: 'http://c' }, /both set/u],
    [{ AUTORESEARCH_OTLP: 'collector' }, /collector is not a URL/u],
    [{ AUTORESEARCH_LOG: 'xml' }, /AUTORESEARCH_LOG=xml/u],
  ])('refuses %j', (environment, message) => {
    expect(() => telemetry(environment)).toThrow(message);
  });
});

const record = async (): Promise<unknown> => ({ summary: { verdict: 'keep' } });

test('a worker exports its metrics to Prometheus and logs JSON lines', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const lines: string[] = [];
  const write = jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  installRuntime({ AUTORESEARCH_PROMETHEUS: address, AUTORESEARCH_LOG: 'json' });
  const temporal = (await findTemporal())!;
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'existing-path', path: temporal.path } },
  });
  try {
    let trained = 0;
    const train = async (): Promise<unknown> => {
      trained++;
      if (trained === 1) throw new Error('the host failed');
      return { wallSeconds: 321 };
    };
    const worker = await Worker.create({
      connection: environment.nativeConnection,
      taskQueue: 'gpu-host-0',
      workflowBundle: await bundleWorkflowCode({
        workflowsPath: require.resolve('./metered-workflow'),
        logger: new DefaultLogger('ERROR'),
      }),
      activities: { train, record },
      interceptors: { activity: [activityMetrics(Runtime.instance().metricMeter)] },
    });
    await worker.runUntil(
      environment.client.workflow.execute('metered', { taskQueue: 'gpu-host-0', workflowId: 'metered' }),
    );
    const text = await (await fetch(`http://${address}/metrics`)).text();
    const value = (name: string, ...labels: string[]): number => {
      const line = text
        .split('\n')
        .find((each) => each.startsWith(`${name}{`) && labels.every((label) => each.includes(label)));
      return Number(line?.split(' ').at(-1));
    };
    expect(value('autoresearch_experiments_total', 'verdict="keep"', 'study="nov21"')).toBe(1);
    expect(value('autoresearch_activity_retries_total', 'activity="train"')).toBe(1);
    expect(value('autoresearch_run_seconds_sum', 'lane="gpu-host-0"')).toBe(321);
    expect(value('autoresearch_run_seconds_bucket', 'le="600"')).toBe(1);
    expect(value('autoresearch_lane_busy_seconds_count', 'activity="train"')).toBe(2);
    expect(value('autoresearch_dollars_sum', 'researcher="tpe"')).toBe(0.25);
    expect(text).toContain('temporal_workflow_completed_total{');
  } finally {
    await environment.teardown();
    write.mockRestore();
  }
  // Other test files of this process may write text to stderr too.
  const logged = lines
    .join('')
    .split('\n')
    .filter((line) => line.startsWith('{') || line.includes('Activity failed'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(logged).toContainEqual(
    expect.objectContaining({
      level: 'WARN',
      message: 'Activity failed',
      activityType: 'train',
      error: expect.objectContaining({ message: 'the host failed' }),
    }),
  );
  expect(logged.filter((line) => 'taskToken' in line)).toEqual([]);
});
