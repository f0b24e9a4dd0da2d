/** `npm run setup`: everything that has to be fetched or made, and nothing started. */
import { compiled, main } from './bootstrap.mjs';

await main(async () => {
  const { ensureTools } = await compiled('host/tools.js');
  await ensureTools(console.log);
  console.log(
    'Everything is set up. `npx autoresearch doctor` tells what was found; `npm start` runs a first study.',
  );
});
