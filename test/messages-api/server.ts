/**
 * A local server that behaves as the Messages API does, for tests: what it answers is scripted by a function, how it
 * answers (streaming, usage, the prompt cache, what it refuses) is the API's.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inputTokens, PromptCache } from './cache';
import { eventsOf, outputTokens, type Answered, type InputUsage, type Reply } from './reply';
import { parseRequest, Refused, type Request } from './request';

export interface ServerOptions {
  reply: (request: Request, index: number) => Reply | Promise<Reply>;
  /** Keys that it takes; any where none are given. */
  keys?: readonly string[];
  models?: readonly string[];
  /** Input tokens that a model takes. */
  contextWindow?: number;
  /** Where it listens; anywhere where none is given. */
  port?: number;
  /** Milliseconds, for the prompt cache's forgetting. */
  now?: () => number;
}

/** One request that was answered, for assertions. */
export interface Served {
  request: Request;
  reply: Reply;
  /** Null where it was answered by an error. */
  usage: (InputUsage & { output_tokens: number }) | null;
}

const MODELS = [
  'claude-opus-5-5',
  'claude-sonnet-5-5',
  'claude-haiku-5-5',
  'claude-opus-4-5',
  'claude-haiku-4-5',
];

export class MessagesApi {
  readonly served: Served[] = [];
  /** What it did not take, in its words. */
  readonly refused: Refused[] = [];
  /** Connections that the client gave up. */
  abandoned = 0;
  private readonly cache: PromptCache;

  private constructor(
    private readonly options: ServerOptions,
    private readonly server: Server,
  ) {
    this.cache = new PromptCache(options.now ?? Date.now);
  }

  static async start(options: ServerOptions): Promise<MessagesApi> {
    const server = createServer();
    const api = new MessagesApi(options, server);
    server.on('request', (request, response) => {
      api.answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    server.listen(options.port ?? 0, '127.0.0.1');
    await once(server, 'listening');
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Changes what it answers from now on. */
  set reply(reply: ServerOptions['reply']) {
    this.options.reply = reply;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await textOf(incoming);
    response.on('close', () => {
      if (!response.writableFinished) this.abandoned++;
    });
    try {
      this.checkAccess(incoming);
      const request = parseRequest(body, this.options.models ?? MODELS);
      this.checkLength(request);
      const reply = await this.options.reply(request, this.served.length);
      if ('raw' in reply) {
        this.served.push({ request, reply, usage: null });
        return void (await reply.raw(response));
      }
      if ('status' in reply) {
        this.served.push({ request, reply, usage: null });
        return sendError(response, reply);
      }
      const input = this.cache.use(request);
      this.served.push({ request, reply, usage: { ...input, output_tokens: outputTokens(reply) } });
      await stream(response, reply, eventsOf(reply, request.model, input));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refused.push(error);
      sendError(response, error);
    }
  }

  private checkAccess({ method, url, headers }: IncomingMessage): void {
    if (method !== 'POST' || (url ?? '').split('?')[0] !== '/v1/messages')
      throw new Refused(404, 'not_found_error', 'Not found');
    if (headers['anthropic-version'] === undefined)
      throw new Refused(400, 'invalid_request_error', 'anthropic-version: header is required');
    const key = headers['x-api-key'] ?? headers.authorization?.replace(/^Bearer /, '');
    const { keys } = this.options;
    if (key === undefined || (keys !== undefined && !keys.includes(String(key))))
      throw new Refused(401, 'authentication_error', 'invalid x-api-key');
  }

  private checkLength(request: Request): void {
    const { contextWindow = 1_000_000 } = this.options;
    const tokens = inputTokens(request);
    if (tokens > contextWindow)
      throw new Refused(
        400,
        'invalid_request_error',
        `prompt is too long: ${tokens} tokens > ${contextWindow} maximum`,
      );
  }
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function sendError(
  response: ServerResponse,
  {
    status,
    type,
    message,
    headers = {},
  }: { status: number; type: string; message: string; headers?: object },
): void {
  const request_id = 'req_test';
  response.writeHead(status, { 'content-type': 'application/json', 'request-id': request_id, ...headers });
  response.end(JSON.stringify({ type: 'error', error: { type, message }, request_id }));
}

async function stream(
  response: ServerResponse,
  { broken }: Answered,
  events: readonly { type: string }[],
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_test' });
  const send = (event: { type: string }): boolean =>
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  for (const [index, event] of events.entries()) {
    if (index === broken?.after) return breakOff(response, send, broken.how);
    if (!send(event)) await once(response, 'drain');
  }
  response.end();
}

async function breakOff(
  response: ServerResponse,
  send: (event: { type: string }) => boolean,
  how: NonNullable<Answered['broken']>['how'],
): Promise<void> {
  if (how === 'disconnect') {
    // What was sent is to arrive before the connection breaks.
    await new Promise((wake) => setTimeout(wake, 20));
    response.destroy();
  } else if (how === 'hang' || how === 'ping') {
    const beat = how === 'ping' ? setInterval(() => send({ type: 'ping' }), 20) : undefined;
    await once(response, 'close');
    clearInterval(beat);
  } else {
    send(Object.assign({ type: 'error' }, { error: how }));
    response.end();
  }
}
