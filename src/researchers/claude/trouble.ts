/** What the Messages API's errors mean for a study: wait and go on, or pause until a person has acted. */
import { APIConnectionError, APIError } from '@anthropic-ai/sdk';
import { ApplicationFailure } from '@temporalio/common';
import { NoProposal } from '../researcher';
import { redact } from '../redact';
import type { UnreadableAnswer } from './stream';

/** The question is longer than the model takes: it is asked again, shorter. */
export class TooLong extends Error {
  override name = 'TooLong';
}

/** The answer was none of the Messages API: a proxy's page, for instance. */
export class NoStream extends Error {
  override name = 'NoStream';
}

/** Of what an API or a proxy says, for messages that travel through Temporal. */
const SAID_LENGTH = 500;
const BASE_URL = 'if ANTHROPIC_BASE_URL names a proxy, see that it speaks the Messages API';

/** So long is waited at least and at most, whatever the API says. */
const SHORTEST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15 * 60_000;
/** A rate limit fills up again within a minute; the API mostly says when. */
const RATE_LIMIT_WAIT_MS = 30_000;

const BUSY_STATUS = new Set([408, 409, 429]);
const BUSY_TYPE = new Set<string | null>([
  'rate_limit_error',
  'overloaded_error',
  'api_error',
  'timeout_error',
]);

/** A study's settings are changed where it begins again. */
export const STOP = '`npx autoresearch stop`';

/** Some harmless answers are, at random: anthropics/claude-code#28205, #30485, #43487, #51226. */
const FILTERED = /content filtering/i;
const NO_MONEY = /credit balance|billing|usage limits|spend limit/i;

/** @returns what to throw for an error of the SDK, without a key in it */
export function troubleOf(error: unknown, model: string): Error {
  if (!(error instanceof APIError)) return unreachable(messageOf(error));
  const { status, type } = error;
  const said = redact(apiMessage(error));
  // It has not seen the question, or broke off in the middle of the answer: no status says which.
  if (error instanceof APIConnectionError) return unreachable(said);
  if (status === 413 || (status === 400 && /prompt is too long|context limit/i.test(said)))
    return new TooLong(said);
  if (status === 402 || type === 'billing_error' || NO_MONEY.test(said)) {
    return lasting('ModelBilling', `the API does not bill this key: ${said}`, 'see to the account');
  }
  if (status === 401) {
    return lasting(
      'ModelKey',
      `the API does not take the key: ${said}`,
      'correct ANTHROPIC_API_KEY, `npx autoresearch up`',
    );
  }
  if (status === 403) {
    return lasting(
      'ModelAccess',
      `the key may not use ${model}: ${said}`,
      'allow it for the key, or use another key',
    );
  }
  if (status === 404) {
    return lasting('ModelUnknown', `the API knows no model ${model}: ${said}`, STOP, 'resume --model NAME');
  }
  if (status === undefined ? BUSY_TYPE.has(type) : status >= 500 || BUSY_STATUS.has(status)) {
    return busy(error, said);
  }
  // The longest answer of some models is shorter than the study asks for.
  const setting = /max_tokens/.test(said) ? '--answer-tokens N' : '--model NAME';
  return lasting('ModelRequest', `the API did not take the question: ${said}`, STOP, `resume ${setting}`);
}

/** What the API says where it has held an answer back for its content; null where it has not. */
export function filterOf(error: unknown): string | null {
  const said = error instanceof APIError ? redact(apiMessage(error)) : '';
  return FILTERED.test(said) ? said : null;
}

/** No request could be made of the question, with what the worker's environment has for the SDK. */
export function unaskable(error: unknown): ApplicationFailure {
  // A value in it, such as a header's, may be a secret.
  const said = redact(messageOf(error)).replace(/".*"/s, '"…"');
  return lasting(
    'ModelSetup',
    `no question can be asked with the worker's environment: ${said}`,
    'correct its ANTHROPIC_… variables, `npx autoresearch up`',
  );
}

/** The question was sent and nothing of an answer came. Nobody knows whether it was paid for, so it is asked again seldom. */
export function unanswered(error: unknown): ApplicationFailure {
  const todo = error instanceof NoStream ? `; ${BASE_URL}` : '';
  return ApplicationFailure.create({
    type: UNANSWERED,
    message: `no answer came from the API: ${redact(messageOf(error))}${todo}`,
  });
}

export const UNANSWERED = 'ModelUnanswered';

/** It may be as unreadable the next time, so it counts as one of the answers that came to nothing. */
export const unreadable = ({ message }: UnreadableAnswer): NoProposal =>
  new NoProposal(`the API's answer cannot be read: ${message}; ${BASE_URL}`);

/** The stream was silent for too long. */
export const stalled = (what: string): ApplicationFailure => unreachable(what);

/** Not retried: the study pauses and says so, until a person has acted. */
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
    message: `the API asks to wait: ${status}${error.type ?? ''} ${said}`,
    ...(wait === null ? {} : { nextRetryDelay: wait }),
  });
}

function unreachable(said: string): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'ModelUnreachable',
    message: `no whole answer came from the API: ${redact(said)}`,
  });
}

/** Milliseconds until the next try; null leaves it to Temporal's own growing waits. */
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

/** With its innermost cause: fetch says only that it failed. */
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

/** An error's cause. Where each of a host's addresses failed in its own way, the last of them stands for all. */
function within(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return null;
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.at(-1);
  return 'cause' in error ? error.cause : null;
}
