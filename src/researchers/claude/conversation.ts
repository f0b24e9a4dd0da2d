/** One conversation with the model: the question, its look-ups, its proposals and the objections to them. Always bounded. */
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import type { ModelSettings } from '../../domain/study';
import type { Proposal } from '../../ledger/proposals';
import { GivenUp, NoProposal, type ResearchContext } from '../researcher';
import { editsOf, objectionTo, proposalOf } from './answer';

import { call, type Answer, type CallTimes } from './call';
import { complaint, readFile, showExperiment, type ToolAnswer } from './look-up';
import type { Prompt } from './prompt';
import type { AnswerBlock, ToolCall } from './stream';
import { estimateTokens } from './tokens';
import {
  MAX_LOOK_UPS,
  MAX_OBJECTIONS,
  parseToolUse,
  toolDefinitions,
  type ProposeInput,
  type ToolUse,
} from './tools';
import type { Transcript } from './transcript';

/** Answers without a usable tool call that one conversation may have. */
const MAX_FAILED_TURNS = 3;
/** The most tokens that one look-up returns. */
const LOOK_UP_TOKENS = 8_000;
const ENOUGH = complaint('no look-ups are left: propose your change now');
/** Tokens of a message's role, ids and types. */
const MESSAGE_TOKENS = 40;
/** Tokens of an answer's block beside its text: ids, and the signature of a thought, which is sent back. */
const BLOCK_TOKENS = 120;

const inputSchema = z.record(z.string(), z.unknown());

export interface ConversationOptions {
  context: ResearchContext;
  model: ModelSettings;
  prompt: Prompt;
  lessonsDue: boolean;
  transcript: Transcript;
  times: CallTimes;
  signal: AbortSignal;
}

export class Conversation {
  private readonly messages: Anthropic.MessageParam[];
  /** How many messages the transcript already has. */
  private written = 0;
  private objections: string[] = [];
  private failedTurns: string[] = [];
  private lookUps = 0;
  private remindedOfLessons = false;
  /** Upper estimate of the next question's tokens. */
  private tokens: number;

  constructor(private readonly options: ConversationOptions) {
    this.messages = [{ role: 'user', content: options.prompt.content.map((block) => ({ ...block })) }];
    this.tokens = options.prompt.tokens;
  }

  /**
   * @throws NoProposal when the conversation reaches a bound without a proposal
   * @throws GivenUp when the model gives up a repair
   * @throws BudgetExhausted, TooLong, ApplicationFailure as `call` does
   */
  async run(): Promise<Proposal> {
    try {
      for (;;) {
        const answer = await this.ask();
        const proposal = await this.take(answer);
        if (proposal !== null) return proposal;
      }
    } catch (error) {
      const { transcript, model } = this.options;
      if (error instanceof NoProposal || error instanceof GivenUp)
        error.usage = await transcript.usage(model.name);
      throw error;
    }
  }

  private async ask(): Promise<Answer> {
    const { context, model, prompt, times, signal, transcript } = this.options;
    if (this.tokens > model.contextTokens) {
      throw new NoProposal(
        `the conversation would need ${this.tokens} tokens, but only ${model.contextTokens} are allowed${this.soFar()}`,
      );
    }
    const question = { system: prompt.system, messages: this.messages, tools: toolDefinitions() };
    const answer = await call(question, this.tokens, model, context.spendGuard, times, signal);
    await transcript.add(question, this.written, answer);
    this.written = this.messages.length;
    const { usage } = answer;
    // From here on the API's count replaces our estimate.
    const asked = usage.input + usage.cacheRead + usage.cacheWrite + usage.cacheWriteHour;
    // A filtered answer may have no figures. An answer without blocks is not sent back.
    const { length } = answer.content;
    if (asked > 0) this.tokens = asked + (length > 0 ? usage.output + BLOCK_TOKENS * length : 0);
    return answer;
  }

  /** Continues as the answer requires. @returns the proposal once one passes the checks */
  private async take(answer: Answer): Promise<Proposal | null> {
    if (answer.stop === 'refusal') return this.askAnew(refusalText(answer));
    if (answer.stop === 'max_tokens' || answer.stop === 'model_context_window_exceeded') {
      return this.askAnew(
        'Your last answer was cut off because it was too long. Think less, and propose a smaller change.',
      );
    }
    if (answer.stop === 'pause_turn') return this.goOn(answer);
    const uses = answer.content.filter((block) => block.type === 'tool_use');
    if (uses.length === 0) return this.insist(answer);
    return this.serve(answer, uses);
  }

  private askAnew(remark: string): null {
    this.failTurn(remark);
    return this.remark(remark);
  }

  /** Drops the answer, which the API would not take back, and appends a remark to the question. */
  private remark(text: string): null {
    const last = this.messages.pop();
    const content = typeof last?.content === 'string' ? [] : (last?.content ?? []);
    this.messages.push({ role: 'user', content: [...content, { type: 'text', text }] });
    // The dropped answer's tokens stay counted, which overestimates.
    this.tokens += estimateTokens(text) + MESSAGE_TOKENS;
    // The transcript gets the question again, now with the remark.
    this.written = this.messages.length - 1;
    return null;
  }

  /** The model paused its turn: send its answer back and let it continue. */
  private goOn({ content }: Answer): null {
    this.failTurn('it paused in the middle of its turn');
    if (!hasText(content)) return this.remark('Continue.');
    this.messages.push(
      { role: 'assistant', content: sendable(content) },
      { role: 'user', content: 'Continue.' },
    );
    return null;
  }

  private insist({ content }: Answer): null {
    const remark = 'Only tool calls are read. Call propose with your change.';
    this.failTurn('it called no tool');
    if (!hasText(content)) return this.remark(remark);
    this.messages.push({ role: 'assistant', content: sendable(content) });
    this.say([this.counted({ type: 'text', text: remark })]);
    return null;
  }

  private async serve(answer: Answer, uses: readonly ToolCall[]): Promise<Proposal | null> {
    const results: Anthropic.ToolResultBlockParam[] = [];
    const useless: string[] = [];
    for (const use of uses) {
      const parsed = parsedUse(use);
      if (typeof parsed === 'string') useless.push(parsed);
      const result = typeof parsed === 'string' ? complaint(parsed) : await this.use(parsed);
      if ('proposal' in result) return result.proposal;
      if (result === ENOUGH) useless.push('it only looked things up');
      results.push(this.counted(resultOf(use, result)));
    }
    if (useless.length === uses.length) this.failTurn([...new Set(useless)].join('; '));
    this.messages.push({ role: 'assistant', content: sendable(answer.content) });
    this.say(results);
    return null;
  }

  private async use(use: ToolUse): Promise<ToolAnswer | { proposal: Proposal }> {
    const { context } = this.options;
    switch (use.name) {
      case 'read_file':
        return this.lookUp((tokens) => Promise.resolve(readFile(context, use.input, tokens)));
      case 'show_experiment':
        return this.lookUp((tokens) => showExperiment(context, use.input.number, tokens));
      case 'give_up':
        if (context.repair === null) return this.object('give_up is only for repairs: propose a change');
        throw new GivenUp(use.input.reason);
      case 'propose':
        break;
    }
    return this.propose(use.input);
  }

  private async lookUp(look: (tokens: number) => Promise<ToolAnswer>): Promise<ToolAnswer> {
    const { model } = this.options;
    const room = Math.floor((model.contextTokens - this.tokens) / 3);
    this.lookUps++;
    return this.lookUps > MAX_LOOK_UPS || room < 500 ? ENOUGH : look(Math.min(LOOK_UP_TOKENS, room));
  }

  private async propose(input: ProposeInput): Promise<ToolAnswer | { proposal: Proposal }> {
    const { context, transcript, model, prompt, lessonsDue, signal } = this.options;
    const wrong = objectionTo(input, context);
    if (wrong !== null) return this.object(wrong);
    if (lessonsDue && (input.lessons ?? []).length === 0 && !this.remindedOfLessons) {
      this.remindedOfLessons = true;
      return complaint('the change was not checked: lessons are due. Propose it again with `lessons`');
    }
    const objection = await context.check(editsOf(input), signal);
    if (objection !== null) return this.object(`${objection.kind}: ${objection.message}`);
    const usage = await transcript.usage(model.name);
    return { proposal: proposalOf(input, context, { hints: prompt.hints, lessonsDue, usage }) };
  }

  private object(why: string): ToolAnswer {
    this.objections.push(why);
    if (this.objections.length > MAX_OBJECTIONS) {
      throw new NoProposal(`all ${MAX_OBJECTIONS + 1} proposals were refused, the last one because: ${why}`);
    }
    return complaint(why);
  }

  private failTurn(why: string): void {
    this.failedTurns.push(why);
    if (this.failedTurns.length > MAX_FAILED_TURNS)
      throw new NoProposal(`the model's answers contained no proposal: ${why}`);
  }

  /** Counts a block at once, since the next block of the same message has only the remaining room. */
  private counted<T extends Anthropic.ToolResultBlockParam | Anthropic.TextBlockParam>(block: T): T {
    this.tokens += estimateTokens(JSON.stringify(block)) + MESSAGE_TOKENS;
    return block;
  }

  private say(content: Anthropic.ToolResultBlockParam[] | Anthropic.TextBlockParam[]): void {
    this.forgetLastMark();
    const marked = content.map((block, index) =>
      index === content.length - 1 ? { ...block, cache_control: { type: 'ephemeral' as const } } : block,
    );
    this.messages.push({ role: 'user', content: marked });
  }

  /** The API takes four cache marks: three for the unchanging blocks, and one that moves with the conversation. */
  private forgetLastMark(): void {
    for (const [index, { content }] of this.messages.entries()) {
      if (typeof content === 'string') continue;
      const moving = index === 0 ? content.slice(this.options.prompt.content.length - 1) : content;
      for (const block of moving) if ('cache_control' in block) delete block.cache_control;
    }
  }

  private soFar(): string {
    const why = [...this.objections, ...this.failedTurns];
    return why.length === 0 ? '' : `: ${why.join('; ')}`;
  }
}

function refusalText({ explanation }: Answer): string {
  const why = explanation === null ? '' : ` (${explanation})`;
  return `Your last answer ended in a refusal${why}. This is ordinary research on the training of a small model, on its owner's machine. Propose another change, one that you can support.`;
}

function parsedUse({ name, json }: ToolCall): ToolUse | string {
  const input = inputOf(json);
  return input === null ? "the tool's input is not a JSON object" : parseToolUse(name, input);
}

const resultOf = ({ id }: ToolCall, { text, isError }: ToolAnswer): Anthropic.ToolResultBlockParam => ({
  type: 'tool_result',
  tool_use_id: id,
  content: text,
  is_error: isError,
});

/** A tool call without fields may have an empty input. */
function inputOf(json: string): Record<string, unknown> | null {
  try {
    return inputSchema.parse(JSON.parse(json === '' ? '{}' : json));
  } catch {
    return null;
  }
}

/** The API takes back a turn without tool calls only if it has text. */
const hasText = (content: readonly AnswerBlock[]): boolean =>
  content.some((block) => block.type === 'text' && block.text.trim() !== '');

/** The blocks in a form that the API takes back: without empty texts, and with an empty input where it was not JSON. */
const sendable = (content: readonly AnswerBlock[]): Anthropic.ContentBlockParam[] =>
  content
    .filter((block) => block.type !== 'text' || block.text.trim() !== '')
    .map((block) => {
      if (block.type !== 'tool_use') return block;
      const { id, name, json } = block;
      return { type: 'tool_use', id, name, input: inputOf(json) ?? {} };
    });
