import { readFileSync } from 'node:fs';
import { MAX_HEADER_BYTES, PROTOCOL_VERSION } from '../../../src/runner/model/protocol';
import { asset } from '../../../src/process/package-root';

it('has the same version and limit in trainer/wire.py', () => {
  const wire = readFileSync(asset('trainer', 'wire.py'), 'utf8');
  expect(/^VERSION = (\d+)$/mu.exec(wire)?.[1]).toBe(String(PROTOCOL_VERSION));
  const [, base, shift] = /^MAX_HEADER_BYTES = (\d+) << (\d+)$/mu.exec(wire) ?? [];
  expect(Number(base) << Number(shift)).toBe(MAX_HEADER_BYTES);
});
