/**
 * The API's prompt cache: what stands before a breakpoint is kept by its hash, for five minutes or an hour, and read
 * again by a request that begins with the same blocks. platform.claude.com/docs, "Prompt caching".
 */
import { createHash } from 'node:crypto';
import type { InputUsage } from './reply';
import { blocksOf, type Request, type Block } from './request';
import { tokensOf } from './tokens';

const LIFE = { '5m': 5 * 60_000, '1h': 60 * 60_000 };
/** A breakpoint finds what was written at one of so many blocks before it. */
const LOOK_BACK = 20;
/** Shorter prefixes are not kept; the models differ, from 512 to 4,096. */
const MINIMUM_TOKENS = 1024;

interface Part {
  hash: string;
  /** Tokens up to and with this block. */
  tokens: number;
  breakpoint: '5m' | '1h' | null;
}

export class PromptCache {
  /** By hash of the prefix: when it is forgotten, and how long it lives from each use. */
  private readonly kept = new Map<string, { until: number; life: number }>();

  constructor(private readonly now: () => number) {}

  /** Reads and writes as the request's breakpoints say, and tells what it cost. */
  use(request: Request): InputUsage {
    const parts = partsOf(request);
    const total = parts.at(-1)?.tokens ?? 0;
    const points = parts.flatMap((part, index) => (part.breakpoint === null ? [] : [index]));
    const hit = this.find(parts, points);
    const read = hit === null ? 0 : (parts[hit]?.tokens ?? 0);
    let written = read;
    const creation = { '5m': 0, '1h': 0 };
    for (const point of points) {
      const part = parts[point];
      if (part?.breakpoint == null || point <= (hit ?? -1) || part.tokens < MINIMUM_TOKENS) continue;
      creation[part.breakpoint] += part.tokens - written;
      written = part.tokens;
      const life = LIFE[part.breakpoint];
      this.kept.set(part.hash, { until: this.now() + life, life });
    }
    return {
      input_tokens: total - written,
      cache_read_input_tokens: read,
      cache_creation_input_tokens: written - read,
      cache_creation: {
        ephemeral_5m_input_tokens: creation['5m'],
        ephemeral_1h_input_tokens: creation['1h'],
      },
    };
  }

  /** The longest prefix that is there; a use prolongs its life, and that of all that it contains. */
  private find(parts: readonly Part[], points: readonly number[]): number | null {
    const candidates = new Set(
      points.flatMap((point) => Array.from({ length: LOOK_BACK + 1 }, (_, back) => point - back)),
    );
    let longest: number | null = null;
    for (const index of candidates) {
      const entry = this.kept.get(parts[index]?.hash ?? '');
      if (entry === undefined || entry.until < this.now()) continue;
      entry.until = this.now() + entry.life;
      if (longest === null || index > longest) longest = index;
    }
    return longest;
  }
}

/** All input tokens of a request. */
export const inputTokens = (request: Request): number => partsOf(request).at(-1)?.tokens ?? 0;

function partsOf(request: Request): Part[] {
  const blocks: { prefix: string; block: Pick<Block, 'cache_control'> }[] = [
    ...(request.tools ?? []).map((block) => ({ prefix: 'tool', block })),
    ...blocksOf(request.system ?? []).map((block) => ({ prefix: 'system', block })),
    ...request.messages.flatMap(({ role, content }) =>
      blocksOf(content).map((block) => ({ prefix: role, block })),
    ),
  ];
  const hash = createHash('sha256').update(request.model);
  let tokens = 0;
  return blocks.map(({ prefix, block }) => {
    const { cache_control: control, ...content } = block;
    const shown = JSON.stringify([prefix, content]);
    hash.update(shown);
    tokens += 3 + tokensOf('text' in content ? String(content['text']) : JSON.stringify(content));
    return {
      hash: hash.copy().digest('hex'),
      tokens,
      breakpoint: control == null ? null : (control.ttl ?? '5m'),
    };
  });
}
