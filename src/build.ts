/** The second half of `npm run build`, after tsc: what is made from the compiled code. */
import { bundleWorkflowCode } from '@temporalio/worker';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asset } from './process/package-root';
import { writeProtocol } from './runner/write-protocol';
import { buildIdFile } from './temporal/build-id';

const DIST = asset('dist');
const BUNDLE = join(DIST, 'workflows.bundle.js');

async function main(): Promise<void> {
  await writeProtocol();
  const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(DIST, 'workflows', 'index.js'),
    logger: quiet,
  });
  writeFileSync(BUNDLE, code);
  writeFileSync(buildIdFile(), `${hashOfScripts()}\n`);
}

/** Names this build by its scripts alone: the bundle is made from them, and holds paths of this machine. */
function hashOfScripts(): string {
  const hash = createHash('sha256');
  const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.js') && join(DIST, name) !== BUNDLE).toSorted()) {
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(DIST, file)));
  }
  hash.update(readFileSync(asset('package-lock.json')));
  return hash.digest('hex').slice(0, 12);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
