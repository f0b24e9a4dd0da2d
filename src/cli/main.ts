/** Where `bin/autoresearch.js` begins. */
import { run } from './program';

// `autoresearch history | head` ends when head has enough; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

void run(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});
