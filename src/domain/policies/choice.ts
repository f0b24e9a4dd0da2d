/** The keep rules by name and parameters, as a study and each of its records hold them. */
import { z } from 'zod';

// The workflow sandbox allows no code generation, which zod uses to be faster.
z.config({ jitless: true });

export const policySchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('greedy'), params: z.strictObject({}) }),
]);

export type PolicyChoice = z.infer<typeof policySchema>;

export const POLICIES = ['greedy'] as const satisfies readonly PolicyChoice['name'][];

export const DEFAULT_POLICY: PolicyChoice = { name: 'greedy', params: {} };

/** `greedy`, and the parameters where a policy has any: `confirm repeats=3`. */
export function policyText({ name, params }: PolicyChoice): string {
  return [name, ...Object.entries(params).map(([key, value]) => `${key}=${String(value)}`)].join(' ');
}
