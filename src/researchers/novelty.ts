/**
 * Limits the data that edits bring in: a candidate could learn from its own data before the clock starts, or store answers.
 * Data is counted against the study's base, so many small edits get no more room than one (novelty.py defines what counts).
 */
import { z } from 'zod';
import type { LabConfig } from '../labs/lab-yaml';
import type { Git } from '../ledger/git';
import { findBlobIds, readBlobs } from '../ledger/objects';
import { python3 } from '../process/interpreter';
import { asset } from '../process/package-root';
import { capture } from './capture';

const TIMEOUT_MS = 120_000;
const answerSchema = z.strictObject({ literals: z.int().nonnegative(), packed: z.int().nonnegative() });

type Rules = Pick<LabConfig, 'editable'> & {
  caps: Pick<LabConfig['caps'], 'literal_bytes' | 'packed_bytes'>;
};

/**
 * Why a candidate brings in too much data, in one line; null when it does not.
 * @param base commit that the study began from
 * @param candidate commit or tree
 */
export async function tooMuchData(
  git: Git,
  base: string,
  candidate: string,
  { editable, caps }: Rules,
  signal: AbortSignal,
): Promise<string | null> {
  const ids = await findBlobIds(
    git,
    [base, candidate].flatMap((treeish) => editable.map((path) => `${treeish}:${path}`)),
  );
  const files = editable.map((path, index) => ({
    path,
    base: ids[index] ?? null,
    candidate: ids[editable.length + index] ?? null,
  }));
  const changed = files.filter((file) => file.base !== file.candidate);
  if (changed.length === 0) return null;
  const { literals, packed } = await measure(git, changed, signal);
  if (literals > caps.literal_bytes) {
    return (
      `the editable files hold ${literals} bytes of strings and numbers that the study's base does not have, ` +
      `caps.literal_bytes allows ${caps.literal_bytes}: compute these values in code, or remove some`
    );
  }
  if (packed > caps.packed_bytes) {
    return (
      `the lines of the editable files that the study's base does not have are ${packed} bytes when compressed, ` +
      `caps.packed_bytes allows ${caps.packed_bytes}: write less code and fewer comments, with no data in them`
    );
  }
  return null;
}

interface Changed {
  path: string;
  base: string | null;
  candidate: string | null;
}

async function measure(git: Git, changed: readonly Changed[], signal: AbortSignal) {
  const side = async (which: 'base' | 'candidate') => {
    const there = changed.flatMap(({ path, [which]: id }) => (id === null ? [] : [{ path, id }]));
    const blobs = await readBlobs(
      git,
      there.map(({ id }) => id),
    );
    return there.map(({ path }, index) => ({ path, base64: blobs[index]!.toString('base64') }));
  };
  const question = { base: await side('base'), candidate: await side('candidate') };
  const script = asset('src', 'researchers', 'novelty.py');
  const { stdout } = await capture([await python3(), '-I', '-SB', script], {
    stdin: JSON.stringify(question),
    timeoutMs: TIMEOUT_MS,
    signal,
  });
  return answerSchema.parse(JSON.parse(stdout));
}
