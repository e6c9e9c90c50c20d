// Encoding of application/vnd.amazon.eventstream, the framing in which Bedrock streams its answers:
//
//   total length u32 | headers length u32 | CRC-32 of these two | headers | payload | CRC-32 of all before
//
// Written down here rather than taken from the SDK, so that the SDK under test is not checked against itself.

import { crc32 } from 'node:zlib';

const STRING_HEADER = 7;

export function encodeEvent(type, payload) {
  return encode({ ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' }, payload);
}

export function encodeException(type, payload) {
  return encode({ ':exception-type': type, ':content-type': 'application/json', ':message-type': 'exception' }, payload);
}

function encode(headers, payload) {
  const encodedHeaders = Buffer.concat(Object.entries(headers).map(([name, value]) => encodeHeader(name, value)));
  const body = Buffer.from(JSON.stringify(payload));
  const prelude = Buffer.concat([u32(16 + encodedHeaders.length + body.length), u32(encodedHeaders.length)]);
  const message = Buffer.concat([prelude, u32(crc32(prelude)), encodedHeaders, body]);
  return Buffer.concat([message, u32(crc32(message))]);
}

function encodeHeader(name, value) {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Buffer.byteLength(value));
  return Buffer.concat([
    Buffer.from([Buffer.byteLength(name)]),
    Buffer.from(name),
    Buffer.from([STRING_HEADER]),
    length,
    Buffer.from(value),
  ]);
}

function u32(value) {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}
