/**
 * The codec endpoint of the Temporal UI and the `temporal` CLI, which show encrypted payloads with it: POST /encode and
 * /decode with {"payloads": […]} as JSON. It listens on loopback only, and answers only the named UI's pages in a browser. It has
 * no authentication: every user who can connect to this host's loopback can have payloads decrypted.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { encode } from '@temporalio/common/lib/encoding';
import { z } from 'zod';
import { CodecKeyError } from '../temporal/codec';
import { HOST, PortInUse } from './ports';

/** A page of history, at 2 MB a payload and in base64. */
const BODY_BYTES = 64 << 20;
const DAY_SECONDS = 86_400;
/** Default port; the dev server's UI asks there. Above the ports that dev servers take for their UIs. */
export const CODEC_PORT = 8333;

const base64 = z.base64();
/** Protobuf's JSON omits empty fields. */
const payloadSchema = z.object({
  metadata: z.record(z.string(), base64).default({}),
  data: base64.default(''),
});
const bodySchema = z.object({ payloads: z.array(payloadSchema).default([]) });

/** An invalid request: message and HTTP status. */
class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Starts the endpoint. The caller closes it.
 * @param origins origins of the UI's pages, such as http://localhost:8233
 * @throws PortInUse
 */
export async function serveCodec(
  codec: PayloadCodec,
  { port, origins }: { port: number; origins: readonly string[] },
): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    answer(codec, origins, request, response).catch((error: unknown) => fail(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new PortInUse(`port ${port} is in use`, 'free it, or choose another with --port')
          : error,
      ),
    );
    server.listen(port, HOST, resolve);
  });
  const address = server.address();
  const listens = address !== null && typeof address === 'object' ? address.port : port;
  return { url: `http://${HOST}:${listens}`, server };
}

async function answer(
  codec: PayloadCodec,
  origins: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // Against DNS rebinding: a foreign page whose host name points here still sends that name.
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/u.test(request.headers.host ?? '')) {
    throw new Refused(403, 'this endpoint answers only to the host names 127.0.0.1 and localhost');
  }
  const { origin } = request.headers;
  if (origin !== undefined) {
    if (!origins.includes(origin)) {
      throw new Refused(403, `pages of ${origin} are not allowed, only those of ${origins.join(', ')}`);
    }
    response.setHeader('Access-Control-Allow-Origin', origin);
    response.setHeader('Vary', 'Origin');
    response.setHeader('Access-Control-Allow-Credentials', 'true');
  }
  if (request.method === 'OPTIONS') {
    response.setHeader('Access-Control-Allow-Methods', 'POST');
    response.setHeader('Access-Control-Allow-Headers', 'Authorization, Content-Type, X-Namespace');
    response.setHeader('Access-Control-Max-Age', String(DAY_SECONDS));
    response.writeHead(204).end();
    return;
  }
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  if (path !== '/encode' && path !== '/decode') throw new Refused(404, 'expected /encode or /decode');
  if (request.method !== 'POST') throw new Refused(405, `expected POST, not ${request.method}`);
  const payloads = await readPayloads(request);
  const answered = await (path === '/encode' ? codec.encode(payloads) : codec.decode(payloads));
  send(response, 200, { payloads: answered.map(toJson) });
}

async function readPayloads(request: IncomingMessage): Promise<Payload[]> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES) throw new Refused(413, `expected at most ${BODY_BYTES >> 20} MB`);
    chunks.push(chunk);
  }
  const parsed = bodySchema.safeParse(parseJson(Buffer.concat(chunks).toString()));
  if (!parsed.success) throw new Refused(400, z.prettifyError(parsed.error));
  return parsed.data.payloads.map(({ metadata, data }) => ({
    metadata: Object.fromEntries(
      Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')]),
    ),
    data: Buffer.from(data, 'base64'),
  }));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(400, 'expected JSON: {"payloads": […]}');
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function toJson({ metadata, data }: Payload): object {
  return {
    metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, text(value)])),
    data: text(data ?? encode('')),
  };
}

function fail(response: ServerResponse, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Refused) send(response, error.status, { error: message });
  else if (error instanceof CodecKeyError) send(response, 400, { error: `${message}; ${error.todo}` });
  else send(response, 500, { error: message });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}
