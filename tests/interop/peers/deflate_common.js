// The orders of deflate_common.py, and what it says of echoes, once more.
'use strict';

const lines = require('readline').createInterface({ input: process.stdin });

exports.onOrder = (follow) => lines.on('line', (line) => follow(JSON.parse(line)));

exports.say = (values) => console.log(JSON.stringify(values));

exports.cut = (number, message) => {
  if (number % 3 !== 1) return [message];
  const step = Math.floor(message.length / 4) + 1;
  const pieces = [];
  for (let i = 0; i < message.length; i += step) {
    pieces.push(message.subarray(i, i + step));
  }
  return [...pieces, message.subarray(0, 0)];
};

exports.goesPlain = (number) => number % 7 === 3;
