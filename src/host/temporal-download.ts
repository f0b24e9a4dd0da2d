/**
 * A program of its own, `node download.js FOLDER`: lets the SDK download its Temporal dev server into FOLDER.
 * The SDK has no call for the download alone, so the server is started once, on a free port, and stopped.
 */
import { TestWorkflowEnvironment } from '@temporalio/testing';

async function main(downloadDir: string): Promise<void> {
  const executable = { type: 'cached-download' as const, downloadDir };
  const server = await TestWorkflowEnvironment.createLocal({ server: { executable } });
  await server.teardown();
}

main(process.argv[2]!).catch((error: unknown) => {
  // The whole chain of causes, each with the long address: the last one is the reason.
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message.split('): ').at(-1)}\n`);
  process.exit(1);
});
