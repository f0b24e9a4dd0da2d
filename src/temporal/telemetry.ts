/**
 * Metrics and logs of the worker. AUTORESEARCH_PROMETHEUS is the address of a Prometheus endpoint (`127.0.0.1:9464`, path /metrics);
 * AUTORESEARCH_OTLP or OTEL_EXPORTER_OTLP_ENDPOINT is the URL of an OpenTelemetry collector; AUTORESEARCH_LOG=json makes each log line
 * a JSON object.
 */
import { formatWithOptions } from 'node:util';
import { MissingPrerequisite } from '../process/missing-prerequisite';
import type * as Sdk from '@temporalio/worker';
import type { DefaultLogger as Logger, LogEntry, RuntimeOptions } from '@temporalio/worker';

type Environment = Record<string, string | undefined>;
type Metrics = NonNullable<NonNullable<RuntimeOptions['telemetryOptions']>['metrics']>;

const PROMETHEUS = 'AUTORESEARCH_PROMETHEUS';
const OTLP = 'AUTORESEARCH_OTLP';
const LOG = 'AUTORESEARCH_LOG';
/** Metric names and bucket limits, in seconds and dollars. The SDK's own buckets end at a minute. */
const BUCKETS = {
  autoresearch_run_seconds: [10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200],
  autoresearch_lane_busy_seconds: [10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200],
  autoresearch_dollars: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
};
/** The SDK warns so about each device's worker, which has activities only, at each start. */
const NO_WORKFLOWS = 'No workflows registered, not polling for workflow tasks';

/** Installs the SDK's runtime with these settings: once per process, before any connection. @throws MissingPrerequisite */
export function installRuntime(environment: Environment = process.env): Logger {
  // Loaded here: `up` checks the settings without the SDK's native module.
  const { DefaultLogger, Runtime }: typeof Sdk = require('@temporalio/worker');
  const { json, metrics } = telemetry(environment);
  const logger = new DefaultLogger('INFO', (entry) => {
    if (entry.message === NO_WORKFLOWS) return;
    process.stderr.write(`${json ? jsonLine(entry) : textLine(entry)}\n`);
  });
  const logging = { console: { format: json ? ('json' as const) : ('compact' as const) } };
  try {
    Runtime.install({ logger, telemetryOptions: { logging, ...(metrics !== null && { metrics }) } });
  } catch (error) {
    if (metrics === null) throw error;
    throw new MissingPrerequisite(
      `the metrics exporter does not start: ${error instanceof Error ? error.message : String(error)}`,
      `choose a free address in ${PROMETHEUS}, or unset it`,
      { cause: error },
    );
  }
  return logger;
}

/** The settings of the environment. @throws MissingPrerequisite if they are invalid */
export function telemetry(environment: Environment): { json: boolean; metrics: Metrics | null } {
  const [address = '', collector = '', log = ''] = [PROMETHEUS, OTLP, LOG].map((name) => environment[name]);
  if (!['', 'text', 'json'].includes(log))
    throw new MissingPrerequisite(`${LOG}=${log} is not a log format`, 'set it to json or text, or unset it');
  if (address !== '' && collector !== '')
    throw new MissingPrerequisite(`${PROMETHEUS} and ${OTLP} are both set`, 'set one of them');
  const json = log === 'json';
  if (address !== '') return { json, metrics: prometheus(address) };
  const url = collector || (environment['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? '');
  return { json, metrics: url === '' ? null : openTelemetry(url, environment) };
}

function prometheus(bindAddress: string): Metrics {
  const port = /^(?:\d+(?:\.\d+){3}|\[[\d:a-f]+\]):(\d{1,5})$/iu.exec(bindAddress)?.[1];
  if (port === undefined || Number(port) > 65_535)
    throw new MissingPrerequisite(
      `${PROMETHEUS}=${bindAddress} is not an address and a port`,
      'set it to the address that Prometheus scrapes, such as 127.0.0.1:9464',
    );
  return {
    prometheus: {
      bindAddress,
      countersTotalSuffix: true,
      useSecondsForDurations: true,
      histogramBucketOverrides: BUCKETS,
    },
  };
}

function openTelemetry(url: string, environment: Environment): Metrics {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^(?:https?|grpcs?):$/u.test(parsed.protocol))
    throw new MissingPrerequisite(
      `the OpenTelemetry endpoint ${url} is not a URL`,
      `set ${OTLP} to the collector's URL, such as http://127.0.0.1:4317`,
    );
  const protocol = environment['OTEL_EXPORTER_OTLP_PROTOCOL'] ?? '';
  const http =
    protocol.startsWith('http') || parsed.port === '4318' || parsed.pathname.endsWith('/v1/metrics');
  return { otel: { url, http, useSecondsForDurations: true, histogramBucketOverrides: BUCKETS } };
}

/** The task token is long and names nothing that a reader knows. */
function fieldsOf({ meta }: LogEntry): Record<string, unknown> {
  const { taskToken: _, ...fields } = { ...meta } as Record<string, unknown>;
  return fields;
}

const timeOf = ({ timestampNanos }: LogEntry): string =>
  new Date(Number(timestampNanos / 1_000_000n)).toISOString();

function jsonLine(entry: LogEntry): string {
  const { level, message } = entry;
  return JSON.stringify({ time: timeOf(entry), level, message, ...fieldsOf(entry) }, plain);
}

function textLine(entry: LogEntry): string {
  const fields = fieldsOf(entry);
  const line = `${timeOf(entry)} [${entry.level}] ${entry.message}`;
  return Object.keys(fields).length === 0
    ? line
    : `${line} ${formatWithOptions({ breakLength: Infinity }, '%O', fields)}`;
}

/** Errors and large integers as JSON. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause } = value;
  return { name, message, stack, ...(cause !== undefined && { cause }) };
}
