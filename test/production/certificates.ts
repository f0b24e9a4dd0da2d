/** Certificates and tokens, as an administrator makes them. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  certificate: string;
  key: string;
}

/** A certificate authority of its own in `folder`: ca.pem. */
export class Authority implements Certificate {
  readonly certificate: string;
  readonly key: string;

  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true });
    [this.certificate, this.key] = [join(folder, 'ca.pem'), join(folder, 'ca.key')];
    this.#make('ca', []);
  }

  /** `name`.pem and `name`.key beside it. */
  issue(name: string): Certificate {
    const extensions = ['basicConstraints=critical,CA:FALSE', 'subjectAltName=DNS:temporal,IP:127.0.0.1'];
    const added = extensions.flatMap((each) => ['-addext', each]);
    return this.#make(name, ['-CA', this.certificate, '-CAkey', this.key, ...added]);
  }

  #make(name: string, options: string[]): Certificate {
    const [certificate, key] = [join(this.folder, `${name}.pem`), join(this.folder, `${name}.key`)];
    // prettier-ignore
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', `/CN=${name}`, '-keyout', key, '-out', certificate, ...options,
    ], { stdio: 'pipe' });
    chmodSync(key, 0o644);
    return { certificate, key };
  }
}

/** Signs tokens, and publishes the key to check them with, as an identity provider does. */
export class TokenIssuer {
  readonly #keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  readonly #server: Server;

  constructor() {
    const key = { ...this.#keys.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' };
    this.#server = createServer((_, response) => response.end(JSON.stringify({ keys: [key] })));
  }

  /** @returns the address of its keys */
  listen(): Promise<string> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        if (address === null || typeof address === 'string') throw new Error('it does not listen on a port');
        resolve(`http://127.0.0.1:${address.port}/keys`);
      });
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  token(permissions: string[], { expiresIn = 3600 } = {}): string {
    return signed(this.#keys.privateKey, {
      sub: 'worker',
      exp: Math.floor(Date.now() / 1000) + expiresIn,
      permissions,
    });
  }
}

const part = (content: object): string => Buffer.from(JSON.stringify(content)).toString('base64url');

function signed(key: KeyObject, claims: object): string {
  const text = `${part({ alg: 'RS256', typ: 'JWT', kid: 'one' })}.${part(claims)}`;
  return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
}
