// The compressing peer of `undici`, whose WebSocket is also node's own;
// NODE_PACKAGE is its folder. A client that inflates, but never compresses.
'use strict';

const { WebSocket } = require(process.env.NODE_PACKAGE);
const { onOrder, say } = require('./deflate_common.js');

onOrder((order) => {
  const ws = new WebSocket(`ws://127.0.0.1:${order.dial}/`);
  ws.binaryType = 'arraybuffer';
  ws.onmessage = (event) => ws.send(event.data);
  ws.onerror = (event) => console.error(event.error);
  ws.onclose = (event) => say({ code: event.code, extensions: ws.extensions });
});
