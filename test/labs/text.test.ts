import { decodeText } from '../../src/labs/text';

const TEXT = 'Make the value lower, größer – 😀.\r\n';

test.each([
  ['UTF-8', Buffer.from(TEXT)],
  ['UTF-8 with a byte order mark', Buffer.from(`\uFEFF${TEXT}`)],
  ['UTF-16 of PowerShell', Buffer.from(`\uFEFF${TEXT}`, 'utf16le')],
  ['UTF-16, big-endian', Buffer.from(`\uFEFF${TEXT}`, 'utf16le').swap16()],
])('%s', (_what, bytes) => {
  expect(decodeText(bytes)).toBe(TEXT);
});
