// A stand-in for the Amazon Bedrock runtime: Converse and ConverseStream, over HTTP/1.1 and HTTP/2 (the SDK's default).
//
//   node server.mjs --port 0 [--cert cert.pem --key key.pem]
//
// prints {"port":N} when it listens; ends when stdin ends or on SIGTERM. Tests in Node can also call startModel().
//
// The answer is an echo, "You said: <the last user message>", with tokens counted as words. What Bedrock refuses is
// refused, with Bedrock's words. A fault is asked for by a model named stand-in.<fault>-v1:0, or by a prompt that
// contains [[<fault>]]; FAULTS and BEHAVIOURS name them all.
//
// For tests:  GET /_requests       what was received so far, without credentials, and how each request ended
//             DELETE /_requests    forgets it
//             POST /_release       lets every answer go on that [[hold]] holds

import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { readFileSync, realpathSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { encodeEvent, encodeException } from './eventstream.mjs';

/** Errors in place of an answer: fault → [HTTP status, error code, message]. */
const FAULTS = {
  'access-denied': [403, 'AccessDeniedException', "You don't have access to the model with the specified model ID."],
  throttled: [429, 'ThrottlingException', 'Too many requests, please wait before trying again.'],
  'throttled-once': [429, 'ThrottlingException', 'Too many requests, please wait before trying again.'],
  'not-ready': [429, 'ModelNotReadyException', 'Model is not ready for inference. Wait and try your request again.'],
  unavailable: [503, 'ServiceUnavailableException', 'Bedrock is unable to process your request.'],
  internal: [500, 'InternalServerException', 'The system encountered an unexpected error during processing. Try your request again.'],
  'model-timeout': [408, 'ModelTimeoutException', 'Model has timed out in processing the request. Try your request again.'],
  'model-error': [424, 'ModelErrorException', 'The model failed to process the request.'],
  'not-found': [404, 'ResourceNotFoundException', 'This model version has reached the end of its life.'],
  quota: [400, 'ServiceQuotaExceededException', 'Your request exceeds the service quota for your account.'],
  validation: [400, 'ValidationException', 'The provided model identifier is invalid.'],
  'profile-needed': [
    400,
    'ValidationException',
    'Invocation of model ID stand-in.profile-needed-v1:0 with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.',
  ],
};

/** Answers out of the ordinary. */
const BEHAVIOURS = {
  'no-streaming': 'ConverseStream is refused, Converse works',
  'mid-stream-error': 'after two pieces of text: modelStreamErrorException',
  'mid-stream-throttled': 'after two pieces of text: throttlingException',
  'mid-stream-close': 'after two pieces of text the connection is cut',
  truncated: 'after two pieces of text the stream ends, properly framed but without its end',
  close: 'the connection is cut before any answer',
  hang: 'no answer, ever',
  slow: 'a tenth of a second between pieces',
  hold: 'after the first piece, waits for POST /_release',
  'split-pairs': 'characters outside the basic plane are split over two pieces, as \\u escapes allow',
  reasoning: 'a block of reasoning before the text',
  'two-blocks': 'the text comes in two content blocks',
};

const UNSUPPORTED_FOR_STREAMING = [400, 'ValidationException', 'The model is unsupported for streaming.'];
const CREDENTIAL_HEADERS = ['authorization', 'x-amz-security-token', 'cookie'];
const PIECE_LENGTH = 8;
const MAX_PIECES = 64;

/** Starts the stand-in; `model.events` tells 'request', 'held', 'finished' and 'aborted', each with the request's record. */
export async function startModel({ port = 0, host = '127.0.0.1', cert, key } = {}) {
  const model = { requests: [], events: new EventEmitter(), throttledOnce: new Set() };
  const answer = (request, response) => {
    serve(model, request, response).catch((error) => {
      // A client that has gone away is in the journal as aborted; anything else is a bug of the stand-in.
      if (!response.destroyed && !response.stream?.destroyed) {
        console.error(error);
        response.destroy(error);
      }
    });
  };
  const server = cert ? http2.createSecureServer({ cert, key, allowHTTP1: true }, answer) : plainServer(answer);
  const connections = new Set();
  server.on(cert ? 'secureConnection' : 'connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket)).on('error', () => socket.destroy());
  });
  server.listen(port, host);
  await once(server, 'listening');
  return Object.assign(model, {
    port: server.address().port,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of connections) socket.destroy();
      await closed;
    },
  });
}

/** HTTP/1.1 and HTTP/2 with prior knowledge on one plain port: told apart by the first bytes, since nothing negotiates. */
function plainServer(answer) {
  const servers = { h1: http.createServer(answer), h2: http2.createServer(answer) };
  return net.createServer((socket) => {
    socket.once('readable', () => {
      const start = socket.read();
      if (start === null) return;
      socket.unshift(start);
      servers[start.subarray(0, 3).toString() === 'PRI' ? 'h2' : 'h1'].emit('connection', socket);
    });
  });
}

async function serve(model, request, response) {
  const path = request.url.split('?')[0];
  const method = request.method;
  if (path === '/_requests' && method === 'GET') return sendJson(response, 200, model.requests);
  if (path === '/_requests' && method === 'DELETE') return sendJson(response, 200, model.requests.splice(0));
  if (path === '/_release' && method === 'POST') {
    model.events.emit('release');
    return sendJson(response, 200, {});
  }
  const [, encodedId, operation] = /^\/model\/([^/]+)\/(converse|converse-stream)$/.exec(path) ?? [];
  if (method !== 'POST' || operation === undefined) {
    return sendError(response, [404, 'UnknownOperationException', `There is no ${method} ${path} here.`]);
  }

  const record = {
    requestId: randomUUID(),
    operation,
    modelId: decodeURIComponent(encodedId),
    protocol: `HTTP/${request.httpVersion}`,
    headers: Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => !name.startsWith(':') && !CREDENTIAL_HEADERS.includes(name)),
    ),
    signed: isSigned(request.headers.authorization),
    body: undefined,
    status: undefined,
    outcome: 'pending',
  };
  model.requests.push(record);
  const aborted = new AbortController();
  response.on('close', () => {
    record.outcome = response.writableFinished ? 'finished' : 'aborted';
    aborted.abort();
    model.events.emit(record.outcome, record);
  });

  response.setHeader('x-amzn-requestid', record.requestId);
  const fail = (error) => {
    record.status = error[0];
    return sendError(response, error);
  };
  if (!record.signed) return fail([403, 'MissingAuthenticationTokenException', 'Missing Authentication Token']);
  try {
    record.body = await json(request);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return fail([400, 'SerializationException', 'The body is not JSON.']);
  }
  model.events.emit('request', record);
  const invalid = complaintAbout(record.body);
  if (invalid) return fail([400, 'ValidationException', invalid]);

  const asked = faultsAskedFor(record);
  const has = (behaviour) => asked.includes(behaviour);
  const fault = asked.find((name) => name in FAULTS);
  if (fault !== undefined && !(fault === 'throttled-once' && throttledBefore(model, record))) return fail(FAULTS[fault]);
  if (has('close')) return (response.stream?.session ?? request.socket).destroy();
  if (has('hang')) return undefined;
  if (operation === 'converse-stream' && has('no-streaming')) return fail(UNSUPPORTED_FOR_STREAMING);

  record.status = 200;
  const reply = replyTo(record.body);
  if (operation === 'converse') return sendJson(response, 200, converseOutput(reply, has));
  return stream(model, record, request, response, reply, has, aborted.signal);
}

async function stream(model, record, request, response, reply, has, signal) {
  response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' });
  // Each piece is handed to the kernel before the next one is made, so that a cut comes after what was sent before it.
  const send = (bytes) => new Promise((sent) => (signal.aborted ? sent() : response.write(bytes, sent)));
  const event = (type, payload) => send(encodeEvent(type, payload));

  await event('messageStart', { role: 'assistant' });
  let index = 0;
  if (has('reasoning')) {
    await event('contentBlockDelta', { contentBlockIndex: index, delta: { reasoningContent: { text: 'I shall repeat it.' } } });
    await event('contentBlockStop', { contentBlockIndex: index++ });
  }
  let sent = 0;
  for (const text of pieces(reply.text, has('split-pairs'))) {
    if (signal.aborted) return;
    await event('contentBlockDelta', { contentBlockIndex: index, delta: { text } });
    sent += 1;
    if (sent === 1 && has('hold')) {
      const released = once(model.events, 'release', { signal });
      model.events.emit('held', record);
      await released;
    }
    if (sent === 1 && has('two-blocks')) await event('contentBlockStop', { contentBlockIndex: index++ });
    if (has('slow')) await sleep(100, undefined, { signal });
    if (sent < 2) continue;
    if (has('mid-stream-close')) return (response.stream?.session ?? request.socket).destroy();
    if (has('truncated')) return response.end();
    const exception = has('mid-stream-error')
      ? encodeException('modelStreamErrorException', {
          message: 'The model failed while it streamed.',
          originalStatusCode: 500,
          originalMessage: 'out of order',
        })
      : has('mid-stream-throttled') && encodeException('throttlingException', { message: FAULTS.throttled[2] });
    if (exception) {
      await send(exception);
      return response.end();
    }
  }
  await event('contentBlockStop', { contentBlockIndex: index });
  await event('messageStop', { stopReason: reply.stopReason });
  await event('metadata', { usage: reply.usage, metrics: { latencyMs: 1 } });
  response.end();
}

function converseOutput({ text, stopReason, usage }, has) {
  const half = Math.ceil(text.length / 2);
  const blocks = has('two-blocks') ? [{ text: text.slice(0, half) }, { text: text.slice(half) }] : [{ text }];
  if (has('reasoning')) blocks.unshift({ reasoningContent: { reasoningText: { text: 'I shall repeat it.' } } });
  return { output: { message: { role: 'assistant', content: blocks } }, stopReason, usage, metrics: { latencyMs: 1 } };
}

/** The deterministic answer, cut as maxTokens and stopSequences ask. */
function replyTo({ messages, system = [], inferenceConfig = {} }) {
  let text = `You said: ${lastUserText(messages)}`;
  let stopReason = 'end_turn';
  for (const sequence of inferenceConfig.stopSequences ?? []) {
    const at = text.indexOf(sequence);
    if (at === -1) continue;
    text = text.slice(0, at);
    stopReason = 'stop_sequence';
  }
  const words = text.match(/\s*\S+/g) ?? [];
  if (words.length > (inferenceConfig.maxTokens ?? Infinity)) {
    text = words.slice(0, inferenceConfig.maxTokens).join('');
    stopReason = 'max_tokens';
  }
  const inputTokens = [...system, ...messages.flatMap((message) => message.content)]
    .map((block) => countWords(block.text ?? ''))
    .reduce((sum, count) => sum + count, 0);
  const outputTokens = countWords(text);
  return { text, stopReason, usage: { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens } };
}

function countWords(text) {
  return text.match(/\S+/g)?.length ?? 0;
}

function lastUserText(messages) {
  const last = messages.findLast((message) => message.role === 'user');
  return last.content.map((block) => block.text ?? '').join('');
}

function pieces(text, splitPairs) {
  const units = splitPairs ? text.split('') : Array.from(text);
  // One code unit at a time splits every pair; otherwise a handful, so that a test sees several.
  const length = splitPairs ? 1 : Math.max(PIECE_LENGTH, Math.ceil(units.length / MAX_PIECES));
  const found = [];
  for (let at = 0; at < units.length; at += length) found.push(units.slice(at, at + length).join(''));
  return found;
}

/** What Bedrock would complain about, in its words where they are known; undefined if nothing. */
function complaintAbout({ messages, system, inferenceConfig }) {
  if (!Array.isArray(messages) || messages.length === 0) {
    return 'A conversation must start with a user message. Try again with a conversation that starts with a user message.';
  }
  for (const [index, { role, content }] of messages.entries()) {
    const at = `messages.${index}`;
    if (!['user', 'assistant'].includes(role)) {
      return `1 validation error detected: Value '${role}' at '${at}.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]`;
    }
    if (index === 0 && role !== 'user') {
      return 'A conversation must start with a user message. Try again with a conversation that starts with a user message.';
    }
    if (index > 0 && role === messages[index - 1].role) {
      return 'A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.';
    }
    if (!Array.isArray(content) || content.length === 0) {
      return `The content field in the Message object at ${at} is empty. Add a ContentBlock object to the content field and try again.`;
    }
    const blank = content.findIndex((block) => 'text' in block && block.text.trim() === '');
    if (blank !== -1) {
      return `The text field in the ContentBlock object at ${at}.content.${blank} is blank. Add text to the text field, and try again.`;
    }
  }
  const blankSystem = (system ?? []).findIndex((block) => 'text' in block && block.text.trim() === '');
  if (blankSystem !== -1) {
    return `The text field in the SystemContentBlock object at system.${blankSystem} is blank. Add text to the text field, and try again.`;
  }
  for (const [name, minimum, maximum] of [['temperature', 0, 1], ['topP', 0, 1], ['maxTokens', 1, 2 ** 31 - 1]]) {
    const value = inferenceConfig?.[name];
    if (value === undefined || (value >= minimum && value <= maximum)) continue;
    const bound = value < minimum ? `greater than or equal to ${minimum}` : `less than or equal to ${maximum}`;
    return `1 validation error detected: Value '${value}' at 'inferenceConfig.${name}' failed to satisfy constraint: Member must have value ${bound}`;
  }
  return undefined;
}

function faultsAskedFor({ modelId, body }) {
  const names = [...Object.keys(FAULTS), ...Object.keys(BEHAVIOURS)];
  const prompt = lastUserText(body.messages);
  return names.filter((name) => modelId.includes(`stand-in.${name}-v1:0`) || prompt.includes(`[[${name}]]`));
}

/** Whether this very request was throttled before, so that a retry gets through. */
function throttledBefore(model, { modelId, body }) {
  const key = JSON.stringify([modelId, body]);
  const before = model.throttledOnce.has(key);
  model.throttledOnce.add(key);
  return before;
}

/** That a signature is there and is for Bedrock; whether it is right only AWS, which knows the secret, can tell. */
function isSigned(authorization = '') {
  return /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/[^/]+\/bedrock\/aws4_request, SignedHeaders=[^,]+, Signature=[0-9a-f]{64}$/.test(
    authorization,
  );
}

function sendJson(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

function sendError(response, [status, code, message]) {
  response.setHeader('x-amzn-errortype', `${code}:http://internal.amazon.com/coral/com.amazon.bedrock/`);
  sendJson(response, status, { message });
}

async function main() {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '0' }, cert: { type: 'string' }, key: { type: 'string' } },
  });
  if ((values.cert === undefined) !== (values.key === undefined)) throw new Error('--cert and --key go together');
  const model = await startModel({
    port: Number(values.port),
    cert: values.cert && readFileSync(values.cert),
    key: values.key && readFileSync(values.key),
  });
  console.log(JSON.stringify({ port: model.port }));
  const stop = () => process.exit(0);
  process.on('SIGTERM', stop);
  process.stdin.on('end', stop).on('error', stop).resume();
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
