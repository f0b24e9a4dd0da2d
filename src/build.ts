/** The second half of `npm run build`, after tsc: what is made from the compiled code. */
import { bundleWorkflowCode } from '@temporalio/worker';
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asset } from './process/package-root';
import { buildIdFile } from './temporal/build-id';

const DIST = asset('dist');
/** The whole command line in one file: loading some 500 modules one by one takes longer than most commands. */
const CLI = 'cli.bundle.js';
/** The workflows, as they are and for studies whose payloads are encrypted (src/temporal/codec.ts). */
const BUNDLES = [
  { file: 'workflows.bundle.js', options: {} },
  {
    file: 'workflows.encrypted.bundle.js',
    options: { failureConverterPath: join(DIST, 'temporal', 'failure-converter.js') },
  },
];

async function main(): Promise<void> {
  const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
  const workflowsPath = join(DIST, 'workflows', 'index.js');
  const payloadConverterPath = join(DIST, 'temporal', 'payload-converter.js');
  for (const { file, options } of BUNDLES) {
    const { code } = await bundleWorkflowCode({
      workflowsPath,
      payloadConverterPath,
      logger: quiet,
      ...options,
    });
    writeFileSync(join(DIST, file), code);
  }
  await bundleCommandLine();
  // npm packs no package-lock.json of the top folder.
  copyFileSync(asset('package-lock.json'), join(DIST, 'package-lock.json'));
  writeFileSync(buildIdFile(), `${hashOfScripts()}\n`);
}

/** From dist/, so that the command line and the worker run the same compiled code. */
async function bundleCommandLine(): Promise<void> {
  await build({
    absWorkingDir: asset(),
    entryPoints: ['dist/cli/main.js'],
    outfile: join('dist', CLI),
    bundle: true,
    platform: 'node',
    target: 'node20',
    minifyWhitespace: true,
    // They load native modules and files that lie beside them.
    external: ['@temporalio/worker', '@temporalio/testing'],
    logLevel: 'warning',
  });
  // Compiled from the bundle before (bin/code-cache.js).
  for (const name of readdirSync(DIST).filter((each) => each.startsWith(`${CLI}.`))) rmSync(join(DIST, name));
}

const isBundle = (name: string): boolean => name === CLI || BUNDLES.some(({ file }) => file === name);

/** Names this build by its scripts alone: the bundles are made from them, and hold paths of this machine. */
function hashOfScripts(): string {
  const hash = createHash('sha256');
  const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.js') && !isBundle(name)).toSorted()) {
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
