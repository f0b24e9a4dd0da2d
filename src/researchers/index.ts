/** Makes a researcher by the name that `--researcher` takes. */
import { createClaude } from './claude';
import { createCommand, type CommandOptions } from './command';
import { createHybrid } from './hybrid';
import type { Researcher } from './researcher';
import { createTpe } from './tpe';

/**
 * @param name `claude`, `tpe`, `command`, or several joined by `+`
 * @throws RangeError for an unknown name
 */
export function researcherOf(
  name: string,
  command: Pick<CommandOptions, 'command' | 'timeoutMs'> | null,
  openWorkspace: CommandOptions['openWorkspace'],
): Researcher {
  if (name.includes('+')) {
    const arms = name.split('+').map((arm) => ({
      name: arm,
      costsDollars: arm !== 'tpe',
      researcher: researcherOf(arm, command, openWorkspace),
    }));
    return createHybrid(arms);
  }
  if (name === 'claude') return createClaude();
  if (name === 'tpe') return createTpe();
  if (name === 'command' && command !== null) return createCommand({ ...command, openWorkspace });
  throw new RangeError(
    `there is no researcher "${name}": expected claude, tpe, or command with a command line`,
  );
}
