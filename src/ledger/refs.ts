/** Names of a study's refs, and rules for tags. */
import { z } from 'zod';
import { experimentName } from '../domain/experiment';
import type { Git } from './git';

const LEDGERS = 'refs/heads/autoresearch-ledger';

/** A study's tag: a part of branch names, folder names and workflow ids. */
export const tagSchema = z
  .string()
  .max(40, 'expected a tag of at most 40 characters')
  .regex(
    /^[a-z0-9][a-z0-9._-]*$/,
    'expected a tag of lower-case letters, digits, ".", "-" and "_", such as nov21',
  )
  // git check-ref-format refuses each of these.
  .refine((tag) => !tag.includes('..') && !tag.endsWith('.') && !tag.endsWith('.lock'), {
    error: 'expected a tag that git accepts: no "..", no "." or ".lock" at its end',
  });

/** The branch that users see; it points to the incumbent. */
export const branchName = (tag: string): string => `autoresearch/${tag}`;
export const branchRef = (tag: string): string => `refs/heads/${branchName(tag)}`;
export const ledgerRef = (tag: string): string => `${LEDGERS}/${tag}`;
/** All other refs of a study: base, candidates, proposals. */
export const namespace = (tag: string): string => `refs/autoresearch/${tag}`;
export const baseRef = (tag: string): string => `${namespace(tag)}/base`;
export const experimentRef = (tag: string, number: number): string =>
  `${namespace(tag)}/exp/${experimentName(number)}`;
/** `proposal/0042`, and `proposal/0042-1` for its first repair. */
export const proposalRef = (tag: string, number: number, repair = 0): string =>
  `${namespace(tag)}/proposal/${experimentName(number)}${repair === 0 ? '' : `-${repair}`}`;
/** `crashed/0042-1`: the candidate that the first repair replaced. */
export const crashedRef = (tag: string, number: number, repair: number): string =>
  `${namespace(tag)}/crashed/${experimentName(number)}-${repair}`;

/** The tags of a lab's studies that have a ledger. */
export async function studyTags(git: Git): Promise<string[]> {
  const refs = await git.text(['for-each-ref', '--format=%(refname)', `${LEDGERS}/`]);
  return refs
    .split('\n')
    .filter(Boolean)
    .map((ref) => ref.slice(LEDGERS.length + 1));
}

/** True if this lab, or a remote that it has fetched from, uses the tag. */
export async function isTagKnown(git: Git, tag: string): Promise<boolean> {
  const remote = ['autoresearch', 'autoresearch-ledger'].map((kind) => `refs/remotes/*/${kind}/${tag}`);
  const places = [branchRef(tag), ledgerRef(tag), `${namespace(tag)}/`, ...remote];
  return (await git.text(['for-each-ref', '--count=1', '--format=%(refname)', ...places])) !== '';
}

/** The default tag, such as `nov21`, in the host's time zone. */
export function tagOfDay(day: Date): string {
  const month = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'][
    day.getMonth()
  ];
  return `${month}${day.getDate()}`;
}

/** The day's tag, or its first free variant: `nov21`, `nov21b`, …, `nov21z`, `nov21-27`, … */
export async function freeTag(git: Git, day: Date): Promise<string> {
  const first = tagOfDay(day);
  for (let nth = 1; ; nth++) {
    const suffix = nth === 1 ? '' : nth <= 26 ? String.fromCharCode(96 + nth) : `-${nth}`;
    if (!(await isTagKnown(git, first + suffix))) return first + suffix;
  }
}
