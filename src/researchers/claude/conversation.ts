/** One conversation: the question, the model's looking up, its proposal, and what was wrong with it. Always bounded. */
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import type { ModelSettings } from '../../domain/study';
import type { Proposal } from '../../ledger/proposals';
import { GivenUp, NoProposal, type ResearchContext } from '../researcher';
import { editsOf, objectionTo, proposalOf } from './answer';
import { LOOK_UPS, OBJECTIONS } from './bounds';
import { call, type Answer, type CallTimes } from './call';
import { complaint, readFile, showExperiment, type Said } from './look-up';
import type { Prompt } from './prompt';
import type { AnswerBlock, ToolCall } from './stream';
import { estimateTokens } from './tokens';
import { parseToolUse, toolDefinitions, type ProposeInput, type ToolUse } from './tools';
import type { Transcript } from './transcript';

/** Answers that may be none. */
const NO_ANSWERS = 3;
/** What one look-up may bring. */
const LOOK_UP_TOKENS = 8_000;
const ENOUGH = complaint('you have looked up enough: propose your change now');
/** A message's own: role, ids, types. */
const MESSAGE_TOKENS = 40;
/** What an answer's block has beside what was written: ids, and a thought's signature, which is sent back with it. */
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
  /** Messages that the transcript has already. */
  private written = 0;
  private objections: string[] = [];
  private noAnswers: string[] = [];
  private lookUps = 0;
  private remindedOfLessons = false;
  /** Tokens of the next question, at most. */
  private tokens: number;

  constructor(private readonly options: ConversationOptions) {
    this.messages = [{ role: 'user', content: options.prompt.content.map((block) => ({ ...block })) }];
    this.tokens = options.prompt.tokens;
  }

  /** @throws NoProposal when it has led to nothing; GivenUp; BudgetExhausted, TooLong and ApplicationFailure from the call */
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
        `the conversation would have ${this.tokens} tokens, and ${model.contextTokens} are allowed${this.soFar()}`,
      );
    }
    const question = { system: prompt.system, messages: this.messages, tools: toolDefinitions() };
    const answer = await call(question, this.tokens, model, context.purse, times, signal);
    await transcript.add(question, this.written, answer);
    this.written = this.messages.length;
    const { usage } = answer;
    // What it really had, as the API counts, is better than our estimate from here on.
    const asked = usage.input + usage.cacheRead + usage.cacheWrite + usage.cacheWriteHour;
    // An answer that was filtered out has no figures where the API gave none; without a block nothing of it is sent back.
    const { length } = answer.content;
    if (asked > 0) this.tokens = asked + (length > 0 ? usage.output + BLOCK_TOKENS * length : 0);
    return answer;
  }

  /** Goes on with what the answer asks for. @returns the proposal once there is a good one */
  private async take(answer: Answer): Promise<Proposal | null> {
    if (answer.stop === 'refusal') return this.askAnew(refusalText(answer));
    if (answer.stop === 'max_tokens' || answer.stop === 'model_context_window_exceeded') {
      return this.askAnew(
        'Your last answer was cut off before its end. Think shorter, and answer with a smaller change.',
      );
    }
    if (answer.stop === 'pause_turn') return this.goOn(answer);
    const uses = answer.content.filter((block) => block.type === 'tool_use');
    if (uses.length === 0) return this.insist(answer);
    return this.serve(answer, uses);
  }

  private askAnew(remark: string): null {
    this.noAnswer(remark);
    return this.remark(remark);
  }

  /** The answer is left out, for the API would not take it back, and the question gets a remark. */
  private remark(text: string): null {
    const last = this.messages.pop();
    const content = typeof last?.content === 'string' ? [] : (last?.content ?? []);
    this.messages.push({ role: 'user', content: [...content, { type: 'text', text }] });
    // The answer's tokens stay counted, though it is dropped: this errs on the side of too many.
    this.tokens += estimateTokens(text) + MESSAGE_TOKENS;
    // The transcript gets the question again, with the remark.
    this.written = this.messages.length - 1;
    return null;
  }

  /** It has not finished its turn: the same again, with what it has said so far. */
  private goOn({ content }: Answer): null {
    this.noAnswer('it paused in the middle of its turn');
    if (!saysSomething(content)) return this.remark('Go on.');
    this.messages.push(
      { role: 'assistant', content: sendable(content) },
      { role: 'user', content: 'Go on.' },
    );
    return null;
  }

  private insist({ content }: Answer): null {
    const remark = 'Only tools are read. Call propose with your change.';
    this.noAnswer('it called no tool');
    if (!saysSomething(content)) return this.remark(remark);
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
      const said = typeof parsed === 'string' ? complaint(parsed) : await this.use(parsed);
      if ('proposal' in said) return said.proposal;
      if (said === ENOUGH) useless.push('it only looked things up');
      results.push(this.counted(resultOf(use, said)));
    }
    if (useless.length === uses.length) this.noAnswer([...new Set(useless)].join('; '));
    this.messages.push({ role: 'assistant', content: sendable(answer.content) });
    this.say(results);
    return null;
  }

  private async use(use: ToolUse): Promise<Said | { proposal: Proposal }> {
    const { context } = this.options;
    switch (use.name) {
      case 'read_file':
        return this.lookUp((tokens) => Promise.resolve(readFile(context, use.input, tokens)));
      case 'show_experiment':
        return this.lookUp((tokens) => showExperiment(context, use.input.number, tokens));
      case 'give_up':
        if (context.repair === null)
          return this.object('give_up is for crashed candidates only: propose a change');
        throw new GivenUp(use.input.reason);
      case 'propose':
        break;
    }
    return this.propose(use.input);
  }

  private async lookUp(look: (tokens: number) => Promise<Said>): Promise<Said> {
    const { model } = this.options;
    const room = Math.floor((model.contextTokens - this.tokens) / 3);
    this.lookUps++;
    return this.lookUps > LOOK_UPS || room < 500 ? ENOUGH : look(Math.min(LOOK_UP_TOKENS, room));
  }

  private async propose(input: ProposeInput): Promise<Said | { proposal: Proposal }> {
    const { context, transcript, model, prompt, lessonsDue, signal } = this.options;
    const wrong = objectionTo(input, context);
    if (wrong !== null) return this.object(wrong);
    if (lessonsDue && (input.lessons ?? []).length === 0 && !this.remindedOfLessons) {
      this.remindedOfLessons = true;
      return complaint('the change is not looked at yet: lessons are due. Propose it again with `lessons`');
    }
    const objection = await context.check(editsOf(input), signal);
    if (objection !== null) return this.object(`${objection.kind}: ${objection.message}`);
    const usage = await transcript.usage(model.name);
    return { proposal: proposalOf(input, context, { hints: prompt.hints, lessonsDue, usage }) };
  }

  private object(why: string): Said {
    this.objections.push(why);
    if (this.objections.length > OBJECTIONS) {
      throw new NoProposal(`${OBJECTIONS} proposals were sent back, and the next one too: ${why}`);
    }
    return complaint(why);
  }

  private noAnswer(why: string): void {
    this.noAnswers.push(why);
    if (this.noAnswers.length > NO_ANSWERS) throw new NoProposal(`it answered no proposal: ${why}`);
  }

  /** As soon as it is made: what comes after it in the same message has only the room that it leaves. */
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

  /** The API takes four marks: those of what stands still, and one that moves with the conversation. */
  private forgetLastMark(): void {
    for (const [index, { content }] of this.messages.entries()) {
      if (typeof content === 'string') continue;
      const moving = index === 0 ? content.slice(this.options.prompt.content.length - 1) : content;
      for (const block of moving) if ('cache_control' in block) delete block.cache_control;
    }
  }

  private soFar(): string {
    const why = [...this.objections, ...this.noAnswers];
    return why.length === 0 ? '' : `: ${why.join('; ')}`;
  }
}

function refusalText({ explanation }: Answer): string {
  const why = explanation === null ? '' : ` (${explanation})`;
  return `Your last answer ended in a refusal${why}. This is ordinary research on a small model's training, on its owner's machine. Propose another change that you can stand behind.`;
}

function parsedUse({ name, json }: ToolCall): ToolUse | string {
  const input = inputOf(json);
  return input === null ? "the tool's input is not a JSON object" : parseToolUse(name, input);
}

const resultOf = ({ id }: ToolCall, { text, isError }: Said): Anthropic.ToolResultBlockParam => ({
  type: 'tool_result',
  tool_use_id: id,
  content: text,
  is_error: isError,
});

/** A tool without fields may have no input at all. */
function inputOf(json: string): Record<string, unknown> | null {
  try {
    return inputSchema.parse(JSON.parse(json === '' ? '{}' : json));
  } catch {
    return null;
  }
}

/** A turn without a word cannot be sent back, nor can one that is a thought only. */
const saysSomething = (content: readonly AnswerBlock[]): boolean =>
  content.some((block) => block.type === 'text' && block.text.trim() !== '');

/** Blocks as they are sent back: no empty texts, and an input that is no JSON becomes an empty one. */
const sendable = (content: readonly AnswerBlock[]): Anthropic.ContentBlockParam[] =>
  content
    .filter((block) => block.type !== 'text' || block.text.trim() !== '')
    .map((block) => {
      if (block.type !== 'tool_use') return block;
      const { id, name, json } = block;
      return { type: 'tool_use', id, name, input: inputOf(json) ?? {} };
    });
