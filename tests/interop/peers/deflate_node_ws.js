// The compressing peer of node's `ws`; NODE_PACKAGE is its folder. What it does is
// written down in deflate_common.py.
'use strict';

const WebSocket = require(process.env.NODE_PACKAGE);
const { cut, goesPlain, onOrder, say } = require('./deflate_common.js');

function echo(ws, then) {
  let number = 0;
  ws.on('message', (data, binary) => {
    const pieces = cut(number, data);
    const compress = !goesPlain(number);
    number += 1;
    pieces.forEach((piece, index) => {
      ws.send(piece, { binary, compress, fin: index === pieces.length - 1 });
    });
  });
  ws.on('error', (error) => console.error(error));
  ws.on('close', (code) => {
    say({ code });
    then();
  });
}

onOrder((order) => {
  const perMessageDeflate = {
    serverNoContextTakeover: order.server_no_context_takeover,
    clientNoContextTakeover: order.client_no_context_takeover,
    serverMaxWindowBits: order.server_max_window_bits,
    clientMaxWindowBits: order.client_max_window_bits,
    threshold: 0,
    zlibDeflateOptions: { level: 1, memLevel: 5 },
  };
  const options = { perMessageDeflate, maxPayload: 2 ** 26 };
  if (order.serve) {
    const where = { ...options, host: '127.0.0.1', port: 0 };
    const server = new WebSocket.Server(where, () => {
      say({ port: server.address().port });
    });
    server.on('connection', (ws) => echo(ws, () => server.close()));
  } else {
    echo(new WebSocket(`ws://127.0.0.1:${order.dial}/`, options), () => {});
  }
});
