/** An authority of its own and what it signed, by openssl: for a server on loopback and a client. PEM files. */
import { execFile } from 'node:child_process';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Certificates {
  readonly caFile: string;
  /** Key and certificate in one file, as Kafka wants them; for 127.0.0.1 and localhost. */
  readonly serverFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  /** Another authority, which signed none of them. */
  readonly otherCaFile: string;
  /** Signs another certificate for the server, with another key: both as PEM. */
  renewServer(): Promise<{ readonly cert: string; readonly key: string }>;
}

const SERVER_NAMES = 'DNS:localhost,IP:127.0.0.1';

export async function makeCertificates(dir: string): Promise<Certificates> {
  const path = (name: string): string => join(dir, name);
  const openssl = (...args: string[]) => run('openssl', args);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

  async function makeAuthority(name: string): Promise<void> {
    const subject = ['-subj', `/CN=${name}`, '-days', '2'];
    await openssl('req', '-x509', ...newKey, '-keyout', path(`${name}.key`), '-out', path(`${name}.pem`), ...subject);
  }

  async function sign(name: string, alternatives: string): Promise<void> {
    const request = path(`${name}.csr`);
    await openssl('req', ...newKey, '-keyout', path(`${name}.key`), '-out', request, '-subj', `/CN=${name}`);
    await writeFile(path(`${name}.ext`), `subjectAltName=${alternatives}\n`);
    const by = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial', '-days', '2'];
    await openssl('x509', '-req', '-in', request, ...by, '-extfile', path(`${name}.ext`), '-out', path(`${name}.pem`));
  }

  await makeAuthority('ca');
  await makeAuthority('other');
  await sign('server', SERVER_NAMES);
  await sign('client', 'DNS:client');
  await writeFile(path('server-both.pem'), await readFile(path('server.key')));
  await appendFile(path('server-both.pem'), await readFile(path('server.pem')));
  return {
    caFile: path('ca.pem'),
    serverFile: path('server-both.pem'),
    serverCertFile: path('server.pem'),
    serverKeyFile: path('server.key'),
    clientCertFile: path('client.pem'),
    clientKeyFile: path('client.key'),
    otherCaFile: path('other.pem'),
    async renewServer() {
      await sign('renewed', SERVER_NAMES);
      const [cert, key] = await Promise.all([
        readFile(path('renewed.pem'), 'utf8'),
        readFile(path('renewed.key'), 'utf8'),
      ]);
      return { cert, key };
    },
  };
}
