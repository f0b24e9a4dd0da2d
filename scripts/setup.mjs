/** `npm run setup`: everything that has to be fetched or made, and nothing started. */
import { compiled, main } from './bootstrap.mjs';

await main(async () => {
  const { ensureTrainerPython } = await compiled('setup/trainer-python.js');
  const { ensureTemporal } = await compiled('temporal/binary.js');
  console.log(`trainer: ${await ensureTrainerPython(console.log)}`);
  const { path, version } = await ensureTemporal(console.log);
  console.log(`Temporal server: ${path}, ${version}`);
  console.log('`npx autoresearch doctor` tells of everything else.');
});
