/**
 * `node temporal-download.js FOLDER`: makes the SDK download its Temporal dev server into FOLDER. The SDK can only download by
 * starting a server, so this starts one on a free port and stops it.
 */
import { TestWorkflowEnvironment } from '@temporalio/testing';

async function main(downloadDir: string): Promise<void> {
  const executable = { type: 'cached-download' as const, downloadDir };
  const server = await TestWorkflowEnvironment.createLocal({ server: { executable } });
  await server.teardown();
}

main(process.argv[2]!).catch((error: unknown) => {
  // The message is a chain of causes, each with a long URL. The last one is the reason.
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message.split('): ').at(-1)}\n`);
  process.exit(1);
});
