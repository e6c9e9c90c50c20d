// The process in which the function's code runs; started by runtime.mjs only, which says what goes in and out.
//
// What is imitated is the behaviour of github.com/aws/aws-lambda-nodejs-runtime-interface-client that a function can observe:
// how a handler is found, the global `awslambda`, what the response stream offers and refuses, and how each way of
// failing is reported.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const PRELUDE_CONTENT_TYPE = 'application/vnd.awslambda.http-integration-response';
const MAX_BUFFERED_RESPONSE_BYTES = 6_291_556;

const invocation = JSON.parse(readFileSync(0, 'utf8'));
const outlet = new Socket({ fd: 3, readable: false, writable: true });
let finished = false;

delete process.env.NODE_EXTRA_CA_CERTS;
if (invocation.network) {
  const { simulateNetwork } = await import('./network.mjs');
  simulateNetwork(invocation.network);
}

process.on('uncaughtException', (error) => finish(failure(error)));
process.on('unhandledRejection', (reason) =>
  finish(failure(runtimeError('UnhandledPromiseRejection', reason instanceof Error ? reason.toString() : String(reason)))),
);
process.on('beforeExit', () => {
  const message =
    'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled.';
  finish(failure(runtimeError('NodeJsExit', message)));
});

globalThis.awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAMING] = 'response';
    if (typeof options?.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
    return handler;
  },
  HttpResponseStream: class HttpResponseStream {
    static from(stream, prelude) {
      stream.setContentType(PRELUDE_CONTENT_TYPE);
      stream._onBeforeFirstWrite = (write) => {
        write(JSON.stringify(prelude));
        write(new Uint8Array(8));
      };
      return stream;
    }
  },
};

try {
  const handler = await load(invocation.taskDir, invocation.handler);
  const refusesCallbacks = Number(/^nodejs(\d+)/.exec(invocation.runtime)?.[1] ?? 24) >= 24;
  if (refusesCallbacks && handler[STREAMING] === undefined && handler.length >= 3) {
    throw runtimeError(
      'CallbackHandlerDeprecated',
      'AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. Make the handler an async function.',
    );
  }
  send({ type: 'initialized' });
  const run = handler[STREAMING] === 'response' ? runStreaming : runBuffered;
  await run(handler, invocation.event, contextOf(invocation));
} catch (error) {
  finish(failure(error));
}

async function runStreaming(handler, event, context) {
  const { stream, ended, contentType } = responseStream(handler[HIGH_WATER_MARK]);
  const result = handler(event, stream, context);
  if (typeof result?.then !== 'function') throw 'Streaming does not support non-async handlers.';
  if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
  // As in Lambda: a handler may return before its stream has ended, but the invocation lasts until then.
  await ended;
  finish({ type: 'end', contentType: contentType() });
}

async function runBuffered(handler, event, context) {
  const result = await new Promise((resolve, reject) => {
    const callback = (error, value) => (error === undefined || error === null ? resolve(value) : reject(error));
    const returned = handler(event, context, callback);
    if (typeof returned?.then === 'function') returned.then(resolve, reject);
    else if (handler.length < 3) resolve(returned);
  });
  const body = Buffer.from(JSON.stringify(result) ?? 'null');
  if (body.length > MAX_BUFFERED_RESPONSE_BYTES) {
    const error = new Error(`Response payload size exceeded maximum allowed payload size (${MAX_BUFFERED_RESPONSE_BYTES} bytes).`);
    error.name = 'Function.ResponseSizeTooLarge';
    throw error;
  }
  send({ type: 'chunk', data: body.toString('base64') });
  finish({ type: 'end', contentType: 'application/json' });
}

/**
 * What a streaming handler writes to. In Lambda it is a wrapped HTTP request: a Writable that also takes objects (as JSON), has
 * setContentType, and cannot be read from or piped out of.
 */
function responseStream(highWaterMark) {
  let contentType = 'application/octet-stream';
  let written = false;
  const stream = new Writable({
    highWaterMark,
    decodeStrings: true,
    write(chunk, _encoding, callback) {
      send({ type: 'chunk', data: chunk.toString('base64') }, callback);
    },
  });
  const write = stream.write.bind(stream);
  stream.write = (chunk, ...rest) => {
    const isBytes = typeof chunk === 'string' || Buffer.isBuffer(chunk) || chunk?.constructor === Uint8Array;
    if (!written) {
      written = true;
      stream._onBeforeFirstWrite?.(write);
    }
    return write(isBytes ? chunk : JSON.stringify(chunk), ...rest);
  };
  // Writable's own end(chunk) does not come by the write above; in Lambda the first chunk always does.
  const end = stream.end.bind(stream);
  stream.end = (chunk, ...rest) => {
    if (typeof chunk === 'function') return end(chunk);
    if (chunk !== undefined && chunk !== null) stream.write(chunk, ...rest.filter((argument) => typeof argument === 'string'));
    return end(...rest.filter((argument) => typeof argument === 'function'));
  };
  stream.setContentType = (value) => {
    if (written) throw runtimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    contentType = value;
  };
  const ended = new Promise((resolve, reject) => {
    stream.once('finish', resolve);
    stream.once('error', reject);
    stream.once('close', () => {
      if (!stream.writableFinished) reject('Response stream is not finished.');
    });
  });
  // Waited for only after the handler has returned; a handler that throws first has its own error reported.
  ended.catch(() => {});
  return { stream, ended, contentType: () => contentType };
}

function contextOf({ context }) {
  const deadline = Date.now() + context.timeoutMs;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: context.functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: context.functionArn,
    memoryLimitInMB: String(context.memoryMiB),
    awsRequestId: context.requestId,
    logGroupName: context.logGroup,
    logStreamName: context.logStream,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

/** Finds `dir/module.nested.function`, trying what Lambda tries, in its order. */
async function load(taskDir, handlerString) {
  const { dir, base } = path.parse(handlerString);
  const [, moduleName, functionPath] = /^([^.]*)\.(.+)$/.exec(base) ?? [];
  if (moduleName === undefined) throw runtimeError('MalformedHandlerName', 'Bad handler');
  const root = path.resolve(taskDir, dir, moduleName);
  const file = ['', '.js', '.mjs', '.cjs'].map((extension) => root + extension).find((candidate) => existsSync(candidate));
  if (file === undefined) {
    throw runtimeError('ImportModuleError', `Error: Cannot find module '${path.join(dir, moduleName)}' in ${taskDir}`);
  }
  let module;
  try {
    // import() takes CommonJS too, but would hide exports that it cannot see without running the code.
    module = isEsModule(file) ? await import(pathToFileURL(file)) : createRequire(file)(file);
  } catch (error) {
    if (error instanceof SyntaxError) throw runtimeError('UserCodeSyntaxError', error.toString(), error);
    if (['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'].includes(error?.code)) {
      throw runtimeError('ImportModuleError', error.toString(), error);
    }
    throw error;
  }
  const handler = functionPath.split('.').reduce((nested, key) => nested?.[key], module);
  if (handler === undefined) throw runtimeError('HandlerNotFound', `${handlerString} is undefined or not exported`);
  if (typeof handler !== 'function') throw runtimeError('HandlerNotFound', `${handlerString} is not a function`);
  return handler;
}

function isEsModule(file) {
  if (!file.endsWith('.js')) return file.endsWith('.mjs');
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json');
    if (existsSync(manifest)) return JSON.parse(readFileSync(manifest, 'utf8')).type === 'module';
    if (folder === path.dirname(folder) || path.basename(folder) === 'node_modules') return false;
  }
}

function runtimeError(type, message, cause) {
  const error = new Error(message, cause && { cause });
  error.name = `Runtime.${type}`;
  return error;
}

/** The shape in which Lambda reports a function's error. */
function failure(error) {
  console.error('Invoke Error', error);
  if (error instanceof Error || (error?.name && error?.message && error?.stack)) {
    return { type: 'error', errorType: error.name, errorMessage: error.message, trace: String(error.stack).split('\n') };
  }
  return { type: 'error', errorType: typeof error, errorMessage: String(error), trace: [] };
}

function send(message, callback) {
  return outlet.write(`${JSON.stringify(message)}\n`, callback);
}

/** Tells the outcome, once, and ends the process: what the function still had going is frozen in Lambda, and gone here. */
function finish(outcome) {
  if (finished) return;
  finished = true;
  send(outcome, () => process.exit(0));
}
