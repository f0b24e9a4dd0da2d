/** Writes trainer/protocol.json, the protocol as lab.py reads it. `npm run build` calls this, so that the two never part. */
import { writeFile } from 'node:fs/promises';
import { asset } from '../../process/package-root';
import { protocolSchema } from './protocol';

export async function writeProtocol(): Promise<void> {
  await writeFile(asset('trainer', 'protocol.json'), `${JSON.stringify(protocolSchema(), null, 2)}\n`);
}
