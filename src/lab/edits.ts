/** What a researcher answers: a change with its reason, kept in git before anything is done with it. */
import { z } from 'zod';
import { RefConflict, type Git } from './git';
import { readBlobs, writeBlob } from './objects';
import { proposalRef } from './refs';

export const MAX_EDITS = 200;

const line = z.string().regex(/^\P{Cc}+$/u, 'expected one line');
/** Paths are checked when edits are applied, so that a wrong one is the candidate's failure and has a reason. */
const path = z.string().min(1).max(1000);

const editSchema = z.union([
  /** Replaces a text that must occur exactly once. */
  z.strictObject({ path, search: z.string().min(1), replace: z.string() }),
  /** The whole new content. */
  z.strictObject({ path, content: z.string() }),
  z.strictObject({ path, delete: z.literal(true) }),
  /** Something was left there that no edit can say, such as a symbolic link; the reason in words. */
  z.strictObject({ path, unsupported: line.max(200) }),
]);

export const proposalSchema = z.strictObject({
  format: z.literal(1),
  title: line.max(120),
  hypothesis: z.string().max(4000),
  edits: z.array(editSchema).max(MAX_EDITS),
  /** What it cost to propose, in US dollars. */
  dollars: z.number().nonnegative().optional(),
});

export type Edit = z.infer<typeof editSchema>;
export type Proposal = z.infer<typeof proposalSchema>;

/**
 * Keeps a proposal as the study's n-th and gives its blob. The first one wins: a researcher that was asked
 * twice by two workers was asked once.
 */
export async function storeProposal(
  git: Git,
  tag: string,
  number: number,
  proposal: Proposal,
): Promise<string> {
  const ref = proposalRef(tag, number);
  const stored = await git.resolve(ref);
  if (stored !== null) return stored;
  const blob = await writeBlob(git, `${JSON.stringify(proposalSchema.parse(proposal), null, 2)}\n`);
  try {
    await git.moveRef(ref, blob, null);
    return blob;
  } catch (error) {
    if (!(error instanceof RefConflict) || error.actual === null) throw error;
    return error.actual;
  }
}

/** The study's n-th proposal, or null while there is none. */
export async function findProposal(git: Git, tag: string, number: number): Promise<string | null> {
  return git.resolve(proposalRef(tag, number));
}

/** @throws Error if the blob is not a proposal */
export async function readProposal(git: Git, id: string): Promise<Proposal> {
  const [blob] = await readBlobs(git, [id]);
  try {
    return proposalSchema.parse(JSON.parse(String(blob)));
  } catch (error) {
    throw new Error(`object ${id} in ${git.directory} is not a proposal`, { cause: error });
  }
}
