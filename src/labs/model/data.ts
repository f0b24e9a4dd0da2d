/** Prepared data: packed rows of token ids with a manifest, made once by the lab's prepare.py and never changed. */
import { z } from 'zod';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const split = z.strictObject({
  /** File name inside the data folder: `rows` × `row` token ids, uint16, little endian. */
  file: z.string().regex(/^[a-z][a-z0-9_.-]*$/),
  rows: z.int().positive(),
  sha256,
});

/** manifest.json, written last: a data folder without it is half made. */
export const manifestSchema = z.strictObject({
  version: z.literal(1),
  source: z.string(),
  vocabulary: z.int().positive().max(65_536),
  bos: z.int().nonnegative(),
  /** Token ids in a row. Every row begins with BOS. */
  row: z.int().min(2),
  train: split,
  val: split.extend({
    /** Bytes of source text that the validation rows' targets spell out: the divisor of bits per byte. */
    bytes: z.int().positive(),
  }),
  /** `token_bytes.bin`: uint16 a token id, the bytes of source text that it stands for (0 for BOS). */
  token_bytes: z.strictObject({ file: z.string(), sha256 }),
  tokenizer: z.strictObject({ file: z.string(), sha256 }),
});

export type Manifest = z.infer<typeof manifestSchema>;
