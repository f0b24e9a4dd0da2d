/** What a dying disk, another version or a person's editor may make of a text file. */
import * as fc from 'fast-check';

/** What a file may hold now, by what it held: cut, replaced, with a value changed, or gone. */
type Damage = (text: string) => string | null;

export const damages: fc.Arbitrary<Damage> = fc.oneof(
  fc.constant(() => null),
  fc.nat().map((at) => (text: string) => text.slice(0, at % (text.length + 1))),
  fc.string({ unit: 'binary', maxLength: 60 }).map((content) => () => content),
  fc.jsonValue().map((value) => () => JSON.stringify(value)),
  fc.tuple(fc.nat(), fc.jsonValue()).map(
    ([at, value]) =>
      (text: string) =>
        changed(text, at, value),
  ),
  fc.tuple(fc.nat(), fc.nat()).map(([from, to]) => (text: string) => {
    const lines = text.split('\n');
    return [...lines.slice(from % lines.length), ...lines.slice(0, to % lines.length)].join('\n');
  }),
);

function changed(text: string, at: number, value: unknown): string {
  try {
    const holder: Record<string, unknown> = JSON.parse(text);
    const keys = Object.keys(holder);
    return JSON.stringify({ ...holder, [keys[at % keys.length] ?? '']: value });
  } catch {
    return text.replaceAll(String(at % 10), String(value));
  }
}
