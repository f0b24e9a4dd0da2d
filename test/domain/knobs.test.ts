import * as fc from 'fast-check';
import { admits, describeChanges, KnobError, readKnob, turnKnob, knobsNow } from '../../src/domain/knobs';
import type { Research } from '../../src/domain/experiment';
import type { Knob } from '../../src/domain/lab';

const rate: Knob = { name: 'LR', file: 'train.py', type: 'float', low: 0.001, high: 1, log: true };
const depth: Knob = { name: 'DEPTH', file: 'train.py', type: 'int', low: 2, high: 12, step: 2, log: false };
const norm: Knob = { name: 'NORM', file: 'train.py', type: 'choice', values: ['rms', 'layer', true] };

const FILE = `DEPTH   = 4      # layers
LR      = 0.02   # peak learning rate
NORM    = "rms"  # rms or layer
MY_LR   = 0.02
print(f"LR = {LR}")
`;

const turned = (knob: Knob, value: number | string | boolean): string => {
  const { search, replace } = turnKnob(knob, FILE, value);
  expect(FILE.split(search)).toHaveLength(2); // an edit must apply at exactly one place
  return FILE.replace(search, () => replace);
};

test("reads the literal of the constant's line", () => {
  expect([depth, rate, norm].map((knob) => readKnob(knob, FILE))).toEqual([4, 0.02, 'rms']);
});

test('setting a value changes its literal and nothing else', () => {
  expect(turned(depth, 6)).toBe(FILE.replace('DEPTH   = 4 ', 'DEPTH   = 6 '));
  expect(turned(rate, 0.0312)).toBe(FILE.replace('LR      = 0.02   # peak', 'LR      = 0.0312   # peak'));
  expect(turned(norm, true)).toBe(FILE.replace('"rms"', 'True'));
});

test('a set value reads back unchanged', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (value) => {
      expect(readKnob(rate, turned(rate, value))).toBe(value);
    }),
  );
});

test('a constant that is missing, doubled or computed is an error that names it', () => {
  expect(() => readKnob({ ...rate, name: 'GONE' }, FILE)).toThrow(KnobError);
  expect(() => readKnob(rate, `${FILE}LR = 1\n`)).toThrow('found 2');
  expect(() => readKnob(depth, 'DEPTH = 2 * 3\n')).toThrow('expected exactly one line "DEPTH = <number');
});

test('values out of range are not admitted', () => {
  expect([2, 3, 4, 14, 'rms'].map((value) => admits(depth, value))).toEqual([
    true,
    false,
    true,
    false,
    false,
  ]);
  expect(admits(norm, 'layer')).toBe(true);
  expect(admits(norm, 'batch')).toBe(false);
});

test('a title names the largest changes first', () => {
  const changes = [
    { knob: depth, from: 4, to: 6 },
    { knob: rate, from: 0.02, to: 0.9 },
    { knob: norm, from: 'rms', to: 'layer' },
    { knob: { ...rate, name: 'WD' }, from: 0.1, to: 0.11 },
  ];
  expect(describeChanges(changes)).toBe('NORM rms → layer, LR 0.02 → 0.9, DEPTH 4 → 6 and 1 more');
});

const range = (name: string, low: number, high: number, log = false, file = 'train.py'): Knob => ({
  name,
  file,
  type: 'float',
  low,
  high,
  log,
});

describe('ranges that a researcher gave', () => {
  const text = 'LR = 0.02\nDEPTH = 4\nEPS = 1e-08\nBIAS = 0.0\nKIND = "adam"\nTWICE = 1\nTWICE = 2\n';
  const lab: Knob[] = [{ name: 'LR', file: 'train.py', type: 'float', low: 0.001, high: 1, log: true }];
  const namesFor = (...ranges: Knob[][]) =>
    knobsNow(
      lab,
      ranges.map((each) => ({ research: { ranges: each } as Research })),
      { 'train.py': text },
    );

  it("add to lab.yaml's, and the latest one for a name counts", () => {
    const later = range('EPS', 1e-9, 1e-7, true);
    expect(namesFor([range('EPS', 1e-9, 1e-6, true)], [later])).toEqual([lab[0], later]);
    expect(knobsNow(lab, [{ research: null }], { 'train.py': text })).toEqual(lab);
  });

  it.each([
    ['a knob of lab.yaml', range('LR', 0.01, 0.1)],
    ['a constant that is not there', range('GONE', 0, 1)],
    ['a constant that is there twice', range('TWICE', 0, 4)],
    ['a file that is not editable', range('EPS', 1e-9, 1e-7, true, 'score.py')],
    ['low above high', range('EPS', 1e-7, 1e-9)],
    ['a logarithm of zero', range('BIAS', 0, 1, true)],
    ['the value of now outside', range('DEPTH', 5, 12)],
    ['more than a factor of 1000', range('DEPTH', 1, 1001)],
    ['zero and more than 1000 times the value', range('EPS', 0, 1)],
    ['other types of value', { name: 'KIND', file: 'train.py', type: 'choice', values: ['adam', 1] }],
    ['code in a string', { name: 'KIND', file: 'train.py', type: 'choice', values: ['adam', '"+x'] }],
  ] satisfies [string, Knob][])('are left out: %s', (_, knob) => {
    expect(namesFor([knob])).toEqual(lab);
  });

  it("make 24 hyperparameters at most, lab.yaml's included", () => {
    const many = Array.from({ length: 30 }, (_, index) => range(`K${index}`, 0.5, 2));
    const files = { 'train.py': `${text}${many.map(({ name }) => `${name} = 1\n`).join('')}` };
    const knobs = knobsNow(lab, [{ research: { ranges: many } as Research }], files);
    expect(knobs).toHaveLength(24);
    expect(knobs[0]).toEqual(lab[0]);
  });
});

test('a hyperparameter on the first line after a byte order mark is read and set', () => {
  const knob = { name: 'LR', file: 'train.py', type: 'float', low: 0.001, high: 1, log: true } as const;
  const text = '\uFEFFLR = 0.02\r\nDEPTH = 4\r\n';
  expect(readKnob(knob, text)).toBe(0.02);
  const { search, replace } = turnKnob(knob, text, 0.03);
  expect(text.replace(search, replace)).toBe('\uFEFFLR = 0.03\r\nDEPTH = 4\r\n');
});
