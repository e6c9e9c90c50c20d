import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startModel } from '../local/model/server.mjs';
import { MODEL, OTHER_MODEL, invoke, loadHandler } from './support.mjs';

let model;
let handler;
before(async () => {
  model = await startModel();
  handler = await loadHandler('events', { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: `http://127.0.0.1:${model.port}` });
});
after(() => model.stop());

const user = (text) => ({ role: 'user', content: [{ text }] });
const assistant = (text) => ({ role: 'assistant', content: [{ text }] });

const refused = [
  ['null', null, ''],
  ['a string', 'hello', ''],
  ['a list', [], ''],
  ['neither prompt nor messages', {}, 'prompt'],
  ['both prompt and messages', { prompt: 'x', messages: [user('x')] }, 'prompt'],
  ['an unknown field', { prompt: 'x', promt: 'y' }, 'promt'],
  ['a prompt that is no string', { prompt: 7 }, 'prompt'],
  ['a blank prompt', { prompt: ' \n' }, 'prompt'],
  ['a prompt that is too large', { prompt: 'x'.repeat(4_000_001) }, 'prompt'],
  ['texts that are too large together', { prompt: 'x'.repeat(2_000_001), system: 'y'.repeat(2_000_000) }, 'system'],
  ['messages that are no list', { messages: user('x') }, 'messages'],
  ['no message', { messages: [] }, 'messages'],
  ['too many messages', { messages: Array(1_001).fill(user('x')) }, 'messages'],
  ['a message that is no object', { messages: ['x'] }, 'messages[0]'],
  ['a message with an unknown field', { messages: [{ ...user('x'), name: 'y' }] }, 'messages[0].name'],
  ['an unknown role', { messages: [{ ...user('x'), role: 'system' }] }, 'messages[0].role'],
  ['an assistant who begins', { messages: [assistant('x')] }, 'messages[0].role'],
  ['roles that do not alternate', { messages: [user('x'), user('y')] }, 'messages[1].role'],
  ['content that is a string', { messages: [{ role: 'user', content: 'x' }] }, 'messages[0].content'],
  ['empty content', { messages: [{ role: 'user', content: [] }] }, 'messages[0].content'],
  ['a blank text', { messages: [user('x'), assistant(' '), user('y')] }, 'messages[1].content[0].text'],
  ['an unknown block', { messages: [{ role: 'user', content: [{ toolUse: {} }] }] }, 'messages[0].content[0]'],
  ['two kinds in one block', { messages: [{ role: 'user', content: [{ text: 'x', image: {} }] }] }, 'messages[0].content[0]'],
  [
    'an image that is not base64',
    { messages: [{ role: 'user', content: [{ image: { format: 'png', source: { bytes: '***' } } }] }] },
    'messages[0].content[0].image.source.bytes',
  ],
  ['a system that is a number', { prompt: 'x', system: 1 }, 'system'],
  ['an empty system', { prompt: 'x', system: [] }, 'system'],
  ['an unknown system block', { prompt: 'x', system: [{ image: {} }] }, 'system[0]'],
  ['a model that is not the app’s', { prompt: 'x', modelId: 'meta.llama3-8b-instruct-v1:0' }, 'modelId'],
  ['a model that is no string', { prompt: 'x', modelId: [MODEL] }, 'modelId'],
  ['an inferenceConfig that is no object', { prompt: 'x', inferenceConfig: 5 }, 'inferenceConfig'],
  ['an unknown inference field', { prompt: 'x', inferenceConfig: { topK: 1 } }, 'inferenceConfig.topK'],
  ['a field named like a method of objects', { prompt: 'x', inferenceConfig: { toString: 1 } }, 'inferenceConfig.toString'],
  ['a fractional maxTokens', { prompt: 'x', inferenceConfig: { maxTokens: 1.5 } }, 'inferenceConfig.maxTokens'],
  ['a temperature above 1', { prompt: 'x', inferenceConfig: { temperature: 1.1 } }, 'inferenceConfig.temperature'],
  ['a topP that is a string', { prompt: 'x', inferenceConfig: { topP: '0.5' } }, 'inferenceConfig.topP'],
  ['an empty stop sequence', { prompt: 'x', inferenceConfig: { stopSequences: [''] } }, 'inferenceConfig.stopSequences'],
  ['a probe that is false', { probe: false }, 'probe'],
  ['a probe with a prompt', { probe: true, prompt: 'x' }, 'probe'],
];

for (const [what, event, field] of refused) {
  test(`an event with ${what} is refused with its field and a sentence`, async (t) => {
    const { document, log } = await invoke(t, handler, event);
    assert.deepEqual(Object.keys(document), ['error']);
    assert.equal(document.error.type, 'BadRequest');
    assert.equal(document.error.field, field);
    assert.match(document.error.message, /\bwrite\b.*\.$/is);
    assert.equal(log.outcome, 'BadRequest');
    assert.equal(model.requests.length, 0, 'Bedrock was not called');
  });
}

const sent = (t, event) => {
  model.requests.length = 0;
  return invoke(t, handler, event).then(({ document }) => {
    assert.equal(document.error, undefined);
    return model.requests[0];
  });
};

test('a prompt is sent as a user message to the first model of the app', async (t) => {
  const { modelId, body, operation } = await sent(t, { prompt: 'Hello' });
  assert.deepEqual([modelId, operation], [MODEL, 'converse-stream']);
  assert.deepEqual(body, { messages: [user('Hello')] });
});

test('messages are sent as they are', async (t) => {
  const messages = [user('Hello'), assistant('Hi'), user('Bye')];
  assert.deepEqual((await sent(t, { messages })).body.messages, messages);
});

test('an image arrives as the bytes that its base64 stands for', async (t) => {
  const image = { image: { format: 'png', source: { bytes: Buffer.from('an image').toString('base64') } } };
  const messages = [{ role: 'user', content: [{ text: 'What is it?' }, image] }];
  assert.deepEqual((await sent(t, { messages })).body.messages, messages);
});

test('a system prompt may be a string or blocks', async (t) => {
  assert.deepEqual((await sent(t, { prompt: 'x', system: 'Be brief.' })).body.system, [{ text: 'Be brief.' }]);
  assert.deepEqual((await sent(t, { prompt: 'x', system: [{ text: 'Be brief.' }] })).body.system, [{ text: 'Be brief.' }]);
});

test('a model of the app may be chosen', async (t) => {
  assert.equal((await sent(t, { prompt: 'x', modelId: OTHER_MODEL })).modelId, OTHER_MODEL);
});

test('the inference configuration reaches the model', async (t) => {
  const inferenceConfig = { maxTokens: 2, temperature: 0, topP: 1, stopSequences: ['END'] };
  assert.deepEqual((await sent(t, { prompt: 'x', inferenceConfig })).body.inferenceConfig, inferenceConfig);
});

for (const [what, value] of [['missing', undefined], ['not JSON', 'amazon.nova'], ['empty', '[]'], ['not a list', '{}']]) {
  test(`a list of models that is ${what} is told as such, not as the caller’s fault`, async (t) => {
    const before = process.env.PRIVATE_GENAI_MODELS;
    const broken = await loadHandler(`models-${what.replaceAll(' ', '-')}`, { PRIVATE_GENAI_MODELS: value ?? '' });
    process.env.PRIVATE_GENAI_MODELS = before;
    const { document } = await invoke(t, broken, { prompt: 'x' });
    assert.equal(document.error.type, 'Misconfigured');
    assert.match(document.error.message, /PRIVATE_GENAI_MODELS/);
  });
}
