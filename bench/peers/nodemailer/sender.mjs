// Sends a personalised letter to each line of a people file with nodemailer's pool, for the speed comparison. Arguments,
// files and what is said on which stream are those of smtplib_sender.py.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import nodemailer from 'nodemailer';

const [host, port, connections, folder, people] = process.argv.slice(2);
const read = (name) => readFileSync(join(folder, name), 'utf8');
const escape = (s) => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

// compile cuts a text at its tags once, so that merging only joins.
function compile(text, change) {
  const parts = text.split(/\{\{(\w+)\}\}/);
  return (fields) => parts.map((p, i) => (i % 2 ? change(fields[p]) : p)).join('');
}
const subject = compile(read('subject.txt'), (s) => s);
const text = compile(read('letter.txt'), (s) => s);
const html = compile(read('letter.html'), escape);
const rows = readFileSync(people, 'utf8').split('\n').filter(Boolean).map((line) => line.split('\t'));

const pool = nodemailer.createTransport({ pool: true, host, port: Number(port), secure: false, ignoreTLS: true, maxConnections: Number(connections) });
let sent = 0;
let failure;

async function work() {
  for (let row = rows.pop(); row; row = rows.pop()) {
    const [address, name, first_name, town, number] = row;
    const fields = { first_name, town, number };
    try {
      await pool.sendMail({ from: 'Shop <shop@example.org>', to: { name, address }, subject: subject(fields), text: text(fields), html: html(fields) });
      sent++;
    } catch (error) {
      failure = error;
      return;
    }
  }
}

const input = createInterface({ input: process.stdin });
console.log('ready');
input.once('line', async () => {
  await Promise.all(Array.from({ length: Number(connections) }, work));
  console.log(JSON.stringify({ sent }));
  pool.close();
});
input.once('close', () => {
  if (failure) console.error(failure.message);
  process.exit(failure ? 1 : 0);
});
