// The handler as a process in a simulated VPC, with real TLS.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startModel } from '../local/model/server.mjs';
import { ENDPOINT, certificateFor, closedPort, invokeInProcess, taskDirectory } from './support.mjs';

const ADDRESSES = ['10.0.2.5', '10.0.1.5'];
const SECRETS = /4711|You said|example-secret|example-session|customer-value/;
let model;
let certificate;
let network;
const probe = async (invocation) => {
  const { body, end, printed } = await invokeInProcess({ event: { probe: true }, network, ...invocation });
  assert.equal(end.type, 'end', printed);
  return JSON.parse(body).probe;
};

// Each test waits for processes most of the time.
describe('a function in a VPC', { concurrency: 3 }, () => {
  before(async () => {
    taskDirectory();
    certificate = certificateFor(ENDPOINT, 'vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com', 'bedrock-runtime.cn-north-1.amazonaws.com.cn');
    model = await startModel(certificate);
    network = {
      caFile: certificate.caFile,
      hosts: { [ENDPOINT]: ADDRESSES, 'bedrock-runtime.cn-north-1.amazonaws.com.cn': ['10.0.1.5'] },
      routes: Object.fromEntries(ADDRESSES.map((address) => [`${address}:443`, `127.0.0.1:${model.port}`])),
    };
  });
  after(() => model.stop());

  test('the answer reaches the caller in several chunks that join to one JSON document', async () => {
    const seen = [];
    const { chunks, body, end, printed } = await invokeInProcess(
      { event: { prompt: '[[hold]] 4711 漢字 😀 and so on and on' }, env: { CUSTOMER: 'customer-value' }, network },
      {
        // The model goes on only when its first words have arrived here: were they held back, this would never end.
        onChunk: (chunk) => {
          seen.push(chunk);
          if (seen.length === 1) model.events.emit('release');
        },
      },
    );
    assert.ok(chunks.length > 2, `${chunks.length} chunks`);
    assert.equal(seen[0], '{"text":"You said');
    assert.equal(JSON.parse(body).text, 'You said: [[hold]] 4711 漢字 😀 and so on and on');
    assert.deepEqual(end, { type: 'end', contentType: 'application/json' });
    assert.doesNotMatch(printed, SECRETS);
    assert.equal(printed.split('\n').filter((line) => line.startsWith('{')).length, 1);
  });

  test('a failure in mid-stream is in the document and no Lambda function error', async () => {
    const { body, end, printed } = await invokeInProcess({ event: { prompt: '[[mid-stream-error]] 4711 and so on' }, network });
    assert.equal(end.type, 'end');
    assert.equal(JSON.parse(body).error.type, 'ModelFailed');
    assert.doesNotMatch(printed, SECRETS);
  });

  test('a probe tells host, addresses, where it connected, and that TLS is verified', async () => {
    const found = await probe();
    assert.ok(ADDRESSES.includes(found.connectedTo));
    assert.deepEqual(found, {
      host: ENDPOINT,
      port: 443,
      addresses: ['10.0.1.5', '10.0.2.5'],
      connectedTo: found.connectedTo,
      tls: 'TLSv1.3',
      authorized: true,
    });
    assert.ok(!model.requests.some(({ modelId }) => modelId === 'probe'), 'no model was called');
  });

  test('a probe goes where the SDK would: to the endpoint URL of the environment', async () => {
    const host = 'vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com';
    const found = await probe({
      env: { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: `https://${host}:8443` },
      network: { ...network, hosts: { [host]: ['10.0.1.5'] }, routes: { '10.0.1.5:8443': `127.0.0.1:${model.port}` } },
    });
    assert.deepEqual([found.host, found.port, found.authorized], [host, 8443, true]);
  });

  test('a probe goes where the SDK would: to the name in the region’s partition', async () => {
    const found = await probe({ context: { functionArn: 'arn:aws-cn:lambda:cn-north-1:123456789012:function:test' } });
    assert.equal(found.host, 'bedrock-runtime.cn-north-1.amazonaws.com.cn');
    assert.equal(found.authorized, true);
  });

  test('an address that does not answer does not hide one that does', async () => {
    const found = await probe({ network: { ...network, routes: { '10.0.1.5:443': network.routes['10.0.1.5:443'] } } });
    assert.equal(found.connectedTo, '10.0.1.5');
    assert.equal(found.authorized, true);
  });

  // On the way to the endpoint: the simulated network, what a probe tells, and how far it came.
  const ways = [
    ['a name that does not exist', () => ({ hosts: {} }), 'DnsNotFound', ['host', 'port']],
    ['packets that are dropped', () => ({ routes: {} }), 'ConnectTimeout', ['host', 'port', 'addresses']],
    [
      'a refused connection',
      async () => {
        const target = `127.0.0.1:${await closedPort()}`;
        return { routes: { '10.0.1.5:443': target, '10.0.2.5:443': target } };
      },
      'ConnectionRefused',
      ['host', 'port', 'addresses'],
    ],
    ['a certificate that nobody vouches for', () => ({ caFile: undefined }), 'TlsFailed', ['host', 'port', 'addresses', 'connectedTo']],
  ];
  for (const [what, change, type, reached] of ways) {
    test(`a probe tells ${what} as ${type}, and so does a request`, async () => {
      const changed = { ...network, ...(await change()) };
      // A short time-out of the function bounds the wait for what does not answer.
      const context = { timeoutMs: 3_000 };
      const [found, request] = await Promise.all([
        probe({ network: changed, context }),
        invokeInProcess({ event: { prompt: 'x' }, network: changed, context }),
      ]);
      assert.deepEqual(Object.keys(found), [...reached, 'error']);
      assert.equal(found.error.type, type);
      assert.match(found.error.message, /\. \(.+\)$/);
      assert.equal(JSON.parse(request.body).error.type, type);
      assert.equal(request.end.type, 'end');
    });
  }

  test('a certificate for another name is refused', async () => {
    const host = 'vpce-2.bedrock-runtime.us-east-1.vpce.amazonaws.com';
    const found = await probe({ env: { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: `https://${host}` }, network: { ...network, hosts: { [host]: ADDRESSES } } });
    assert.equal(found.error.type, 'TlsFailed');
    assert.match(found.error.message, /altnames/);
  });

  test('an endpoint URL without TLS is not taken for a private path', async () => {
    const found = await probe({ env: { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: `http://${ENDPOINT}:443` } });
    assert.equal(found.error.type, 'TlsFailed');
    assert.match(found.error.message, /https:/);
    assert.equal(found.authorized, undefined);
  });
});
