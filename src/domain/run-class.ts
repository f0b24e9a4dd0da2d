/** A class: what must be equal for two scores to be comparable. Which keys it has is the lab's kind to say. */
export type RunClass = Readonly<Record<string, string>>;

const HASH = /^[0-9a-f]{32,}$/;

/** A value as people read it: of a hash its first characters. */
export const classText = (value: string): string => (HASH.test(value) ? value.slice(0, 12) : value);

/**
 * What differs between classes, and makes their scores say nothing about each other: `device (A100, H200)`. Empty where they
 * compare. A class that lacks a key differs from one that has it.
 */
export function classDifferences(classes: readonly RunClass[]): string[] {
  const keys = new Set(classes.flatMap((each) => Object.keys(each)));
  return [...keys].flatMap((key) => {
    const values = [...new Set(classes.map((each) => each[key] ?? 'none'))];
    return values.length <= 1 ? [] : [`${key} (${values.map(classText).join(', ')})`];
  });
}
