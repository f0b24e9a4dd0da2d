/** The entry of the bundle that `bin/autoresearch.js` runs. */
import { run } from './program';

// `autoresearch history | head`: head closes the pipe early, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

void run(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});
