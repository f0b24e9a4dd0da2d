/**
 * The environment variables that a worker's results depend on: keys, addresses and proxies. A detached worker has those of the shell that
 * started it, so commands compare their own with it. They compare HMACs under a random key of this host, which reveal no value.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../process/error-code';
import { stateRoot } from '../process/paths';

/**
 * Messages API, agents, proxies, certificates, and the worker's own settings. Temporal's own variables are compared as
 * credentials.
 */
const NAMES =
  /^(?!TEMPORAL_)(\w+_(API_KEY|AUTH_TOKEN|OAUTH_TOKEN|BASE_URL)|(?:https?|all|no)_proxy|(?:HTTPS?|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|AUTORESEARCH_(PROMETHEUS|OTLP|LOG|(WORKFLOW|ACTIVITY)_(SLOTS|POLLERS)|WORKFLOW_CACHE)|OTEL_EXPORTER_OTLP_\w+)$/u;
const KEY_BYTES = 32;
const DIGITS = 16;

const keyFile = (): string => join(stateRoot(), 'environment.key');

type Environment = Record<string, string | undefined>;

/** The non-empty variables among them, each with the hash of its value. */
export function hashedVariables(environment: Environment): Record<string, string> {
  const variables = Object.entries(set(environment));
  if (variables.length === 0) return {};
  const key = hostKey();
  return Object.fromEntries(
    variables.map(([name, value]) => [
      name,
      createHmac('sha256', key).update(`${name}\0${value}`).digest('hex').slice(0, DIGITS),
    ]),
  );
}

/** Those of a running worker, for its successor; empty if the system hides them. */
export function variablesOf(pid: number): Record<string, string> {
  try {
    const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return set(Object.fromEntries(lines.map((line) => line.split(/=(.*)/su, 2))));
  } catch {
    return {};
  }
}

function set(environment: Environment): Record<string, string> {
  const found = Object.entries(environment).flatMap(([name, value = '']) =>
    NAMES.test(name) && value !== '' ? [[name, value] as const] : [],
  );
  return Object.fromEntries(found);
}

/** Created at first use. */
function hostKey(): Buffer {
  const found = readKey();
  if (found !== null) return found;
  mkdirSync(stateRoot(), { recursive: true });
  const temporary = `${keyFile()}.${process.pid}.tmp`;
  writeFileSync(temporary, randomBytes(KEY_BYTES), { mode: 0o600 });
  try {
    linkSync(temporary, keyFile());
  } catch (error) {
    // Another process was faster: use its key.
    if (errorCode(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
  return readFileSync(keyFile());
}

/** Null if there is none. Removes a damaged one. */
function readKey(): Buffer | null {
  try {
    const key = readFileSync(keyFile());
    if (key.length === KEY_BYTES) return key;
    rmSync(keyFile());
    return null;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
