/** Certificates by openssl: those that the tests of the packages use. */
export { type Certificates, makeCertificates } from '@assay/http/testing/certificates';
