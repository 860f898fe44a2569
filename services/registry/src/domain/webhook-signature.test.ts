import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { newWebhookSecret, signedHeaders } from './webhook-signature.ts';

describe('the signature of a webhook', () => {
  it('is the one of the example of Standard Webhooks', () => {
    const headers = signedHeaders(['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestampSeconds: 1614265330,
      body: '{"test": 2432232314}',
    });
    expect(headers).toMatchObject({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('is also there as MLflow makes it: of the same text, with the characters of the secret', () => {
    const headers = signedHeaders(['whsec_c2VjcmV0'], { id: 'evt_1', timestampSeconds: 7, body: '{}' });
    const expected = createHmac('sha256', 'whsec_c2VjcmV0').update('evt_1.7.{}').digest('base64');
    expect(headers).toMatchObject({
      'x-mlflow-delivery-id': 'evt_1',
      'x-mlflow-timestamp': '7',
      'x-mlflow-signature': `v1,${expected}`,
    });
  });

  it('is made with the former secret too, while that holds', () => {
    const message = { id: 'evt_1', timestampSeconds: 7, body: '{}' };
    const [now, before] = [newWebhookSecret(), newWebhookSecret()];
    const alone = signedHeaders([before], message)['webhook-signature'];
    expect(signedHeaders([now, before], message)['webhook-signature']?.split(' ')[1]).toBe(alone);
  });
});

it('a secret is 32 random bytes', () => {
  const secret = newWebhookSecret();
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(newWebhookSecret()).not.toBe(secret);
});
