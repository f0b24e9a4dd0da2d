/** The Dockerfile, taken apart. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DockerfileParser, From, type Copy, type Instruction } from 'dockerfile-ast';
import { packageRoot } from '../../src/process/package-root';

export const text = readFileSync(join(packageRoot(), 'Dockerfile'), 'utf8');

/** A stage's instructions, in order. */
interface Stage {
  name: string;
  image: string;
  steps: Instruction[];
}
export const stages: Stage[] = [];
for (const instruction of DockerfileParser.parse(text).getInstructions()) {
  if (instruction instanceof From) {
    stages.push({ name: instruction.getBuildStage() ?? '', image: instruction.getImage() ?? '', steps: [] });
  } else {
    stages.at(-1)?.steps.push(instruction);
  }
}
export const words = (step: Instruction): string[] => step.getArguments().map((word) => word.getValue());
export const isCopy = (step: Instruction): step is Copy => step.getKeyword() === 'COPY';
export const fromStage = (step: Copy): string | undefined => step.getFromFlag()?.getValue() ?? undefined;
