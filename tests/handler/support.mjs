// What the tests of the built-in handler share: a task directory as Lambda would lay it out, a stand-in model, and two ways
// to invoke: in this process (fast, can look inside) and through tests/local/lambda/runtime.mjs (a real process, the
// simulated VPC, real TLS).
//
// The AWS SDK comes from PGAI_NODE_MODULES, by default .local/node/node_modules of the repository (npm ci there, with
// tests/local/node/package.json and package-lock.json).

import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { after } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const NODE_MODULES = process.env.PGAI_NODE_MODULES ?? path.join(REPOSITORY, '.local/node/node_modules');
const RUNTIME = path.join(REPOSITORY, 'tests/local/lambda/runtime.mjs');

export const MODEL = 'amazon.nova-lite-v1:0';
export const OTHER_MODEL = 'us.anthropic.claude-sonnet-4-20250514-v1:0';
export const ENDPOINT = 'bedrock-runtime.us-east-1.amazonaws.com';

if (!existsSync(path.join(NODE_MODULES, '@aws-sdk/client-bedrock-runtime'))) {
  throw new Error(`There is no AWS SDK in ${NODE_MODULES}: copy tests/local/node/package*.json next to it and run npm ci there.`);
}

const workspace = mkdtempSync(path.join(tmpdir(), 'pgai-handler-'));
after(() => rmSync(workspace, { recursive: true, force: true }));
symlinkSync(NODE_MODULES, path.join(workspace, 'node_modules'));

/** A task directory <workspace>/<name> that holds the handler; packages are found in <workspace>/node_modules. */
export function taskDirectory(name = 'task') {
  const directory = path.join(workspace, name);
  mkdirSync(directory, { recursive: true });
  copyFileSync(path.join(REPOSITORY, 'src/function/handler/index.mjs'), path.join(directory, 'index.mjs'));
  return directory;
}

/** A certificate of its own authority for these names, made anew for each run: no key lies in the repository. */
export function certificateFor(...names) {
  const [keyFile, caFile] = ['key.pem', 'cert.pem'].map((name) => path.join(workspace, name));
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=test',
    '-addext', `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`, '-keyout', keyFile, '-out', caFile,
  ], { stdio: 'ignore' });
  return { caFile, cert: readFileSync(caFile), key: readFileSync(keyFile) };
}

/** Loads the handler into this process, as a cold start would, with this environment. */
export async function loadHandler(name, environment) {
  Object.assign(process.env, {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'secret',
    PRIVATE_GENAI_MODELS: JSON.stringify([MODEL, OTHER_MODEL]),
    ...environment,
  });
  globalThis.awslambda = { streamifyResponse: (handler) => handler };
  const { handler } = await import(pathToFileURL(path.join(taskDirectory(name), 'index.mjs')));
  return handler;
}

/** A response stream that keeps what is written. */
export class Response extends Writable {
  written = [];
  contentType = undefined;

  constructor(options) {
    super(options);
    // A destroyed stream is part of some tests; in Lambda, too, it does not crash the function.
    this.on('error', () => {});
  }

  _write(chunk, _encoding, callback) {
    this.written.push(chunk);
    this.emit('written');
    callback();
  }

  setContentType(value) {
    this.contentType = value;
  }

  get document() {
    return JSON.parse(Buffer.concat(this.written).toString());
  }
}

export function contextWith({ remainingMs = 30_000 } = {}) {
  return { awsRequestId: 'request-1', getRemainingTimeInMillis: () => remainingMs };
}

/** Invokes a loaded handler; gives the document it answered and the line it logged. */
export async function invoke(t, handler, event, { context = contextWith(), response = new Response() } = {}) {
  const log = t.mock.method(console, 'log', () => {});
  await handler(event, response, context);
  // As the runtime does: the invocation lasts until its stream has ended.
  if (!response.destroyed) await finished(response);
  const lines = log.mock.calls.map((call) => call.arguments[0]);
  log.mock.restore();
  return { lines, log: JSON.parse(lines[0]), document: response.writableFinished ? response.document : undefined, response };
}

/** Invokes in a process of its own, through the stand-in for the Lambda runtime. */
export async function invokeInProcess(invocation, { onChunk } = {}) {
  const child = spawn(process.execPath, [RUNTIME], { stdio: ['pipe', 'pipe', 'pipe'] });
  const printed = text(child.stderr);
  const closed = once(child, 'close');
  child.stdin.end(
    JSON.stringify({
      taskDir: path.join(workspace, 'task'),
      handler: 'index.handler',
      ...invocation,
      env: { PRIVATE_GENAI_MODELS: JSON.stringify([MODEL, OTHER_MODEL]), ...invocation.env },
      context: { functionName: 'test', requestId: 'request-1', timeoutMs: 10_000, ...invocation.context },
    }),
  );
  const messages = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line);
    messages.push(message);
    if (message.type === 'chunk') await onChunk?.(Buffer.from(message.data, 'base64').toString());
  }
  await closed;
  const chunks = messages.filter(({ type }) => type === 'chunk').map(({ data }) => Buffer.from(data, 'base64'));
  return { chunks, body: Buffer.concat(chunks).toString(), end: messages.at(-1), printed: await printed };
}

/** A port on which nothing listens. */
export async function closedPort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
