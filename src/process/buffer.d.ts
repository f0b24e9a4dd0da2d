// @types/node 20.9 predates TypeScript's generic typed arrays: without this, no Buffer is a Uint8Array.
// Goes when @types/node is 20.17 or newer.
interface Buffer {
  slice(start?: number, end?: number): Buffer & { readonly buffer: ArrayBuffer };
  entries(): ArrayIterator<[number, number]>;
  keys(): ArrayIterator<number>;
  values(): ArrayIterator<number>;
}
