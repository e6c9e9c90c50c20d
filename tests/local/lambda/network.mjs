// The simulated VPC of one function process.
//
//   hosts   {"name": ["10.0.1.5", …]}                     what the VPC's resolver knows; any other name: ENOTFOUND
//   routes  {"10.0.1.5:443": "127.0.0.1:PORT"}            where a connection really goes; any other address: no answer at all,
//                                                         as when a security group drops the packet
//   caFile  certificates to trust besides the usual ones  (runtime.mjs gives it to Node)
//   dropAfterMs  how long the kernel would go on trying before ETIMEDOUT (default 5000; in reality two minutes)
//
// The seam lies as deep as Node allows, at the TCP handle under every socket: http, https, http2, tls, happy eyeballs
// and the sockets' own time-outs above it are the real ones, and the function sees the addresses of the VPC, not ours.
// It is a simulation, not a jail: native code and child processes are outside it.

import dgram from 'node:dgram';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';

const DROP_AFTER_MS = 5_000;

export function simulateNetwork({ hosts = {}, routes = {}, dropAfterMs = DROP_AFTER_MS }) {
  simulateNames(new Map(Object.entries(hosts).map(([name, addresses]) => [canonical(name), addresses])));
  simulateConnections(new Map(Object.entries(routes)), dropAfterMs);
  // There are no routes for UDP: a datagram is gone, and nobody is told.
  dgram.Socket.prototype.send = function send(...parameters) {
    const callback = parameters.at(-1);
    if (typeof callback === 'function') process.nextTick(callback, null, 0);
  };
  // So that `import { lookup } from 'node:dns'` sees what was replaced.
  syncBuiltinESMExports();
}

function canonical(name) {
  return name.toLowerCase().replace(/\.$/, '');
}

// ---- names

function simulateNames(hosts) {
  /** All addresses of a name in a family (0: any), or throws what the resolver would. */
  const addressesOf = (syscall, name, family) => {
    const known = canonical(name) === 'localhost' ? ['127.0.0.1'] : hosts.get(canonical(name));
    const addresses = (known ?? []).filter((address) => family === 0 || net.isIP(address) === family);
    if (addresses.length === 0) throw dnsError(syscall, name, known && syscall !== 'getaddrinfo' ? 'ENODATA' : 'ENOTFOUND');
    return addresses;
  };

  const lookup = (name, options) => {
    const { family = 0, all = false } = typeof options === 'number' ? { family: options } : (options ?? {});
    const wanted = { IPv4: 4, IPv6: 6 }[family] ?? family;
    const addresses = net.isIP(name) ? [name] : addressesOf('getaddrinfo', name, wanted);
    const found = addresses.map((address) => ({ address, family: net.isIP(address) }));
    return all ? found : found[0];
  };
  dns.lookup = (name, ...rest) => {
    const callback = rest.pop();
    answer(
      () => lookup(name, rest[0]),
      (error, found) => {
        if (error) callback(error);
        else if (Array.isArray(found)) callback(null, found);
        else callback(null, found.address, found.family);
      },
    );
  };
  dns.promises.lookup = async (name, options) => lookup(name, options);

  const resolvers = {
    resolve4: (name) => addressesOf('queryA', name, 4),
    resolve6: (name) => addressesOf('queryAaaa', name, 6),
    resolve: (name, type = 'A') => {
      if (type === 'A') return resolvers.resolve4(name);
      if (type === 'AAAA') return resolvers.resolve6(name);
      throw dnsError(`query${type}`, name, hosts.has(canonical(name)) ? 'ENODATA' : 'ENOTFOUND');
    },
  };
  // Every other question (MX, TXT, reverse, …) would leave through a real socket of c-ares: nothing is known here.
  const questions = Object.keys(dns).filter((name) => /^(resolve|reverse)/.test(name));
  for (const question of questions) {
    const ask = resolvers[question] ?? ((name) => { throw dnsError(question, name, 'ENOTFOUND'); });
    const withCallback = (name, ...rest) => {
      const callback = rest.pop();
      answer(() => ask(name, typeof rest[0] === 'string' ? rest[0] : undefined), callback);
    };
    const withPromise = async (name, type) => ask(name, typeof type === 'string' ? type : undefined);
    dns[question] = withCallback;
    dns.Resolver.prototype[question] = withCallback;
    dns.promises[question] = withPromise;
    dns.promises.Resolver.prototype[question] = withPromise;
  }
}

function answer(ask, callback) {
  let error = null;
  let value;
  try {
    value = ask();
  } catch (thrown) {
    error = thrown;
  }
  process.nextTick(callback, error, value);
}

function dnsError(syscall, hostname, code) {
  const error = new Error(`${syscall} ${code} ${hostname}`);
  return Object.assign(error, { errno: code === 'ENOTFOUND' ? -3008 : undefined, code, syscall, hostname });
}

// ---- connections

function simulateConnections(routes, dropAfterMs) {
  const prototype = tcpHandlePrototype();
  const { connect, getpeername } = prototype;
  const peers = new WeakMap();

  const simulated = function (request, address, port) {
    const key = net.isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
    const target = routes.get(key);
    if (target !== undefined) {
      peers.set(this, { address, port, family: net.isIP(address) === 6 ? 'IPv6' : 'IPv4' });
      const [host, realPort] = target.split(/:(?=\d+$)/);
      return connect.call(this, request, host, Number(realPort));
    }
    if (address.startsWith('127.') || address === '::1') return -os.constants.errno.ECONNREFUSED;
    // The kernel accepts the call and goes on trying. Time-outs of the socket strike first, if they are shorter; then Node
    // has given the attempt up (and, where it tries several addresses, has taken its callback away).
    setTimeout(() => request.oncomplete?.(-os.constants.errno.ETIMEDOUT, this, request, false, false), dropAfterMs);
    return 0;
  };
  prototype.connect = simulated;
  prototype.connect6 = simulated;
  prototype.getpeername = function (out) {
    const peer = peers.get(this);
    if (peer === undefined) return getpeername.call(this, out);
    Object.assign(out, peer);
    return 0;
  };
}

/** The prototype of Node's TCP handles; it has no public name, but every server and socket has one. */
function tcpHandlePrototype() {
  const socket = new net.Socket();
  // A connection that is refused synchronously, to an address that never leaves the machine, makes the handle.
  socket.on('error', () => {});
  socket.connect({ host: '127.0.0.1', port: 1 });
  const prototype = Object.getPrototypeOf(socket._handle);
  socket.destroy();
  return prototype;
}
