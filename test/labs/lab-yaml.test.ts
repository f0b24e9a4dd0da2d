/** Whatever lab.yaml holds: it is a lab, or one error says what is wrong with it. */
import * as fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { LabConfigError, parseLabConfig } from '../../src/labs/lab-yaml';
import { LAB_YAML } from './make-lab';

/** Null for a lab, otherwise the error. */
function refusalOf(text: string): unknown {
  try {
    parseLabConfig(text);
    return null;
  } catch (error) {
    return error;
  }
}

const isRefusedInWords = (refusal: unknown): boolean =>
  refusal instanceof LabConfigError && refusal.message.startsWith('lab.yaml');

test.each([
  ['nothing', ''],
  ['a word', 'lab'],
  ['an alias of nothing', 'name: *nobody'],
  ['an alias of itself', '&a [*a]'],
  [
    'aliases without end',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from('bcdefghi')
      .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`).join()}]`)
      .join('\n')}`,
  ],
  ['two documents', `${LAB_YAML}\n---\n${LAB_YAML}`],
  ['a key twice', `${LAB_YAML}\nversion: 1\n`],
  ['a key that is a list', '? [a, b]\n: c\n'],
  ['a merge of everything', `<<: [1, 2]\n${LAB_YAML}`],
  ['a foreign tag', `${LAB_YAML}\nx: !!js/function "() => 1"\n`],
  ['its own prototype', `${LAB_YAML}\n__proto__: { version: 2 }\n`],
  ['bytes of no text', '\u0000\uFFFE\u0007'],
  ['depth without end', '['.repeat(2_000)],
])('%s is refused in words', (_what, text) => {
  expect(isRefusedInWords(refusalOf(text))).toBe(true);
});

test('the cap for the submission goes by its name of version 0.4 too', () => {
  expect(
    parseLabConfig(LAB_YAML.replace('caps: {', 'caps: { handin_seconds: 7,')).caps.submission_seconds,
  ).toBe(7);
  expect(
    parseLabConfig(LAB_YAML.replace('caps: {', 'caps: { submission_seconds: 7,')).caps.submission_seconds,
  ).toBe(7);
});

/** A lab with some of its values changed for anything. */
const damaged = fc
  .tuple(fc.array(fc.tuple(fc.nat(), fc.jsonValue()), { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([changes, removes]) => {
    const lab: Record<string, unknown> = parse(LAB_YAML);
    for (const [at, value] of changes) {
      const places = placesIn(lab);
      const [holder, key] = places[at % places.length]!;
      if (removes) delete holder[key];
      else holder[key] = value;
    }
    return stringify(lab);
  });

type Place = [Record<string, unknown>, string];

function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key): Place[] => [[holder, key], ...placesIn(holder[key])]);
}

test('any text, and any lab with something wrong in it', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.jsonValue().map((value) => stringify(value)),
    damaged,
  );
  fc.assert(
    fc.property(texts, (text) => {
      const refusal = refusalOf(text);
      expect(refusal === null || isRefusedInWords(refusal)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('a lab whose lines are cut, doubled or swapped', () => {
  const lines = LAB_YAML.split('\n');
  fc.assert(
    fc.property(
      fc.array(fc.nat(lines.length - 1), { maxLength: 30 }),
      fc.nat(LAB_YAML.length),
      (order, cut) => {
        for (const text of [order.map((at) => lines[at]).join('\n'), LAB_YAML.slice(0, cut)]) {
          const refusal = refusalOf(text);
          expect(refusal === null || isRefusedInWords(refusal)).toBe(true);
        }
      },
    ),
    { numRuns: 300 },
  );
});
