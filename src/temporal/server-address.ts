/** Where a Temporal server is. */
import type { ConnectionOptions, TLSConfig } from '@temporalio/client';

/** Where the server is and how to get in. */
export interface ServerAddress {
  address: string;
  namespace: string;
  /** TLS, API key and metadata, for Connection and NativeConnection alike. */
  options: {
    tls?: TLSConfig | boolean;
    apiKey?: string;
    metadata?: NonNullable<ConnectionOptions['metadata']>;
  };
  /** The Temporal UI; null when it is not known. */
  ui: string | null;
  /** Started by `autoresearch up`, not named by the user. */
  ours: boolean;
}
