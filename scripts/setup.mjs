/** `npm run setup`: fetches and builds everything, and starts nothing. */
import { compiled, main } from './bootstrap.mjs';

await main(async () => {
  const { ensureTools } = await compiled('host/tools.js');
  await ensureTools(console.log);
  console.log(
    'Everything is set up. `npx autoresearch doctor` shows what was found; `npm start` runs a first study.',
  );
});
