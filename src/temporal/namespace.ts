/** Readies a namespace for studies: history kept long enough, and the search attributes registered. */
import { isGrpcServiceError } from '@temporalio/client';
import type { SearchAttributeType } from '@temporalio/common';
import { msToTs } from '@temporalio/common/lib/time';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServerUnavailable, type Connected } from './connection';
import { SEARCH_ATTRIBUTES } from './search-attributes';

/** Closed workflows are gone after this. Git holds the record; this is for looking things up in the UI. */
export const RETENTION_DAYS = 90;
const DAY_SECONDS = 86_400;
const RETENTION = msToTs(RETENTION_DAYS * DAY_SECONDS * 1000);
/** New namespaces and attributes reach the server's caches a little later. */
const USABLE_MS = 30_000;

/** temporal.api.enums.v1.IndexedValueType, for the types that we use. */
const TYPES: Partial<Record<SearchAttributeType, number>> = { KEYWORD: 2, DOUBLE: 4 };
/** gRPC's status codes that tell us something. */
const INVALID_ARGUMENT = new Set<number>([3]);
const NOT_FOUND = new Set<number>([5]);

/** What a namespace has. */
interface NamespaceState {
  retentionDays: number;
  /** Search attributes of ours that are not registered, or with another type. */
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
      `create it (\`npx autoresearch up --create-namespace\`, where you may) or name another in TEMPORAL_NAMESPACE`,
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
 * Raises the retention and registers the search attributes, as far as they are not there and we may.
 * @param create also the namespace; on a server not ours it may be another's, mistyped
 * @returns what could not be done, a line each
 * @throws ServerUnavailable if there is no such namespace, and it is not to be created or we may not
 */
export async function prepareNamespace(connected: Connected, create: boolean): Promise<string[]> {
  const { connection, namespace } = connected;
  if (create) await createNamespace(connected);
  const found = await inspectNamespace(connected).catch((error: unknown) => {
    // Not everyone may look: Temporal Cloud, for one, tells its search attributes elsewhere.
    if (connected.ours || !isGrpcServiceError(error)) throw error;
    return checkLetIn(connected).then(() => error.details);
  });
  if (typeof found === 'string') {
    const names = SEARCH_ATTRIBUTES.map(({ name, type }) => `${name} (${type.toLowerCase()})`).join(', ');
    return [
      `namespace ${namespace} may not be looked at (${found}): it needs the search attributes ${names}`,
    ];
  }
  const { retentionDays, missing, mistyped } = found;
  const warnings = mistyped.map(
    (name) => `search attribute ${name} of namespace ${namespace} has another type: studies will not start`,
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
            'ask for them, for studies will not start without',
        ),
      );
  }
  return warnings;
}

/** Studies are listed, whatever else is not allowed. */
async function checkLetIn({ connection, namespace, address }: Connected): Promise<void> {
  await connection.workflowService
    .listWorkflowExecutions({ namespace, pageSize: 1 })
    .catch((error: unknown) => {
      if (!isGrpcServiceError(error)) throw error;
      throw new ServerUnavailable(
        `the Temporal server at ${address} does not let us into namespace ${namespace}: ${error.details}`,
        'check TEMPORAL_API_KEY (or the profile that is used) and what it may do, and TEMPORAL_NAMESPACE',
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
      `the Temporal server does not let us create namespace ${namespace}: ${error.details}`,
      'have it created, with a retention of 30 days or more, or name another in TEMPORAL_NAMESPACE',
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

/** Repeats a request for as long as the server's caches do not know yet what it is about. */
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
