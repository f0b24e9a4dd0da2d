import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  changeResearcher,
  changeSchemas,
  chooseResearcher,
  researcherSchemas,
  type ResearcherRequest,
} from '../../src/cli/researcher';
import { openLab } from '../../src/labs/lab';
import { FILES, LAB_YAML, makeLab, makeStudy, temporary } from '../labs/make-lab';

const KNOBS = 'knobs: [{ name: DEPTH, type: int, low: 1, high: 4 }]\n';

async function choose(asked: ResearcherRequest, usd: number | null = null, knobs = KNOBS) {
  const lab = await openLab(makeLab({ ...FILES, 'lab.yaml': LAB_YAML + knobs }).root);
  return chooseResearcher(asked, lab, usd);
}

function setPrices(text: string): void {
  const folder = join(process.env['XDG_CONFIG_HOME'] ?? '', 'autoresearch');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'prices.yaml'), text);
}

beforeEach(() => {
  process.env['XDG_STATE_HOME'] = temporary('state');
  process.env['XDG_CONFIG_HOME'] = temporary('config');
  process.env['ANTHROPIC_API_KEY'] = 'sk-ant-test-key-of-nobody';
});

test('claude where there is a key, tpe where there is none', async () => {
  expect(await choose({})).toMatchObject({
    researcher: 'claude',
    repairs: 2,
    model: { name: 'claude-opus-5-5', effort: 'high', price: { input: 4, output: 20 } },
  });
  delete process.env['ANTHROPIC_API_KEY'];
  expect(await choose({})).toMatchObject({ researcher: 'tpe', repairs: 0, model: null });
  await expect(choose({ researcher: 'claude+tpe' })).rejects.toMatchObject({
    code: 'prerequisite',
    todo: expect.stringContaining('ANTHROPIC_API_KEY'),
  });
});

test('options that do not go together are refused with what to do', async () => {
  await expect(choose({ researcher: 'tpe', model: 'claude-opus-5-5' })).rejects.toThrow('--model is for');
  await expect(choose({ researcher: 'command' })).rejects.toThrow('needs a command line');
  await expect(choose({ researcher: 'claude', command: 'x' })).rejects.toThrow('--command is for');
  await expect(choose({ researcher: 'tpe', commandMinutes: 5 })).rejects.toThrow('--command-minutes is for');
  await expect(choose({ researcher: 'tpe', usdPerCall: 1 })).rejects.toThrow('--usd-per-call is for');
  await expect(choose({ researcher: 'tpe', lessonsEvery: 5 })).rejects.toThrow('--lessons-every is for');
  await expect(choose({ researcher: 'tpe', plateauAfter: 5 })).rejects.toThrow('tpe cannot');
  await expect(choose({ researcher: 'claude+tpe' }, null, '')).rejects.toThrow('names no knobs');
});

test('a variable that gives an agent too much is refused at once', async () => {
  process.env['AUTORESEARCH_AGENT_READS'] = '/etc';
  try {
    await expect(choose({ researcher: 'command', command: 'agent' })).rejects.toMatchObject({
      name: 'AgentSettingsError',
      message: expect.stringContaining('AUTORESEARCH_AGENT_READS names "/etc"'),
    });
    expect(await choose({ researcher: 'tpe' })).toMatchObject({ researcher: 'tpe' });
  } finally {
    delete process.env['AUTORESEARCH_AGENT_READS'];
  }
});

test('a limit in dollars covers a call of a command, whose cost nobody knows before it ends', async () => {
  const command = { researcher: 'command', command: 'agent' } as const;
  expect(await choose(command, 2)).toMatchObject({ callDollars: null });
  expect(await choose({ ...command, usdPerCall: 0.1 }, 0.5)).toMatchObject({ callDollars: 0.1 });
  expect(await choose({ ...command, usdPerCall: 0 }, 0.5)).toMatchObject({ callDollars: 0 });
  expect(await choose({ ...command, usdPerCall: 5 })).toMatchObject({ callDollars: 5 });
  await expect(choose(command, 0.5)).rejects.toMatchObject({
    message: expect.stringContaining('counts as $1.00 until one has said what it cost'),
    todo: expect.stringContaining('--usd-per-call'),
  });
  await expect(choose({ ...command, usdPerCall: 3 }, 2)).rejects.toThrow('counts as $3.00');
});

test('no answer may have more tokens than come in its time', () => {
  for (const { answerTokens } of [researcherSchemas, changeSchemas]) {
    expect(answerTokens.parse('64000')).toBe(64_000);
    expect(answerTokens.safeParse('64001').error?.issues[0]?.message).toBe(
      'expected at most 64000, for an answer has 30 minutes',
    );
  }
});

test('how often lessons are drawn, and what makes a plateau, is chosen', async () => {
  expect(await choose({})).toMatchObject({ plateauAfter: 8, model: { lessonsEvery: 20 } });
  const chosen = await choose({ researcher: 'claude+tpe', lessonsEvery: 5, plateauAfter: 3 });
  expect(chosen).toMatchObject({ plateauAfter: 3, model: { lessonsEvery: 5 } });
});

const begun = async (asked: ResearcherRequest) => ({
  ...makeStudy(makeLab().root, 'b'.repeat(40), 'nov21'),
  ...(await choose(asked)),
});

describe('a study that begins again', () => {
  test('may ask another model, at its own price, and keeps what was not named', async () => {
    const before = await begun({ researcher: 'claude+tpe', effort: 'low', lessonsEvery: 5 });
    const { model, researcher } = await changeResearcher(before, { model: 'claude-haiku-4-5' }, 3);
    expect(researcher).toBe('claude+tpe');
    expect(model).toMatchObject({ name: 'claude-haiku-4-5', effort: 'low', lessonsEvery: 5 });
    expect(model?.price?.input).toBe(1);
    await expect(changeResearcher(before, { model: 'claude-nameless-1' }, 3)).rejects.toThrow(
      'the price of claude-nameless-1 is not known',
    );
    expect(await changeResearcher(before, {}, null)).toEqual(before);
  });

  test('asks no model where it asked none, and runs no command that came from elsewhere', async () => {
    const numeric = await begun({ researcher: 'tpe' });
    await expect(changeResearcher(numeric, { effort: 'low' }, null)).rejects.toThrow('--effort is for');
    const foreign = { ...numeric, researcher: 'command+tpe', researcherCommand: null };
    await expect(changeResearcher(foreign, {}, null)).rejects.toMatchObject({
      todo: expect.stringContaining('resume nov21 --command'),
    });
    expect(await changeResearcher(foreign, { command: './agent' }, null)).toMatchObject({
      researcherCommand: './agent',
    });
  });
});

test('a limit in dollars needs a price; the user may give one, and one for the GPU', async () => {
  const asked = { model: 'claude-fable-5-2' };
  expect((await choose(asked)).model?.price).toBeNull();
  await expect(choose(asked, 20)).rejects.toThrow('the price of claude-fable-5-2 is not known');
  setPrices('models: { claude-fable-5-2: { input: 8, output: 40, cacheRead: 0.4 } }\ngpuHour: 2.5\n');
  const chosen = await choose(asked, 20);
  expect(chosen.gpuHourDollars).toBe(2.5);
  expect(chosen.model?.price).toEqual({
    input: 8,
    output: 40,
    cacheWrite: 10,
    cacheWriteHour: 16,
    cacheRead: 0.4,
  });
});

test('a price that depends on the length of the question is the one for the longest that may be asked', async () => {
  const models = [100_000, 100_001].map(async (contextTokens) =>
    choose({ model: 'claude-haiku-5-5', contextTokens }),
  );
  expect((await Promise.all(models)).map(({ model }) => model?.price?.input)).toEqual([0.1, 0.5]);
});

test.each([
  ['models: { x: { input: -1, output: 2 } }', 'models.x.input: expected 0 or more'],
  ['model: {}', 'Unrecognized key'],
  ['models: [', 'is not a list of prices'],
])('a list of prices that is wrong (%s) is refused with its place', async (text, message) => {
  setPrices(text);
  await expect(choose({})).rejects.toThrow(message);
});
