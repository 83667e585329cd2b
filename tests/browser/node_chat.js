// A person in the chat who is node's `ws`: node node_chat.js URL, NODE_WS is the
// folder of the package. Lines of stdin are sent, messages are printed.
'use strict';

const WebSocket = require(process.env.NODE_WS);
const ws = new WebSocket(process.argv[2]);
ws.on('open', () => {
  const lines = require('readline').createInterface({ input: process.stdin });
  lines.on('line', (line) => ws.send(line));
  lines.on('close', () => ws.close(1000));
});
ws.on('message', (data) => console.log(data.toString()));
ws.on('close', (code) => console.log(JSON.stringify({ type: 'closed', code })));
