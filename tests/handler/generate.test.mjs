import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { startModel } from '../local/model/server.mjs';
import { MODEL, OTHER_MODEL, Response, contextWith, invoke, loadHandler } from './support.mjs';

const LONG = 'and a text that is long enough for several pieces';
let model;
let handler;
before(async () => {
  model = await startModel();
  handler = await loadHandler('generate', { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: `http://127.0.0.1:${model.port}` });
});
after(() => model.stop());

test('the answer is one JSON document with text, stop reason, usage and model', async (t) => {
  const { document, response } = await invoke(t, handler, { prompt: 'Hello there' });
  assert.deepEqual(document, {
    text: 'You said: Hello there',
    stopReason: 'end_turn',
    usage: { inputTokens: 2, outputTokens: 4, totalTokens: 6 },
    modelId: MODEL,
  });
  assert.equal(response.contentType, 'application/json');
});

test('what must be escaped in JSON, and any character, survives being streamed', async (t) => {
  const text = 'quote " backslash \\ newline \n tab \t nul \u0000 line separator \u2028 umlaut ü CJK 漢字 emoji 😀👩‍👩‍👧‍👦';
  const { document } = await invoke(t, handler, { prompt: text });
  assert.equal(document.text, `You said: ${text}`);
});

test('a character whose surrogates come in two pieces is whole in the answer', async (t) => {
  const { document, response } = await invoke(t, handler, { prompt: '[[split-pairs]] 😀👍🏽' });
  assert.equal(document.text, 'You said: [[split-pairs]] 😀👍🏽');
  assert.ok(!Buffer.concat(response.written).includes('\ufffd'), 'no replacement character');
});

test('only text is part of the text: not reasoning, and all blocks of it', async (t) => {
  for (const [prompt, modelId] of [
    ['[[reasoning]] x', MODEL],
    ['[[two-blocks]] x', MODEL],
    ['[[no-streaming]] [[reasoning]] [[two-blocks]] x', OTHER_MODEL],
  ]) {
    const { document } = await invoke(t, handler, { prompt, modelId });
    assert.equal(document.text, `You said: ${prompt}`);
  }
});

test('an empty completion is an empty text', async (t) => {
  const { document } = await invoke(t, handler, { prompt: 'x', inferenceConfig: { stopSequences: ['You'] } });
  assert.equal(document.text, '');
  assert.equal(document.stopReason, 'stop_sequence');
});

test('the text is passed on while the model is still writing', async (t) => {
  const response = new Response();
  const held = once(model.events, 'held');
  const answered = invoke(t, handler, { prompt: `[[hold]] ${LONG}` }, { response });
  await held;
  if (response.written.length === 0) await once(response, 'written');
  assert.equal(Buffer.concat(response.written).toString(), '{"text":"You said');
  model.events.emit('release');
  const { document } = await answered;
  assert.equal(document.text, `You said: [[hold]] ${LONG}`);
  assert.ok(response.written.length > 2, `${response.written.length} chunks`);
});

test('a slow reader is waited for', async (t) => {
  let mostBuffered = 0;
  class Slow extends Response {
    _write(chunk, encoding, callback) {
      mostBuffered = Math.max(mostBuffered, this.writableLength);
      setImmediate(() => super._write(chunk, encoding, callback));
    }
  }
  const { document } = await invoke(t, handler, { prompt: 'x'.repeat(100_000) }, { response: new Slow({ highWaterMark: 4_096 }) });
  assert.equal(document.text.length, 100_010);
  assert.ok(mostBuffered < 10_000, `${mostBuffered} bytes piled up`);
});

test('when the reader goes away, the call to Bedrock is aborted', async (t) => {
  const response = new Response();
  const held = once(model.events, 'held');
  const aborted = once(model.events, 'aborted');
  const answered = invoke(t, handler, { prompt: `[[hold]] ${LONG}` }, { response });
  await held;
  response.destroy();
  const { log } = await answered;
  assert.equal(log.outcome, 'ReaderGone');
  await aborted;
});

test('a model that cannot stream answers in one piece and is not asked again', async (t) => {
  model.requests.length = 0;
  const fresh = await loadHandler('no-streaming', {});
  for (const turn of [1, 2]) {
    const { document, log } = await invoke(t, fresh, { prompt: `[[no-streaming]] ${turn}`, modelId: OTHER_MODEL });
    assert.equal(document.text, `You said: [[no-streaming]] ${turn}`);
    assert.deepEqual(document.usage, { inputTokens: 2, outputTokens: 4, totalTokens: 6 });
    assert.equal(log.streamed, false);
  }
  assert.deepEqual(model.requests.map(({ operation }) => operation), ['converse-stream', 'converse', 'converse']);
});

const failures = [
  ['access-denied', 'AccessDenied', /execution role and the endpoint policy/],
  ['throttled', 'Throttled', /quota/],
  ['validation', 'Validation', /identifier is invalid/],
  ['profile-needed', 'Validation', /inference profile/],
  ['not-ready', 'ModelNotReady', /try again/],
  ['unavailable', 'ServiceUnavailable', /later/],
  ['internal', 'ServiceUnavailable', /later/],
  ['not-found', 'ModelNotFound', /region/],
  ['model-timeout', 'ModelTimeout', /Try again/],
  ['model-error', 'ModelFailed', /another model/],
  ['quota', 'QuotaExceeded', /quota/],
];
for (const [fault, type, remedy] of failures) {
  test(`Bedrock’s ${fault} is told as ${type}, with a remedy and the request id`, async (t) => {
    const { document, log } = await invoke(t, handler, { prompt: `[[${fault}]]` });
    assert.deepEqual(Object.keys(document), ['error', 'modelId']);
    assert.equal(document.error.type, type);
    assert.match(document.error.message, remedy);
    assert.equal(document.error.requestId, model.requests.at(-1).requestId);
    assert.equal(log.outcome, type);
  });
}

test('a request that is throttled once is tried again', async (t) => {
  const { document } = await invoke(t, handler, { prompt: '[[throttled-once]]' });
  assert.equal(document.text, 'You said: [[throttled-once]]');
});

for (const [fault, type] of [
  ['mid-stream-error', 'ModelFailed'],
  ['mid-stream-throttled', 'Throttled'],
  ['mid-stream-close', 'ConnectionLost'],
  ['truncated', 'ConnectionLost'],
]) {
  test(`after ${fault} the text so far is closed, and the error follows in the same document`, async (t) => {
    const { document, log } = await invoke(t, handler, { prompt: `[[${fault}]] ${LONG}` });
    assert.deepEqual(Object.keys(document), ['text', 'error', 'modelId']);
    assert.match(document.text, /^You said: \[\[/);
    assert.equal(document.error.type, type);
    assert.equal(document.error.requestId, model.requests.at(-1).requestId);
    assert.equal(log.outcome, type);
  });
}

test('a connection that is cut before any answer is told as such', async (t) => {
  const { document } = await invoke(t, handler, { prompt: '[[close]]' });
  assert.equal(document.error.type, 'ConnectionLost');
});

test('a model that does not answer ends the document before the function’s time-out', async (t) => {
  const { document, log } = await invoke(t, handler, { prompt: '[[hang]]' }, { context: contextWith({ remainingMs: 600 }) });
  assert.equal(document.error.type, 'DeadlineExceeded');
  assert.match(document.error.message, /timeoutSeconds/);
  assert.ok(log.totalMs < 600, `${log.totalMs} ms`);
});

test('waiting to try again does not outlast the function’s time-out', async (t) => {
  // The SDK waits a random part of a fraction of a second before the second attempt; this makes it seconds.
  t.mock.method(Math, 'random', () => 3);
  const { document, log } = await invoke(t, handler, { prompt: '[[throttled]]' }, { context: contextWith({ remainingMs: 1_000 }) });
  assert.equal(document.error.type, 'DeadlineExceeded');
  assert.ok(log.totalMs < 1_000, `${log.totalMs} ms`);
});

test('one line is logged per request, with identifiers and numbers only', async (t) => {
  for (const prompt of ['The secret is 4711.', '[[mid-stream-error]] The secret is 4711.', '[[access-denied]] 4711']) {
    const { lines, log } = await invoke(t, handler, { prompt, system: 'Never say 4711.' });
    assert.equal(lines.length, 1);
    assert.doesNotMatch(lines[0], /4711|secret|You said/);
    assert.equal(log.requestId, 'request-1');
    assert.equal(log.modelId, MODEL);
    assert.equal(typeof log.totalMs, 'number');
  }
});

test('a bug in the function is told without quoting what people wrote', async (t) => {
  const context = contextWith();
  const broken = new Response();
  const write = broken.write.bind(broken);
  broken.write = (chunk) => {
    if (String(chunk).includes('4711')) throw new TypeError(`cannot write ${chunk}`);
    return write(chunk);
  };
  const { document, lines, log } = await invoke(t, handler, { prompt: 'secret 4711' }, { context, response: broken });
  assert.equal(document.error.type, 'Internal');
  assert.equal(log.bug.name, 'TypeError');
  assert.doesNotMatch(lines[0], /4711/);
});
