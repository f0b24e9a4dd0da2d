/** Writes trainer/protocol.json, from which lab.py reads the protocol. `npm run build` calls this. */
import { writeFile } from 'node:fs/promises';
import { asset } from '../../process/package-root';
import { protocolSchema } from './protocol';

export async function writeProtocol(): Promise<void> {
  await writeFile(asset('trainer', 'protocol.json'), `${JSON.stringify(protocolSchema(), null, 2)}\n`);
}
