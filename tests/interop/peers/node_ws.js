// The peer of node's `ws`: node node_ws.js serve|dial, NODE_WS is its folder.
// What it does is written down in common.py.
'use strict';

const WebSocket = require(process.env.NODE_WS);
const common = JSON.parse(process.env.COMMON);
const say = (value) => console.log(JSON.stringify(value));

function sendFragments(ws) {
  const pieces = common.PIECES;
  let pongs = pieces.length - 1;
  ws.on('pong', () => {
    pongs -= 1;
    if (pongs === 0) ws.send(common.PONGED);
  });
  pieces.forEach((piece, index) => {
    const fin = index === pieces.length - 1;
    ws.send(piece, { binary: false, fin });
    if (!fin) ws.ping();
  });
}

function echo(ws) {
  ws.on('message', (data, binary) => {
    const text = binary ? null : data.toString();
    if (text === common.CLOSE) ws.close(common.CODE, common.REASON);
    else if (text === common.FRAGMENTS) sendFragments(ws);
    else ws.send(data, { binary });
  });
  ws.on('error', (error) => console.error(error));
  ws.on('close', (code, reason) => say({ code, reason: reason.toString() }));
}

const maxPayload = 64 * 2 ** 20;
if (process.argv[2] === 'serve') {
  const options = { host: '127.0.0.1', port: 0, maxPayload };
  const server = new WebSocket.Server(options, () => say(server.address().port));
  server.on('connection', echo);
} else {
  const lines = require('readline').createInterface({ input: process.stdin });
  lines.on('line', (port) => {
    echo(new WebSocket(`ws://127.0.0.1:${port}/`, { maxPayload }));
  });
}
