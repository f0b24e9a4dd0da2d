/** Address and credentials of a Temporal server. */
import type { ConnectionOptions, TLSConfig } from '@temporalio/client';

export interface ServerAddress {
  address: string;
  namespace: string;
  /** TLS, API key and metadata, for Connection and NativeConnection alike. */
  options: {
    tls?: TLSConfig | boolean;
    apiKey?: string;
    metadata?: NonNullable<ConnectionOptions['metadata']>;
  };
  /** URL of the Temporal UI; null if unknown. */
  ui: string | null;
  /** True for the dev server that `autoresearch up` starts, false for one that the user names. */
  ours: boolean;
}
