/** What `verify` finds: places where the records of a study and what hangs on them do not say the same. */

/** Mends what is derived. Each is a compare-and-swap: it does nothing once somebody else has been there. */
export type Repair =
  | { kind: 'ref'; ref: string; from: string | null; to: string }
  | { kind: 'results'; head: string; text: string };

export interface Difference {
  /** Where it was seen. `ledger`: the records themselves, from which nothing can be derived until they are whole. */
  about: 'ledger' | 'refs' | 'branch' | 'results.tsv' | 'workflow';
  /** null where it is not about one. */
  experiment: number | null;
  /** One line: what is, and what was expected. */
  what: string;
  /** What to do about it. */
  todo: string;
  /** null where only a person can say what is right. */
  repair: Repair | null;
}

export interface Findings {
  differences: Difference[];
  /** What is not wrong, but worth knowing: an experiment that was cut off, for instance. */
  notes: string[];
}

export const short = (hash: string): string => hash.slice(0, 7);
