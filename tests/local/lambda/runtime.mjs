// A stand-in for the Lambda Node.js runtime: one invocation per process.
//
//   node runtime.mjs < invocation.json
//
// stdin, one JSON document:
//   taskDir   where the unpacked code is; packages that Lambda provides are found as Node finds them (<taskDir>/../node_modules)
//   handler   "index.handler"
//   event     any JSON
//   env       the function's own environment (optional)
//   runtime   "nodejs24.x" by default; "nodejs22.x" and older still take callbacks
//   context   {functionName, functionArn, requestId, timeoutMs, memoryMiB, logGroup}, each optional
//   network   the simulated VPC, see network.mjs; absent: no restriction
//
// stdout, JSON lines:
//   {"type":"chunk","data":"<base64>"}   as the function produces them
//   {"type":"end","contentType":"…"}     the invocation succeeded, or
//   {"type":"error","errorType":…,"errorMessage":…,"trace":[…]}   it failed (chunks before it were sent, as in Lambda)
//
// stderr: whatever the function prints. Exit code: 0 when stdout tells how the invocation ended, 2 for a bad document.
//
// This process is the sandbox around the function's own process (function-process.mjs): it sets the environment, enforces
// the time-out and notices a crash, none of which a process can do to itself.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const INIT_TIMEOUT_MS = 10_000;
const DEFAULT_TIMEOUT_MS = 3_000;
const DEFAULT_MEMORY_MIB = 128;
const FUNCTION_PROCESS = fileURLToPath(new URL('./function-process.mjs', import.meta.url));

let invocation;
try {
  invocation = completed(JSON.parse(await text(process.stdin)));
} catch (error) {
  console.error(`runtime.mjs: the invocation on stdin cannot be used: ${error.message}`);
  process.exit(2);
}
await run(invocation);

/** Fills in what the caller left out, and refuses what cannot be run. */
function completed(given) {
  for (const name of ['taskDir', 'handler']) {
    if (typeof given?.[name] !== 'string' || given[name] === '') throw new Error(`"${name}" must be a non-empty string`);
  }
  if (!('event' in given)) throw new Error('"event" is missing; write null for none');
  const functionName = given.context?.functionName ?? 'function';
  return {
    runtime: 'nodejs24.x',
    ...given,
    env: given.env ?? {},
    context: {
      functionName,
      functionArn: `arn:aws:lambda:us-east-1:123456789012:function:${functionName}`,
      requestId: randomUUID(),
      timeoutMs: DEFAULT_TIMEOUT_MS,
      memoryMiB: DEFAULT_MEMORY_MIB,
      logGroup: `/aws/lambda/${functionName}`,
      logStream: '2024/01/01/[$LATEST]00000000000000000000000000000000',
      ...given.context,
    },
  };
}

/** The function's whole environment: nothing of ours leaks in, so that nothing of ours makes a function work by accident. */
function environmentOf({ taskDir, handler, runtime, env, context, network }) {
  const region = context.functionArn.split(':')[3];
  const provided = {
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    PATH: '/usr/local/bin:/usr/bin:/bin',
    // Does not exist, so that the SDK cannot read the developer's own ~/.aws.
    HOME: '/home/sbx_user1051',
    AWS_ACCESS_KEY_ID: 'ASIAEXAMPLEEXAMPLE00',
    AWS_SECRET_ACCESS_KEY: 'example-secret-of-the-execution-role',
    AWS_SESSION_TOKEN: 'example-session-token-of-the-execution-role',
  };
  const reserved = {
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_EXECUTION_ENV: `AWS_Lambda_${runtime}`,
    AWS_LAMBDA_FUNCTION_NAME: context.functionName,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(context.memoryMiB),
    AWS_LAMBDA_LOG_GROUP_NAME: context.logGroup,
    AWS_LAMBDA_LOG_STREAM_NAME: context.logStream,
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    LAMBDA_TASK_ROOT: taskDir,
    _HANDLER: handler,
  };
  // Node reads this once, at its start; function-process.mjs takes it away again before the function sees it.
  const trust = network?.caFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: network.caFile };
  return { ...provided, ...env, ...reserved, ...trust };
}

async function run(invocation) {
  const child = spawn(process.execPath, [FUNCTION_PROCESS], {
    cwd: invocation.taskDir,
    env: environmentOf(invocation),
    // Whatever the function prints goes to stderr; the invocation's outcome comes through a channel of its own.
    stdio: ['pipe', process.stderr, process.stderr, 'pipe'],
  });
  let outcome;
  const { requestId, timeoutMs } = invocation.context;

  const kill = (errorType, errorMessage) => {
    outcome ??= { type: 'error', errorType, errorMessage: `RequestId: ${requestId} Error: ${errorMessage}`, trace: [] };
    child.kill('SIGKILL');
  };
  let timer = setTimeout(kill, INIT_TIMEOUT_MS, 'Sandbox.Timedout', `Init timed out after ${seconds(INIT_TIMEOUT_MS)} seconds`);

  // Whoever reads the answer has gone: nothing is left to compute for.
  process.stdout.on('error', () => {
    child.kill('SIGKILL');
    process.exitCode = 1;
  });
  // A function that dies before it has read its event is told below, by its exit.
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(invocation));
  const exited = once(child, 'close');

  for await (const line of createInterface({ input: child.stdio[3] })) {
    const message = JSON.parse(line);
    if (message.type === 'initialized') {
      clearTimeout(timer);
      timer = setTimeout(kill, timeoutMs, 'Sandbox.Timedout', `Task timed out after ${seconds(timeoutMs)} seconds`);
    } else if (message.type === 'chunk') {
      if (!process.stdout.write(`${line}\n`)) await drained();
    } else {
      outcome ??= message;
    }
  }
  const [code, signal] = await exited;
  clearTimeout(timer);
  outcome ??= {
    type: 'error',
    errorType: 'Runtime.ExitError',
    errorMessage: `RequestId: ${requestId} Error: Runtime exited ${
      signal ? `with error: signal: ${signal}` : code === 0 ? 'without providing a reason' : `with error: exit status ${code}`
    }`,
    trace: [],
  };
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}

function seconds(milliseconds) {
  return (milliseconds / 1000).toFixed(2);
}

/** Back-pressure: a slow reader of our output slows the function down, as in Lambda. */
function drained() {
  return new Promise((resolve) => {
    const done = () => {
      process.stdout.off('drain', done).off('close', done);
      resolve();
    };
    process.stdout.on('drain', done).on('close', done);
  });
}
