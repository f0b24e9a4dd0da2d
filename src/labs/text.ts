/** Text files as editors and shells of any system write them. */

const MARKS = [
  { mark: [0xef, 0xbb, 0xbf], encoding: 'utf-8' },
  { mark: [0xff, 0xfe], encoding: 'utf-16le' },
  { mark: [0xfe, 0xff], encoding: 'utf-16be' },
] as const;

/** A file's text, without the byte order mark that says how it is encoded; UTF-8 where it has none. */
export function decodeText(bytes: Buffer): string {
  const found = MARKS.find(({ mark }) => mark.every((byte, index) => bytes[index] === byte));
  return new TextDecoder(found?.encoding ?? 'utf-8').decode(bytes);
}
