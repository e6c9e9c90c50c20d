// The built-in function of private-genai-operator: text generation with Amazon Bedrock, over a private path.
//
// Event, one of
//   {"prompt": "…"} or {"messages": [Bedrock Converse messages]}
//       with, optionally, "system", "modelId" (one of the app's models; default: its first) and "inferenceConfig"
//   {"probe": true}   looks at the way to Bedrock without calling a model
//
// Answer: always exactly one JSON document, streamed while it grows. A plain Invoke gets it whole; InvokeWithResponseStream
// gets the text while the model writes it.
//   {"text":"…","stopReason":"end_turn","usage":{…},"modelId":"…"}
//   {"text":"as far as it got","error":{"type":"…","message":"…","requestId":"…"},"modelId":"…"}
//   {"error":{"type":"BadRequest","field":"…","message":"…"}}
//   {"probe":{…}}
// An answer is complete if and only if it has no "error".
//
// Failures are part of the document and not Lambda function errors, on purpose. Text that has been streamed cannot be
// taken back, so callers must look for "error" in any case, and get one place to look. A function error would make Lambda
// invoke again by itself (asynchronous events: twice), on top of the SDK's retries, and pay for the model each time. And the
// runtime logs the message of a thrown error, which may quote the prompt. What that costs: the CloudWatch metric Errors and
// dead-letter queues do not see these failures; the "outcome" in the log does.
//
// Nothing of what people write is ever logged: no prompt, no completion, no environment value.

import dns from 'node:dns';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime';

// On a private path a healthy endpoint answers within milliseconds. A missing route or rule is silence: tell it, don't wait.
const CONNECT_TIMEOUT_MS = 3_000;
const PROBE_TIMEOUT_MS = 5_000;
// With several addresses, how long to try one before the next one gets its chance. Node's own 250 ms is less than it takes to
// repeat one lost packet.
const ADDRESS_ATTEMPT_MS = 1_000;
// Kept back from the function's time-out to finish the document properly.
const RESERVED_MS = 500;
const MAX_ATTEMPTS = 3;
const MAX_MESSAGES = 1_000;
const MAX_TEXT_CHARACTERS = 4_000_000;

const MODELS_VARIABLE = 'PRIVATE_GENAI_MODELS';
const models = modelsOfTheApp(process.env[MODELS_VARIABLE]);
// Retries only what fails before an answer begins (throttling, a connection that died while the function was frozen).
const client = new BedrockRuntimeClient({ maxAttempts: MAX_ATTEMPTS, requestHandler: privateTransport() });
const modelsWithoutStreaming = new Set();

export const handler = awslambda.streamifyResponse(async (event, responseStream, context) => {
  // The answer is complete when its stream has ended; connections kept alive for the next one must not hold it up.
  context.callbackWaitsForEmptyEventLoop = false;
  const started = performance.now();
  const log = { requestId: context.awsRequestId, outcome: 'Ok' };
  const limits = new Limits(responseStream, context);
  const answer = new Answer(responseStream, limits.signal);
  try {
    const request = readEvent(event, models);
    if (request.probe) {
      log.request = 'probe';
      await answer.finish({ probe: await probe(limits, log) });
    } else {
      log.request = 'generate';
      log.modelId = request.modelId;
      await answer.finish(await generate(request, answer, limits, log, started));
    }
  } catch (thrown) {
    const failure = explain(limits.signal.aborted ? limits.signal.reason : thrown);
    log.outcome = failure.type;
    if (failure.type === 'Internal') log.bug = whereThrown(thrown);
    await answer.finish({ error: { ...failure, requestId: failure.requestId ?? log.bedrockRequestId }, modelId: log.modelId });
  } finally {
    limits.release();
    log.totalMs = Math.round(performance.now() - started);
    console.log(JSON.stringify(log));
  }
});

// ---- generating

/** Streams the model's text into the answer, and returns the fields that close it. */
async function generate({ modelId, input }, answer, limits, log, started) {
  const options = { abortSignal: limits.signal, connectTimeoutMs: limits.connectTimeoutMs };
  const send = async (command) => {
    const output = await limits.bound(client.send(command, options));
    log.bedrockRequestId = output.$metadata.requestId;
    return output;
  };
  const write = (text) => {
    log.firstTextMs ??= Math.round(performance.now() - started);
    return answer.writeText(text);
  };

  let result;
  const stream = modelsWithoutStreaming.has(modelId) ? undefined : await openStream(modelId, input, send);
  log.streamed = stream !== undefined;
  if (stream !== undefined) {
    result = await copyStream(stream, write, limits);
  } else {
    const { output, stopReason, usage } = await send(new ConverseCommand({ modelId, ...input }));
    // Blocks of other kinds (a model's reasoning) are not part of the text.
    for (const { text } of output.message.content) if (text !== undefined) await write(text);
    result = { stopReason, usage };
  }
  if (!answer.begun) await answer.writeText('');
  Object.assign(log, { stopReason: result.stopReason, ...tokenCounts(result.usage) });
  return { ...result, modelId };
}

/** The model's event stream; undefined where the model can only answer in one piece, which it remembers. */
async function openStream(modelId, input, send) {
  try {
    const { stream } = await send(new ConverseStreamCommand({ modelId, ...input }));
    return stream;
  } catch (error) {
    // Bedrock has no code of its own for it: "The model is unsupported for streaming."
    if (error.name !== 'ValidationException' || !/\bstreaming\b/i.test(error.message)) throw error;
    modelsWithoutStreaming.add(modelId);
    return undefined;
  }
}

async function copyStream(stream, write, limits) {
  let stopReason;
  let usage;
  for await (const event of limits.boundEach(stream)) {
    const text = event.contentBlockDelta?.delta?.text;
    if (text !== undefined) await write(text);
    stopReason = event.messageStop?.stopReason ?? stopReason;
    usage = event.metadata?.usage ?? usage;
  }
  // A connection cut between two events can look like an end. Without this, half an answer would pass for a whole one.
  if (stopReason === undefined) throw new PathError('ConnectionLost', 'the stream ended before the answer did');
  return { stopReason, usage };
}

function tokenCounts({ inputTokens, outputTokens } = {}) {
  return { inputTokens, outputTokens };
}

// ---- the answer

/** One JSON document, written piece by piece. */
class Answer {
  begun = false;
  #stream;
  #signal;

  constructor(stream, signal) {
    this.#stream = stream;
    this.#signal = signal;
    // Without a prelude (HttpResponseStream), which a plain Invoke would get in front of its JSON.
    stream.setContentType?.('application/json');
  }

  /** Adds text. A pair of surrogates split over two calls is safe: alone, each half is written as an escape (\ud83d). */
  async writeText(text) {
    const escaped = JSON.stringify(text).slice(1, -1);
    await this.#write(this.begun ? escaped : `{"text":"${escaped}`);
    this.begun = true;
  }

  /** Adds the fields that are left, and ends. */
  async finish(fields) {
    // Nobody is there to read it.
    if (this.#stream.destroyed) return;
    const rest = JSON.stringify(fields);
    this.#stream.write(this.begun ? `",${rest.slice(1)}` : rest);
    this.#stream.end();
  }

  /** Waits while the reader is slower than the model, so that a long answer does not pile up in memory. */
  async #write(chunk) {
    if (!this.#stream.write(chunk)) await once(this.#stream, 'drain', { signal: this.#signal });
  }
}

/** What ends the work early: the function's time-out coming near, or a reader that has gone. */
class Limits {
  #controller = new AbortController();
  #aborted;
  #timer;

  constructor(stream, context) {
    const remaining = context.getRemainingTimeInMillis();
    this.budgetMs = Math.max(remaining - RESERVED_MS, remaining / 2);
    // Leaves time to tell that connecting failed, even in a function with a short time-out.
    this.connectTimeoutMs = Math.min(CONNECT_TIMEOUT_MS, this.budgetMs / 2);

    const abort = (type, message) => this.#controller.abort(new PathError(type, message));
    this.#timer = setTimeout(abort, this.budgetMs, 'DeadlineExceeded', `${Math.round(this.budgetMs)} ms were not enough`);
    const gone = () => abort('ReaderGone', 'the response stream was closed');
    stream.on('error', gone);
    stream.on('close', gone);

    this.#aborted = new Promise((_, reject) => {
      this.signal.addEventListener('abort', () => reject(this.signal.reason), { once: true });
    });
    // It may strike when nobody is waiting, such as at the regular end of the stream.
    this.#aborted.catch(() => {});
  }

  get signal() {
    return this.#controller.signal;
  }

  /**
   * The promise's result, or the reason of the abort. Recent SDKs look at the signal while they wait to try again; which SDK
   * the Lambda runtime provides is not ours to choose, and a look-up of a name has no signal at all.
   */
  bound(promise) {
    return Promise.race([promise, this.#aborted]);
  }

  async *boundEach(iterable) {
    const iterator = iterable[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await this.bound(iterator.next());
      if (done) return;
      yield value;
    }
  }

  release() {
    clearTimeout(this.#timer);
  }
}

// ---- reading the event

class BadRequest extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

class Misconfigured extends Error {}

const EVENT_FIELDS = ['prompt', 'messages', 'system', 'modelId', 'inferenceConfig'];
const MEDIA_BLOCKS = ['image', 'document', 'video'];
const INFERENCE_FIELDS = {
  maxTokens: [(value) => Number.isInteger(value) && value >= 1, 'a whole number of at least 1'],
  temperature: [(value) => typeof value === 'number' && value >= 0 && value <= 1, 'a number from 0 to 1'],
  topP: [(value) => typeof value === 'number' && value >= 0 && value <= 1, 'a number from 0 to 1'],
  stopSequences: [
    (value) => Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== ''),
    'a list of non-empty strings',
  ],
};

/** What an event asks for: {probe: true} or {modelId, input of Converse}. */
function readEvent(event, appModels) {
  if (!isObject(event)) throw new BadRequest('', 'The event must be a JSON object; write {"prompt": "…"}.');
  if ('probe' in event) {
    if (event.probe !== true || Object.keys(event).length > 1) {
      throw new BadRequest('probe', 'A probe stands alone; write {"probe": true} and nothing else.');
    }
    return { probe: true };
  }
  onlyKnownFields(event, EVENT_FIELDS, '');
  if (('prompt' in event) === ('messages' in event)) {
    throw new BadRequest('prompt', 'Write exactly one of "prompt" (a string) and "messages" (Bedrock Converse messages).');
  }
  const text = new TextBudget();
  const input = {
    messages: 'prompt' in event ? [{ role: 'user', content: [{ text: text.read('prompt', event.prompt) }] }] : readMessages(event.messages, text),
  };
  if (event.system !== undefined) input.system = readSystem(event.system, text);
  if (event.inferenceConfig !== undefined) input.inferenceConfig = readInferenceConfig(event.inferenceConfig);
  return { modelId: readModelId(event.modelId, appModels), input };
}

function readMessages(messages, text) {
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MAX_MESSAGES) {
    throw new BadRequest(
      'messages',
      `Write a list of 1 to ${MAX_MESSAGES} messages, such as [{"role": "user", "content": [{"text": "…"}]}].`,
    );
  }
  return messages.map((message, index) => {
    const field = `messages[${index}]`;
    if (!isObject(message)) throw new BadRequest(field, 'Write a message, such as {"role": "user", "content": [{"text": "…"}]}.');
    onlyKnownFields(message, ['role', 'content'], `${field}.`);
    const expected = index % 2 === 0 ? 'user' : 'assistant';
    if (message.role !== expected) {
      throw new BadRequest(`${field}.role`, `Write "${expected}" here: messages start with "user" and alternate with "assistant".`);
    }
    if (!Array.isArray(message.content) || message.content.length === 0) {
      throw new BadRequest(`${field}.content`, 'Write a non-empty list of content blocks, such as [{"text": "…"}].');
    }
    return { role: message.role, content: message.content.map((block, at) => readBlock(block, `${field}.content[${at}]`, text)) };
  });
}

function readBlock(block, field, text) {
  const kinds = isObject(block) ? Object.keys(block) : [];
  const [kind] = kinds;
  if (kinds.length === 1 && kind === 'text') return { text: text.read(`${field}.text`, block.text) };
  if (kinds.length === 1 && kind === 'cachePoint' && isObject(block.cachePoint)) return block;
  if (kinds.length === 1 && MEDIA_BLOCKS.includes(kind) && isObject(block[kind]?.source)) {
    const media = block[kind];
    if (media.source.bytes === undefined) return block;
    if (typeof media.source.bytes !== 'string' || !/^[A-Za-z0-9+/]+={0,2}$/.test(media.source.bytes)) {
      throw new BadRequest(`${field}.${kind}.source.bytes`, 'Write the bytes as a base64 string.');
    }
    // The SDK takes bytes, and encodes them itself; a string would be encoded twice.
    return { [kind]: { ...media, source: { bytes: Buffer.from(media.source.bytes, 'base64') } } };
  }
  throw new BadRequest(field, 'Write a content block with exactly one of text, image, document, video and cachePoint, such as {"text": "…"}.');
}

function readSystem(system, text) {
  if (typeof system === 'string') return [{ text: text.read('system', system) }];
  if (!Array.isArray(system) || system.length === 0) {
    throw new BadRequest('system', 'Write a string, or a non-empty list of system blocks, such as [{"text": "…"}].');
  }
  return system.map((block, index) => {
    const field = `system[${index}]`;
    const kinds = isObject(block) ? Object.keys(block) : [];
    if (kinds.length === 1 && kinds[0] === 'text') return { text: text.read(`${field}.text`, block.text) };
    if (kinds.length === 1 && kinds[0] === 'cachePoint' && isObject(block.cachePoint)) return block;
    throw new BadRequest(field, 'Write a system block with exactly one of text and cachePoint, such as {"text": "…"}.');
  });
}

function readInferenceConfig(config) {
  if (!isObject(config)) throw new BadRequest('inferenceConfig', 'Write an object, such as {"maxTokens": 500, "temperature": 0.2}.');
  onlyKnownFields(config, Object.keys(INFERENCE_FIELDS), 'inferenceConfig.');
  for (const [name, value] of Object.entries(config)) {
    const [isValid, description] = INFERENCE_FIELDS[name];
    if (!isValid(value)) throw new BadRequest(`inferenceConfig.${name}`, `Write ${description}.`);
  }
  return config;
}

function readModelId(modelId, appModels) {
  if (appModels === undefined) {
    throw new Misconfigured(
      `The environment variable ${MODELS_VARIABLE} must be a JSON list of at least one model, such as ["amazon.nova-lite-v1:0"]; the operator sets it from spec.models.`,
    );
  }
  if (modelId === undefined) return appModels[0];
  if (!appModels.includes(modelId)) {
    throw new BadRequest('modelId', `Write one of this app's models (${appModels.join(', ')}), or have the model added to spec.models of the app.`);
  }
  return modelId;
}

/** Reads texts, and refuses them once they are too much together. */
class TextBudget {
  #left = MAX_TEXT_CHARACTERS;

  read(field, value) {
    if (typeof value !== 'string' || value.trim() === '') throw new BadRequest(field, 'Write a string that is not blank.');
    this.#left -= value.length;
    if (this.#left < 0) {
      throw new BadRequest(field, `Write less: all texts of an event together may have ${MAX_TEXT_CHARACTERS} characters.`);
    }
    return value;
  }
}

function onlyKnownFields(object, known, prefix) {
  const unknown = Object.keys(object).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new BadRequest(`${prefix}${unknown.slice(0, 80)}`, `This field is not known; write only ${known.join(', ')}.`);
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The models from the environment; undefined if they are not what the operator writes. That is told when a model is asked
 * for, not at start: a probe works without.
 */
function modelsOfTheApp(json) {
  try {
    const list = JSON.parse(json);
    return Array.isArray(list) && list.length > 0 && list.every((id) => typeof id === 'string') ? list : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

// ---- the probe

/** How far one gets on the way to Bedrock. Never throws for what it is there to find out. */
async function probe(limits, log) {
  const found = {};
  try {
    await limits.bound(lookAlongTheWay(found, Math.min(PROBE_TIMEOUT_MS, limits.budgetMs / 2)));
  } catch (error) {
    if (limits.signal.aborted) throw error;
    const { type, message } = explain(error);
    if (type === 'Internal') throw error;
    log.outcome = type;
    found.error = { type, message };
  }
  return found;
}

async function lookAlongTheWay(found, timeoutMs) {
  const deadline = performance.now() + timeoutMs;
  const url = await endpoint();
  const secure = url.protocol === 'https:';
  found.host = url.hostname;
  found.port = url.port ?? (secure ? 443 : 80);
  const known = await addressesOf(url.hostname, timeoutMs);
  found.addresses = known.map(({ address }) => address).sort();

  // Connects to the addresses seen, not to those of a second look-up.
  const answerAgain = (_host, { all }, callback) => (all ? callback(null, known) : callback(null, known[0].address, known[0].family));
  const phases = new Phases('connect');
  const socket = tls.connect({
    host: url.hostname,
    servername: isIP(url.hostname) ? undefined : url.hostname,
    port: found.port,
    lookup: answerAgain,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
  });
  phases.follow(socket, true, Math.max(1, deadline - performance.now()));
  socket.once('connect', () => {
    found.connectedTo = socket.remoteAddress;
    // Only the tests' endpoints are like that, or a mistake. A prompt would go in clear text.
    if (!secure) socket.destroy(new PathError('TlsFailed', `the endpoint URL starts with ${url.protocol}//, not https://`));
  });
  try {
    await once(socket, 'secureConnect');
    found.tls = socket.getProtocol();
    found.authorized = socket.authorized;
  } catch (error) {
    throw phases.explain(error);
  } finally {
    socket.destroy();
  }
}

/** Where the SDK would send a request: it builds one, and we take it before it is signed or sent. */
async function endpoint() {
  const command = new ConverseCommand({ modelId: 'probe', messages: [] });
  command.middlewareStack.add(() => async ({ request }) => ({ response: {}, output: request }), { step: 'build', name: 'takeRequest' });
  return client.send(command);
}

/** All addresses of a name; getaddrinfo has no time-out of its own. */
async function addressesOf(name, timeoutMs) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new PathError('DnsFailed', `no answer within ${Math.round(timeoutMs)} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([dns.promises.lookup(name, { all: true }), late]);
  } catch (error) {
    throw new Phases('name').explain(error);
  } finally {
    clearTimeout(timer);
  }
}

// ---- the way to Bedrock

/** Something on the way failed; `type` is what callers see, and `code` lets the SDK know what is worth another try. */
class PathError extends Error {
  constructor(type, message, cause) {
    super(message, { cause });
    this.name = 'PathError';
    this.type = type;
    if (cause?.code !== undefined) this.code = cause.code;
  }
}

/** How far a connection has come, which says what an error means: only before TCP is up is silence a missing route. */
class Phases {
  #phase;
  #timer;

  constructor(phase) {
    this.#phase = phase;
  }

  /** To be given to the connection, so that the end of its look-up is seen. */
  lookup = (name, options, callback) => {
    dns.lookup(name, options, (error, ...found) => {
      if (!error) this.#phase = 'connect';
      callback(error, ...found);
    });
  };

  /** Follows a new socket, and gives it up when it is not open in time. */
  follow(socket, secure, timeoutMs) {
    const enter = (phase) => {
      this.#phase = phase;
      if (phase === 'open') clearTimeout(this.#timer);
    };
    socket.once('connect', () => enter(secure ? 'tls' : 'open'));
    if (secure) socket.once('secureConnect', () => enter('open'));
    socket.once('close', () => clearTimeout(this.#timer));
    this.#timer = setTimeout(() => socket.destroy(this.#failed(`no answer within ${Math.round(timeoutMs)} ms`)), timeoutMs);
  }

  /** A connection kept alive from an earlier request. */
  reuse() {
    this.#phase = 'open';
  }

  explain(error) {
    return error instanceof PathError ? error : this.#failed(error.message || error.code, error);
  }

  #failed(message, cause) {
    // With several addresses each attempt has an error of its own; if one was refused, somebody is there.
    const codes = [cause, ...(cause?.errors ?? [])].map((error) => error?.code);
    const types = {
      name: codes.includes('ENOTFOUND') ? 'DnsNotFound' : 'DnsFailed',
      connect: codes.includes('ECONNREFUSED') ? 'ConnectionRefused' : 'ConnectTimeout',
      tls: 'TlsFailed',
      open: 'ConnectionLost',
    };
    return new PathError(types[this.#phase], message, cause);
  }
}

/**
 * Carries the SDK's requests over HTTP/1.1. The SDK's own way for Bedrock is HTTP/2, which has no time-out for connecting and
 * lets a stream that was cut off look finished; its HTTP/1.1 handler is in a package that the Lambda runtime does not offer
 * to ES modules.
 */
function privateTransport() {
  const agents = { 'http:': new http.Agent({ keepAlive: true }), 'https:': new https.Agent({ keepAlive: true }) };
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    handle({ protocol, hostname, port, method, path, headers, body }, { abortSignal, connectTimeoutMs = CONNECT_TIMEOUT_MS } = {}) {
      const secure = protocol === 'https:';
      return new Promise((resolve, reject) => {
        const phases = new Phases(isIP(hostname) ? 'connect' : 'name');
        const outgoing = (secure ? https : http).request({
          host: hostname,
          port,
          method,
          path,
          headers,
          agent: agents[protocol],
          signal: abortSignal,
          lookup: phases.lookup,
          autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
        });
        outgoing.once('socket', (socket) => {
          if (outgoing.reusedSocket) phases.reuse();
          else phases.follow(socket, secure, connectTimeoutMs);
        });
        // What breaks after the response has begun is told by its body, which the SDK reads.
        outgoing.on('error', (error) => reject(phases.explain(error)));
        outgoing.once('response', (incoming) => {
          resolve({ response: { statusCode: incoming.statusCode, headers: incoming.headers, body: incoming } });
        });
        outgoing.end(body);
      });
    },
    destroy: () => Object.values(agents).forEach((agent) => agent.destroy()),
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  };
}

// ---- telling what went wrong

const ROUTE_REMEDY =
  'Check that the endpoint is available, that the security group of the function may send to it on port 443, and that its own group lets that in.';

/** What callers see for each way of failing on the path. */
const PATH_REMEDIES = {
  DnsNotFound: 'The name of the endpoint does not exist in this VPC. Check that the endpoint exists, and that the VPC has DNS support and, where private DNS is used, DNS host names.',
  DnsFailed: 'The name of the endpoint could not be looked up. Check the DHCP options and the name servers of the VPC.',
  ConnectTimeout: `The endpoint could not be reached. ${ROUTE_REMEDY}`,
  ConnectionRefused: 'Something is at the address of the endpoint, but does not take connections. Check the endpoint URL and its port.',
  TlsFailed: 'The connection cannot be trusted. Check that the name belongs to the endpoint, and that nothing in between replaces its certificate.',
  ConnectionLost: 'The connection broke off. Try again.',
  DeadlineExceeded: "The time-out of the function was near. Ask for less (maxTokens), or raise the function's timeoutSeconds.",
  ReaderGone: 'Whoever read the answer has gone.',
};

/** What callers see for each error of the service: its code → our type and a remedy. */
const SERVICE_ERRORS = {
  AccessDeniedException: ['AccessDenied', 'Check that the execution role and the endpoint policy allow this model, and that the account has access to it.'],
  ThrottlingException: ['Throttled', 'Try again later and less often, or ask for a higher quota of this model.'],
  ServiceQuotaExceededException: ['QuotaExceeded', 'Ask for less, or for a higher quota of this model.'],
  ValidationException: ['Validation', 'Change the request as the message says; a model that can be called through an inference profile only is none that this app can have: name another in spec.models.'],
  ResourceNotFoundException: ['ModelNotFound', 'Check the model ID, its region, and whether it has reached the end of its life.'],
  ModelNotReadyException: ['ModelNotReady', 'Wait a moment and try again.'],
  ModelTimeoutException: ['ModelTimeout', 'Try again, or ask for less.'],
  ModelErrorException: ['ModelFailed', 'Try again; if it stays, choose another model.'],
  ModelStreamErrorException: ['ModelFailed', 'Try again; if it stays, choose another model.'],
  ServiceUnavailableException: ['ServiceUnavailable', 'Try again later.'],
  InternalServerException: ['ServiceUnavailable', 'Try again later.'],
};
const CREDENTIALS_REMEDY = 'The credentials of the execution role were not accepted. Check that the role exists, and set it on the function again if it was recreated.';
const CREDENTIAL_ERRORS = [
  'CredentialsProviderError',
  'ExpiredTokenException',
  'IncompleteSignatureException',
  'InvalidSignatureException',
  'MissingAuthenticationTokenException',
  'UnrecognizedClientException',
];

/** A failure as callers see it: {type, message} and, where there is one, the field or the request ID. */
function explain(error) {
  if (error instanceof BadRequest) return { type: 'BadRequest', field: error.field, message: error.message };
  if (error instanceof Misconfigured) return { type: 'Misconfigured', message: error.message };
  if (error instanceof PathError) return { type: error.type, message: `${PATH_REMEDIES[error.type]} (${error.message})` };
  // A body that breaks off reaches us as Node's own error.
  if (error.code === 'ECONNRESET') return explain(new PathError('ConnectionLost', error.message));
  const requestId = error.$metadata?.requestId;
  const [type, remedy] =
    SERVICE_ERRORS[error.name] ??
    (CREDENTIAL_ERRORS.includes(error.name) ? ['Credentials', CREDENTIALS_REMEDY] : []);
  if (type !== undefined) return { type, message: `${error.message} ${remedy}`, requestId };
  if (error.$fault !== undefined) return { type: 'ServiceError', message: `${error.name}: ${error.message}`, requestId };
  return { type: 'Internal', message: 'The function failed in a way that it does not know; its log tells where.' };
}

/** Where a bug is, without its message, which may quote what people wrote. */
function whereThrown(error) {
  const frames = String(error?.stack).split('\n').filter((line) => /^\s+at /.test(line));
  return { name: error?.name, at: frames.slice(0, 5).map((line) => line.trim()) };
}
