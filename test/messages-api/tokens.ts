/** A tokenizer for the local API: pieces of words, of numbers and of white space, as byte-pair encodings have them. */

const PIECE = / ?[A-Za-z]{1,5}| ?\d{1,3}|\n+ *|[^ -~\s]| ?[^\sA-Za-z\d]| +|\s/gu;

/** How many tokens the API counts for a text. */
export function tokensOf(text: string): number {
  return text.match(PIECE)?.length ?? 0;
}
