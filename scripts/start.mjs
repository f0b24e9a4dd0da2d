/** `npm start`: sets up what is missing and runs a first, bounded study. */
import { compiled, main } from './bootstrap.mjs';

await main(async () => {
  const { firstLight } = await compiled('cli/first-light.js');
  return firstLight();
});
