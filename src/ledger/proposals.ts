/** What a researcher answers: a change with its reason, kept in git before anything is done with it. */
import { z } from 'zod';
import { RefConflict, type Git } from './git';
import { readBlobs, writeBlob } from './objects';
import { proposalRef } from './refs';
import { noteSchema, researchSchema, textSchema } from './research';

export const MAX_EDITS = 200;
export const MAX_HYPOTHESIS = 4000;

const line = textSchema.regex(/^\P{Cc}+$/u, 'expected one line');
/** Paths are checked when edits are applied, so that a wrong one is the candidate's failure and has a reason. */
const path = z.string().min(1).max(1000);

const editSchema = z.union([
  /** Replaces a text that must occur exactly once. */
  z.strictObject({ path, search: z.string().min(1), replace: z.string() }),
  /** The whole new content. */
  z.strictObject({ path, content: z.string() }),
  z.strictObject({ path, delete: z.literal(true) }),
]);

export const proposalSchema = z.strictObject({
  format: z.literal(1),
  title: line.max(120),
  hypothesis: textSchema.max(MAX_HYPOTHESIS),
  edits: z.array(editSchema).max(MAX_EDITS),
  /** What it cost to propose, in US dollars, with all that was asked for this experiment before. */
  dollars: z.number().nonnegative().optional(),
  /** Who proposed it, where a study has several researchers. */
  researcher: z.string().optional(),
  research: researchSchema.optional(),
  /** Ideas for later. */
  ideas: z.array(noteSchema).max(20).optional(),
  /** Changes that were refused before this one because they had been tried. */
  repeatsRefused: z.int().nonnegative().optional(),
  /** Nothing was proposed, and why: an answer too, so that nobody is asked again for this experiment. */
  gaveUp: textSchema.max(1000).optional(),
});

export type Edit = z.infer<typeof editSchema>;
export type Proposal = z.infer<typeof proposalSchema>;

/**
 * Keeps a proposal as the study's n-th and gives its blob. The first one wins: a researcher that was asked
 * twice by two workers was asked once.
 * @param repair 0 for the change itself, 1 for its first repair, …
 */
export async function storeProposal(
  git: Git,
  tag: string,
  number: number,
  proposal: Proposal,
  repair = 0,
): Promise<string> {
  const ref = proposalRef(tag, number, repair);
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

/** The study's n-th proposal, or a repair of it; null while there is none. */
export async function findProposal(
  git: Git,
  tag: string,
  number: number,
  repair = 0,
): Promise<string | null> {
  return git.resolve(proposalRef(tag, number, repair));
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
