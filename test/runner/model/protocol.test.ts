import { readFileSync } from 'node:fs';
import { asset } from '../../../src/process/package-root';
import { protocolSchema } from '../../../src/runner/model/protocol';

it('is the same on both sides: `npm run build` writes trainer/protocol.json', () => {
  const written: unknown = JSON.parse(readFileSync(asset('trainer', 'protocol.json'), 'utf8'));
  expect(written).toEqual(JSON.parse(JSON.stringify(protocolSchema())));
});
