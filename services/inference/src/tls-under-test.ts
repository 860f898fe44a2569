/** For the tests of this service: certificates, and this process as a client that trusts them. */
import { readFile } from 'node:fs/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { type Certificates, makeCertificates } from '@assay/http/testing/certificates';
import { temporaryFolder } from './inference-under-test.ts';

export interface TlsUnderTest extends AsyncDisposable {
  readonly certificates: Certificates;
  readonly flags: { readonly tlsCertFile: string; readonly tlsKeyFile: string };
  readonly ca: string;
}

/** Until it is closed, `fetch` of this process trusts the authority. */
export async function openTls(): Promise<TlsUnderTest> {
  const dir = await temporaryFolder();
  const certificates = await makeCertificates(dir.path);
  const ca = await readFile(certificates.caFile, 'utf8');
  const trusted = getCACertificates();
  setDefaultCACertificates([...trusted, ca]);
  return {
    certificates,
    flags: { tlsCertFile: certificates.serverCertFile, tlsKeyFile: certificates.serverKeyFile },
    ca,
    async [Symbol.asyncDispose]() {
      setDefaultCACertificates(trusted);
      await dir[Symbol.asyncDispose]();
    },
  };
}
