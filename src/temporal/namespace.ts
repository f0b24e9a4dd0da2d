/** Prepares a namespace for studies: sets the retention and registers the search attributes. */
import { isGrpcServiceError } from '@temporalio/client';
import type { SearchAttributeType } from '@temporalio/common';
import { google } from '@temporalio/proto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServerUnavailable, type Connected } from './connection';
import { SEARCH_ATTRIBUTES } from './search-attributes';

/** The server deletes closed workflows after this. Git has the record; the UI has the details until then. */
export const RETENTION_DAYS = 90;
const DAY_SECONDS = 86_400;
const RETENTION = google.protobuf.Duration.fromObject({ seconds: RETENTION_DAYS * DAY_SECONDS });
/** The server's caches learn of new namespaces and attributes with a delay. */
const USABLE_MS = 30_000;

/** temporal.api.enums.v1.IndexedValueType of the types that we use. */
const TYPES: Partial<Record<SearchAttributeType, number>> = { KEYWORD: 2, DOUBLE: 4 };
/** gRPC status codes. */
const INVALID_ARGUMENT = new Set<number>([3]);
const NOT_FOUND = new Set<number>([5]);

/** What a namespace has of what studies need. */
interface NamespaceState {
  retentionDays: number;
  /** Our search attributes that are not registered, or registered with another type. */
  missing: string[];
  mistyped: string[];
}

/** @throws ServerUnavailable if there is no such namespace */
export async function inspectNamespace(connected: Connected): Promise<NamespaceState> {
  const { connection, namespace } = connected;
  const found = await ignore(NOT_FOUND, connection.workflowService.describeNamespace({ namespace }));
  if (found === null) {
    throw new ServerUnavailable(
      `the Temporal server at ${connected.address} has no namespace ${namespace}`,
      `create it (\`npx autoresearch up --create-namespace\`, with permission to) or set TEMPORAL_NAMESPACE to another`,
    );
  }
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const registered = customAttributes ?? {};
  const has = (name: string): boolean => Object.hasOwn(registered, name);
  return {
    retentionDays: Number(found.config?.workflowExecutionRetentionTtl?.seconds ?? 0) / DAY_SECONDS,
    missing: SEARCH_ATTRIBUTES.filter(({ name }) => !has(name)).map(({ name }) => name),
    mistyped: SEARCH_ATTRIBUTES.filter(
      ({ name, type }) => has(name) && Number(registered[name]) !== typeOf(type),
    ).map(({ name }) => name),
  };
}

/**
 * Raises the retention and registers missing search attributes, if permitted.
 * @param create also creates the namespace; off by default on the user's server, where the name may be mistyped
 * @returns warnings: a line for each step that failed
 * @throws ServerUnavailable if the namespace does not exist and may not be created
 */
export async function prepareNamespace(connected: Connected, create: boolean): Promise<string[]> {
  const { connection, namespace } = connected;
  if (create) await createNamespace(connected);
  const found = await inspectNamespace(connected).catch((error: unknown) => {
    // Not every server permits this: Temporal Cloud lists search attributes elsewhere.
    if (connected.ours || !isGrpcServiceError(error)) throw error;
    return checkLetIn(connected).then(() => error.details);
  });
  if (typeof found === 'string') {
    const names = SEARCH_ATTRIBUTES.map(({ name, type }) => `${name} (${type.toLowerCase()})`).join(', ');
    return [`cannot inspect namespace ${namespace} (${found}): it needs the search attributes ${names}`];
  }
  const { retentionDays, missing, mistyped } = found;
  const warnings = mistyped.map(
    (name) => `search attribute ${name} of namespace ${namespace} has the wrong type: studies cannot start`,
  );
  if (retentionDays < RETENTION_DAYS) {
    const config = { workflowExecutionRetentionTtl: RETENTION };
    await connection.workflowService
      .updateNamespace({ namespace, config })
      .catch((error: Error) => warnings.push(`retention stays at ${retentionDays} days: ${error.message}`));
  }
  if (missing.length > 0) {
    const searchAttributes = Object.fromEntries(
      SEARCH_ATTRIBUTES.filter(({ name }) => missing.includes(name)).map(({ name, type }) => [
        name,
        typeOf(type),
      ]),
    );
    await connection.operatorService
      .addSearchAttributes({ namespace, searchAttributes })
      .then(() => untilUsable(connected))
      .catch((error: Error) =>
        warnings.push(
          `search attributes ${missing.join(', ')} are not registered (${error.message}): ` +
            'ask your administrator to register them; studies cannot start without them',
        ),
      );
  }
  return warnings;
}

/** Checks that we may list workflows, which every command needs. */
async function checkLetIn({ connection, namespace, address }: Connected): Promise<void> {
  await connection.workflowService
    .listWorkflowExecutions({ namespace, pageSize: 1 })
    .catch((error: unknown) => {
      if (!isGrpcServiceError(error)) throw error;
      throw new ServerUnavailable(
        `the Temporal server at ${address} denies access to namespace ${namespace}: ${error.details}`,
        'check TEMPORAL_NAMESPACE, and TEMPORAL_API_KEY (or the profile) and its permissions',
        { cause: error },
      );
    });
}

async function createNamespace({ connection, namespace }: Connected): Promise<void> {
  const found = await ignore(NOT_FOUND, connection.workflowService.describeNamespace({ namespace }));
  if (found !== null) return;
  const request = { namespace, workflowExecutionRetentionPeriod: RETENTION };
  await connection.workflowService.registerNamespace(request).catch((error: unknown) => {
    if (!isGrpcServiceError(error)) throw error;
    throw new ServerUnavailable(
      `the Temporal server does not permit creating namespace ${namespace}: ${error.details}`,
      'ask your administrator to create it, with a retention of 30 days or more, or set TEMPORAL_NAMESPACE to another',
      { cause: error },
    );
  });
  await untilAccepted(NOT_FOUND, () => connection.operatorService.listSearchAttributes({ namespace }));
}

async function untilUsable({ connection, namespace }: Connected): Promise<void> {
  const query = SEARCH_ATTRIBUTES.map(({ name }) => `${name} IS NOT NULL`).join(' AND ');
  await untilAccepted(INVALID_ARGUMENT, () =>
    connection.workflowService.listWorkflowExecutions({ namespace, query, pageSize: 1 }),
  );
}

/** Repeats a request until the server's caches know the new object. */
async function untilAccepted(refusal: ReadonlySet<number>, request: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + USABLE_MS;
  while ((await ignore(refusal, request())) === null) {
    if (performance.now() > end) throw new Error(`not usable after ${USABLE_MS / 1000} s`);
    await sleep(100);
  }
}

function typeOf(type: SearchAttributeType): number {
  const number = TYPES[type];
  if (number === undefined) throw new TypeError(`TYPES has no search attribute type ${type}`);
  return number;
}

async function ignore<T>(codes: ReadonlySet<number>, request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    if (isGrpcServiceError(error) && codes.has(error.code)) return null;
    throw error;
  }
}
