/** Maps errors of the Messages API to what the study does: wait and retry, or pause until a person acts. */
import { APIConnectionError, APIError } from '@anthropic-ai/sdk';
import { ApplicationFailure } from '@temporalio/common';
import { NoProposal } from '../researcher';
import { redact } from '../redact';
import type { UnreadableAnswer } from './stream';

/** The question is longer than the model takes: ask again with a shorter one. */
export class TooLong extends Error {
  override name = 'TooLong';
}

/** The answer is not one of the Messages API but, for instance, a proxy's web page. */
export class NoStream extends Error {
  override name = 'NoStream';
}

/** Characters of a message of the API or a proxy that a failure carries through Temporal. */
const SAID_LENGTH = 500;
const BASE_URL = 'if ANTHROPIC_BASE_URL names a proxy, check that it speaks the Messages API';

/** Bounds of a wait, whatever the API asks for. */
const SHORTEST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15 * 60_000;
/** A rate limit recovers within a minute; the API usually says when. */
const RATE_LIMIT_WAIT_MS = 30_000;

const BUSY_STATUS = new Set([408, 409, 429]);
const BUSY_TYPE = new Set<string | null>([
  'rate_limit_error',
  'overloaded_error',
  'api_error',
  'timeout_error',
]);

/** Settings of a study change when it resumes, so it must stop first. */
export const STOP = '`npx autoresearch stop`';

/** The filter withholds some harmless answers at random: anthropics/claude-code#28205, #30485, #43487, #51226. */
const FILTERED = /content filtering/i;
const NO_MONEY = /credit balance|billing|usage limits|spend limit/i;

/** The error to throw for an error of the SDK, with keys redacted. */
export function failureOf(error: unknown, model: string): Error {
  if (!(error instanceof APIError)) return unreachable(messageOf(error));
  const { status, type } = error;
  const said = redact(apiMessage(error));
  // Without a status: the connection failed, or the answer broke off.
  if (error instanceof APIConnectionError) return unreachable(said);
  if (status === 413 || (status === 400 && /prompt is too long|context limit/i.test(said)))
    return new TooLong(said);
  if (status === 402 || type === 'billing_error' || NO_MONEY.test(said)) {
    return lasting(
      'ModelBilling',
      `the API refuses to bill this key: ${said}`,
      "check the account's credit and limits",
    );
  }
  if (status === 401) {
    return lasting(
      'ModelKey',
      `the API rejects the key: ${said}`,
      'correct ANTHROPIC_API_KEY, `npx autoresearch up`',
    );
  }
  if (status === 403) {
    return lasting(
      'ModelAccess',
      `the key may not use ${model}: ${said}`,
      'allow this model for the key, or use another key',
    );
  }
  if (status === 404) {
    return lasting('ModelUnknown', `the API has no model ${model}: ${said}`, STOP, 'resume --model NAME');
  }
  if (status === undefined ? BUSY_TYPE.has(type) : status >= 500 || BUSY_STATUS.has(status)) {
    return busy(error, said);
  }
  // Some models give shorter answers at most than the study asks for.
  const setting = /max_tokens/.test(said) ? '--answer-tokens N' : '--model NAME';
  return lasting('ModelRequest', `the API rejected the question: ${said}`, STOP, `resume ${setting}`);
}

/** The API's message when its content filter withheld the answer; null for other errors. */
export function filterOf(error: unknown): string | null {
  const said = error instanceof APIError ? redact(apiMessage(error)) : '';
  return FILTERED.test(said) ? said : null;
}

/** The SDK could not make a request, because of a setting in the worker's environment. */
export function unaskable(error: unknown): ApplicationFailure {
  // A value in the message, such as a header's, may be a secret.
  const said = redact(messageOf(error)).replace(/".*"/s, '"…"');
  return lasting(
    'ModelSetup',
    `the worker's environment does not allow a request: ${said}`,
    'correct its ANTHROPIC_… variables, `npx autoresearch up`',
  );
}

/** The question was sent, but no answer came. It may have been charged, so it is retried at long intervals. */
export function unanswered(error: unknown): ApplicationFailure {
  const todo = error instanceof NoStream ? `; ${BASE_URL}` : '';
  return ApplicationFailure.create({
    type: UNANSWERED,
    message: `the API did not answer: ${redact(messageOf(error))}${todo}`,
  });
}

export const UNANSWERED = 'ModelUnanswered';

/** The next answer may be as unreadable, so this counts as an answer without a proposal. */
export const unreadable = ({ message }: UnreadableAnswer): NoProposal =>
  new NoProposal(`the API's answer cannot be read: ${message}; ${BASE_URL}`);

/** The stream was silent for too long. */
export const stalled = (what: string): ApplicationFailure => unreachable(what);

/**
 * A failure that is not retried: the study pauses until a person acts.
 * @param message what happened
 * @param todo what to do first
 * @param then the command of `npx autoresearch` that continues the study
 */
export function lasting(type: string, message: string, todo: string, then = 'resume'): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message: `${message}; ${todo}, then \`npx autoresearch ${then}\``,
    nonRetryable: true,
  });
}

function busy(error: APIError, said: string): ApplicationFailure {
  const wait = waitOf(error);
  const status = error.status === undefined ? '' : `${String(error.status)} `;
  return ApplicationFailure.create({
    type: 'ModelBusy',
    message: `the API asked to wait: ${status}${error.type ?? ''} ${said}`,
    ...(wait === null ? {} : { nextRetryDelay: wait }),
  });
}

function unreachable(said: string): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'ModelUnreachable',
    message: `the API gave no complete answer: ${redact(said)}`,
  });
}

/** Milliseconds until the next try; null leaves it to Temporal's backoff. */
function waitOf(error: APIError): number | null {
  const { headers } = error;
  const given = parseWait(headers?.get('retry-after-ms') ?? null, headers?.get('retry-after') ?? null);
  const wait = given ?? (error.type === 'rate_limit_error' ? RATE_LIMIT_WAIT_MS : null);
  return wait === null ? null : Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, wait));
}

/** Retry-After is seconds or an HTTP date (RFC 9110, 10.2.3). */
function parseWait(milliseconds: string | null, after: string | null): number | null {
  if (milliseconds !== null && Number.isFinite(Number(milliseconds))) return Number(milliseconds);
  if (after === null || after.trim() === '') return null;
  if (Number.isFinite(Number(after))) return Number(after) * 1000;
  const date = Date.parse(after);
  return Number.isNaN(date) ? null : date - Date.now();
}

function apiMessage(error: APIError): string {
  const cause = causeOf(error);
  const said = error.apiMessage ?? error.message;
  return (cause === null ? said : `${said} (${cause})`).slice(0, SAID_LENGTH);
}

/** The message with its innermost cause: fetch itself only says that it failed. */
const messageOf = (error: unknown): string =>
  [error instanceof Error ? error.message : String(error), causeOf(error) ?? '']
    .filter(Boolean)
    .join(': ')
    .slice(0, SAID_LENGTH);

/** The innermost cause's message. Not by `instanceof`: fetch's errors may come from another realm. */
function causeOf(error: unknown): string | null {
  let found: string | null = null;
  for (let at = within(error); typeof at === 'object' && at !== null; at = within(at)) {
    if ('message' in at && at.message !== '') found = String(at.message);
  }
  return found;
}

/** An error's cause. When each of a host's addresses failed, the last failure represents all. */
function within(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return null;
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.at(-1);
  return 'cause' in error ? error.cause : null;
}
