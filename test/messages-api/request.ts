/** What the Messages API takes, and why it refuses a request. The words of its errors are the API's. */
import { z } from 'zod';
import { signatureOf } from './reply';

const cacheControl = z.strictObject({ type: z.literal('ephemeral'), ttl: z.enum(['5m', '1h']).optional() });
const blockSchema = z.looseObject({ type: z.string(), cache_control: cacheControl.nullish() });

const requestSchema = z.strictObject({
  model: z.string(),
  max_tokens: z.int().positive(),
  messages: z.array(
    z.strictObject({
      role: z.enum(['user', 'assistant']),
      content: z.union([z.string(), z.array(blockSchema)]),
    }),
  ),
  system: z.union([z.string(), z.array(blockSchema)]).optional(),
  stream: z.boolean().optional(),
  thinking: z
    .union([
      z.strictObject({ type: z.literal('adaptive'), display: z.enum(['summarized', 'omitted']).nullish() }),
      z.strictObject({
        type: z.literal('enabled'),
        budget_tokens: z.int().min(1024),
        display: z.enum(['summarized', 'omitted']).nullish(),
      }),
      z.strictObject({ type: z.literal('disabled') }),
    ])
    .optional(),
  output_config: z
    .strictObject({ effort: z.enum(['low', 'medium', 'high', 'xhigh', 'max']).nullish() })
    .optional(),
  tools: z
    .array(
      z.looseObject({
        type: z.literal('custom').optional(),
        name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/),
        description: z.string().optional(),
        strict: z.boolean().optional(),
        input_schema: z.looseObject({ type: z.literal('object') }),
        cache_control: cacheControl.nullish(),
      }),
    )
    .optional(),
  tool_choice: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('auto'), disable_parallel_tool_use: z.boolean().optional() }),
      z.strictObject({ type: z.literal('any'), disable_parallel_tool_use: z.boolean().optional() }),
      z.strictObject({ type: z.literal('tool'), name: z.string() }),
      z.strictObject({ type: z.literal('none') }),
    ])
    .optional(),
});

export type Request = z.infer<typeof requestSchema>;
export type Block = z.infer<typeof blockSchema>;

export const blocksOf = (content: string | readonly Block[]): readonly Block[] =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : content;

/** A request that the API does not take. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

const invalid = (message: string): Refused => new Refused(400, 'invalid_request_error', message);

/** Models that think by a budget alone; of these, the ones that take an effort all the same. */
const EARLIER = /^claude-(haiku|sonnet|opus)-4-5/;
const EARLIER_WITH_EFFORT = /^claude-opus-4-5/;

/** What an answer may have at most. */
const maxTokens = (model: string): number => (EARLIER.test(model) ? 64_000 : 128_000);

/** @throws Refused */
export function parseRequest(body: string, models: readonly string[]): Request {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw invalid('The request body is not valid JSON');
  }
  const parsed = requestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  const request = parsed.data;
  if (!models.includes(request.model)) throw new Refused(404, 'not_found_error', `model: ${request.model}`);
  checkMaxTokens(request);
  checkThinking(request);
  checkTools(request);
  checkCacheControl(request);
  checkMessages(request);
  return request;
}

function checkMaxTokens({ model, max_tokens }: Request): void {
  const most = maxTokens(model);
  if (max_tokens > most)
    throw invalid(
      `max_tokens: ${max_tokens} > ${most}, which is the maximum allowed number of output tokens for ${model}`,
    );
}

function checkThinking({ model, thinking, output_config, tool_choice, max_tokens }: Request): void {
  const earlier = EARLIER.test(model);
  if (thinking?.type === 'adaptive' && earlier)
    throw invalid('adaptive thinking is not supported on this model');
  if (thinking?.type === 'enabled' && !earlier)
    throw invalid('thinking.type: `enabled` is not supported on this model');
  if (thinking?.type === 'enabled' && thinking.budget_tokens >= max_tokens)
    throw invalid('`max_tokens` must be greater than `thinking.budget_tokens`');
  if (output_config?.effort != null && earlier && !EARLIER_WITH_EFFORT.test(model))
    throw invalid('This model does not support the effort parameter.');
  if (tool_choice?.type === 'any' || tool_choice?.type === 'tool')
    throw invalid('Thinking may not be enabled when tool_choice forces tool use.');
}

function checkTools({ tools = [] }: Request): void {
  if (new Set(tools.map(({ name }) => name)).size !== tools.length)
    throw invalid('tools: Tool names must be unique.');
  for (const { name, strict, input_schema } of tools) {
    if (strict === true) checkStrict(`tools.${name}.input_schema`, input_schema);
  }
}

/** What strict tools may not say; platform.claude.com/docs, "Structured outputs", JSON Schema limitations. */
const NOT_STRICT = [
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'maxItems',
  'multipleOf',
  'exclusiveMinimum',
];

function checkStrict(at: string, schema: unknown): void {
  if (typeof schema !== 'object' || schema === null) return;
  if (Array.isArray(schema)) return schema.forEach((part) => checkStrict(at, part));
  const object = schema as Record<string, unknown>;
  if (object['type'] === 'object' && object['additionalProperties'] !== false)
    throw invalid(`${at}: For 'object' type, 'additionalProperties' must be explicitly set to false`);
  for (const [key, value] of Object.entries(object)) {
    if (NOT_STRICT.includes(key)) throw invalid(`${at}: property '${key}' is not supported`);
    if (typeof value === 'object') checkStrict(`${at}.${key}`, value);
  }
}

function checkCacheControl(request: Request): void {
  const controls = [
    ...(request.tools ?? []),
    ...blocksOf(request.system ?? []),
    ...request.messages.flatMap(({ content }) => blocksOf(content)),
  ].flatMap(({ cache_control }) => cache_control ?? []);
  if (controls.length > 4)
    throw invalid(`A maximum of 4 blocks with cache_control may be provided. Found ${controls.length}.`);
  const lives = controls.map(({ ttl = '5m' }) => ttl);
  if (lives.lastIndexOf('1h') > lives.indexOf('5m') && lives.includes('5m'))
    throw invalid("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block");
}

function checkMessages({ messages }: Request): void {
  if (messages.length === 0) throw invalid('messages: at least one message is required');
  messages.forEach(({ role, content }, index) => {
    const at = `messages.${index}`;
    if (role !== (index % 2 === 0 ? 'user' : 'assistant'))
      throw invalid('messages: roles must alternate between "user" and "assistant"');
    if (content.length === 0) throw invalid(`${at}: all messages must have non-empty content`);
    const before = index === 0 ? [] : blocksOf(messages[index - 1]?.content ?? []);
    checkToolResults(at, blocksOf(content), role === 'user' ? before : []);
    for (const block of blocksOf(content)) checkBlock(at, block);
  });
  if (messages.at(-1)?.role !== 'user')
    throw invalid('This model does not support assistant message prefill.');
}

function checkBlock(at: string, block: Block): void {
  if (block.type === 'text' && String(block['text']).trim() === '')
    throw invalid(`${at}: text content blocks must contain non-whitespace text`);
  if (block.type === 'thinking' && block['signature'] !== signatureOf(String(block['thinking'])))
    throw invalid(`${at}: Invalid \`signature\` in \`thinking\` block`);
}

function checkToolResults(at: string, blocks: readonly Block[], before: readonly Block[]): void {
  const asked = before.filter(({ type }) => type === 'tool_use').map(({ id }) => JSON.stringify(id));
  const given = blocks
    .filter(({ type }) => type === 'tool_result')
    .map(({ tool_use_id }) => JSON.stringify(tool_use_id));
  const missing = asked.find((id) => !given.includes(id));
  if (missing !== undefined)
    throw invalid(
      `${at}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${missing}`,
    );
  const foreign = given.find((id) => !asked.includes(id));
  if (foreign !== undefined)
    throw invalid(`${at}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${foreign}`);
  if (blocks.slice(0, given.length).some(({ type }) => type !== 'tool_result'))
    throw invalid(`${at}: \`tool_result\` blocks must come first`);
}
