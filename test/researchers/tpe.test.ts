import { readKnob } from '../../src/domain/knobs';
import type { Research } from '../../src/domain/experiment';
import { GivenUp, NoProposal, type Repairing } from '../../src/researchers/researcher';
import { createTpe } from '../../src/researchers/tpe';
import type { Proposal } from '../../src/ledger/proposals';
import { ensureTrainerPython } from '../../src/host/trainer-python';
import { contextOf, LAB, TRAIN } from './context';

jest.setTimeout(120_000);
const never = new AbortController().signal;
const [LR, DEPTH] = LAB.knobs;
let python: string;

beforeAll(async () => {
  python = await ensureTrainerPython(() => undefined);
}, 600_000);

const point = (lr: number, depth: number) =>
  TRAIN.replace('0.02', String(lr)).replace('DEPTH = 4', `DEPTH = ${depth}`);
/** A bowl with its minimum at LR 0.3, DEPTH 6. */
const bowl = (lr: number, depth: number) => 1 + Math.log10(lr / 0.3) ** 2 + ((depth - 6) / 6) ** 2;

function apply({ edits }: Proposal): { lr: number; depth: number } {
  const text = edits.reduce((now, edit) => {
    if (!('search' in edit)) throw new Error('expected search and replace');
    expect(now.split(edit.search)).toHaveLength(2);
    return now.replace(edit.search, () => edit.replace);
  }, TRAIN);
  return { lr: Number(readKnob(LR!, text)), depth: Number(readKnob(DEPTH!, text)) };
}

test('the same history gives the same proposal, and no point is proposed twice', async () => {
  const past = [{ text: TRAIN, score: bowl(0.02, 4) as number | null }];
  const seen = new Set<string>();
  for (let number = 1; number <= 6; number++) {
    const proposal = await createTpe().propose(await contextOf(past, python), never);
    const { lr, depth } = apply(proposal);
    expect(seen.has(`${lr}/${depth}`)).toBe(false);
    seen.add(`${lr}/${depth}`);
    expect(lr).toBeGreaterThanOrEqual(0.001);
    expect(depth).toBeLessThanOrEqual(12);
    past.push({ text: point(lr, depth), score: bowl(lr, depth) });
  }
  const [first, second] = await Promise.all(
    [1, 2].map(async () => createTpe().propose(await contextOf(past, python), never)),
  );
  expect(first).toEqual(second);
  const elsewhere = await createTpe().propose({ ...(await contextOf(past, python)), tag: 'other' }, never);
  expect(elsewhere.edits).not.toEqual(first!.edits);
});

test('it proposes despite crashes, values out of range and missing constants in the history', async () => {
  const past = [
    { text: point(0.02, 4), score: 1.5 },
    { text: point(0.9, 12), score: null },
    { text: point(0.02, 64), score: 1.1 },
    { text: 'print("no knobs")', score: 0.9 },
  ];
  const proposal = await createTpe().propose(await contextOf(past, python), never);
  expect(proposal.title).toMatch(/(LR|DEPTH) .* → /);
});

test('hyperparameters near 1 stay in range, and not only its ends are proposed', async () => {
  const lines = 'BETA2 = 0.995\nEMA = 0.9995\n';
  const lab = {
    ...LAB,
    knobs: [
      { name: 'BETA2', file: 'train.py', type: 'float', low: 0.99, high: 0.9999, log: false },
      { name: 'EMA', file: 'train.py', type: 'float', low: 0.999, high: 0.99999, log: true },
    ],
  } as typeof LAB;
  const seen = { BETA2: new Set<number>(), EMA: new Set<number>() };
  for (let number = 1; number <= 6; number++) {
    const context = await contextOf(
      Array.from({ length: number }, () => ({ text: lines, score: 1 })),
      python,
    );
    const incumbent = { ...context.incumbent, files: { 'train.py': lines } };
    const { edits } = await createTpe().propose({ ...context, lab, incumbent }, never);
    const text = edits.reduce(
      (now, edit) => ('search' in edit ? now.replace(edit.search, () => edit.replace) : now),
      lines,
    );
    for (const knob of lab.knobs) seen[knob.name as 'EMA'].add(Number(readKnob(knob, text)));
  }
  for (const value of seen.BETA2) expect(value >= 0.99 && value <= 0.9999).toBe(true);
  for (const value of seen.EMA) expect(value >= 0.999 && value <= 0.99999).toBe(true);
  expect(seen.EMA.size).toBeGreaterThan(3);
});

test('a lab without hyperparameters gets no proposal, with the reason', async () => {
  const context = await contextOf([], python);
  await expect(createTpe().propose({ ...context, lab: { ...LAB, knobs: [] } }, never)).rejects.toThrow(
    'tpe tunes hyperparameters',
  );
});

test('when every point was tried it gives no proposal, with the reason', async () => {
  const lab = {
    ...LAB,
    knobs: [{ name: 'DEPTH', file: 'train.py', type: 'choice', values: [4, 5] }],
  } as typeof LAB;
  const past = [4, 5].map((depth) => ({ text: point(0.02, depth), score: 1 }));
  const asked = createTpe().propose({ ...(await contextOf(past, python)), lab }, never);
  await expect(asked).rejects.toThrow(NoProposal);
  await expect(asked).rejects.toThrow('were tried before');
});

test('a constant that another researcher added is tuned in the range given for it', async () => {
  const files = { 'train.py': `${TRAIN}GATE = 0.5\n` };
  const range = { name: 'GATE', file: 'train.py', type: 'float', low: 0.1, high: 0.9, log: false };
  const seen = new Set<string>();
  for (let length = 4; length < 7; length++) {
    const past = Array.from({ length }, (_, index) => ({
      text: index < length - 2 ? point(0.01 * (index + 1), 4) : `${point(0.02, 4)}GATE = 0.${index + 1}\n`,
      score: bowl(0.01 * (index + 1), 4),
    }));
    const context = await contextOf(past, python);
    const history = context.history.map((record) => ({
      ...record,
      research: { ranges: [range] } as unknown as Research,
    }));
    const incumbent = { ...context.incumbent, files };
    const { title } = await createTpe().propose({ ...context, history, incumbent }, never);
    for (const [name] of title.matchAll(/[A-Z]+/g)) seen.add(name);
  }
  expect([...seen].toSorted()).toEqual(['DEPTH', 'GATE', 'LR']);
});

test('it gives up every repair', async () => {
  const repair = { attempt: 1 } as Repairing;
  await expect(createTpe().propose({ ...(await contextOf([])), repair }, never)).rejects.toThrow(GivenUp);
});
