/**
 * Puts the words and the stack of a failure where the codec encrypts them. Loaded by the SDK by its path, by workers,
 * clients and in the workflows' encrypted bundle; either converter reads what the other wrote.
 */
import { DefaultFailureConverter } from '@temporalio/common';

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
