/** An answer put together from its events. The SDK's own helper fails as a whole where a tool's input is no JSON. */
import type Anthropic from '@anthropic-ai/sdk';

/** A tool's input is what the model wrote; whether that is JSON is seen by who parses it. */
export interface ToolCall {
  type: 'tool_use';
  id: string;
  name: string;
  json: string;
}

export type AnswerBlock = Exclude<Anthropic.ContentBlock, { type: 'tool_use' }> | ToolCall;

export class Stream {
  /** From `message_start` on: what the input costs. */
  usage: Anthropic.Usage | null = null;
  stop: Anthropic.StopReason | null = null;
  /** Why the model declined, where it did and says so. */
  explanation: string | null = null;
  /** The last event has come. */
  whole = false;
  private readonly blocks: AnswerBlock[] = [];

  get content(): AnswerBlock[] {
    return this.blocks.filter((block) => block !== undefined);
  }

  add(event: Anthropic.RawMessageStreamEvent): void {
    switch (event.type) {
      case 'message_start':
        this.usage = event.message.usage;
        break;
      case 'content_block_start':
        this.blocks[event.index] = begun(event.content_block);
        break;
      case 'content_block_delta':
        extend(this.blocks[event.index], event.delta);
        break;
      case 'message_delta':
        this.end(event);
        break;
      case 'message_stop':
        this.whole = true;
        break;
      case 'content_block_stop':
        break;
    }
  }

  private end({ delta, usage }: Anthropic.RawMessageDeltaEvent): void {
    this.stop = delta.stop_reason;
    this.explanation = delta.stop_details?.explanation ?? null;
    if (this.usage === null) return;
    // Cumulative figures, of which only the output's is always there.
    this.usage = {
      ...this.usage,
      output_tokens: usage.output_tokens,
      input_tokens: usage.input_tokens ?? this.usage.input_tokens,
      cache_read_input_tokens: usage.cache_read_input_tokens ?? this.usage.cache_read_input_tokens,
      cache_creation_input_tokens:
        usage.cache_creation_input_tokens ?? this.usage.cache_creation_input_tokens,
    };
  }
}

function begun(block: Anthropic.ContentBlock): AnswerBlock {
  return block.type === 'tool_use'
    ? { type: 'tool_use', id: block.id, name: block.name, json: '' }
    : { ...block };
}

function extend(block: AnswerBlock | undefined, delta: Anthropic.RawContentBlockDelta): void {
  if (block?.type === 'text' && delta.type === 'text_delta') block.text += delta.text;
  else if (block?.type === 'tool_use' && delta.type === 'input_json_delta') block.json += delta.partial_json;
  else if (block?.type === 'thinking' && delta.type === 'thinking_delta') block.thinking += delta.thinking;
  else if (block?.type === 'thinking' && delta.type === 'signature_delta') block.signature = delta.signature;
}
