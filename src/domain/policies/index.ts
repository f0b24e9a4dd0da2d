/** Finds a policy by its name: the place where a new keep rule is added, beside `choice.ts`. */
import type { PolicyChoice } from './choice';
import { greedy } from './greedy';
import type { Policy } from './policy';

const BY_NAME: Record<PolicyChoice['name'], Policy> = { greedy };

export const policyOf = ({ name }: PolicyChoice): Policy => BY_NAME[name];
