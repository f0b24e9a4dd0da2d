/**
 * Moves a failure's message and stack to where the codec encrypts them. Workers, clients and the encrypted workflow bundle load it
 * by path. Each converter can read the other's failures.
 */
import { DefaultFailureConverter } from '@temporalio/common';

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
