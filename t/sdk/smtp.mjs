/*
 * A mail server that does what it is told: each line of standard input is a
 * piece of work as in play.mjs.
 *
 *   listen   {secure, starttls, login, size} of a new server: its port
 *   act      {connect, from, to, data}: what it does at that stage, of
 *            [code, text], "hold" until let go, "drop" the connection; at
 *            "data" also "drop-after", which has taken the mail by then
 *   held     the stage at which it holds somebody, or null
 *   release  lets go
 *   mails    what it has taken, parsed, with what was said before
 *   forget   these
 */

import { readFileSync } from 'node:fs';
import { SMTPServer } from 'smtp-server';
import { simpleParser } from 'mailparser';
import { play } from './play.mjs';

const { PULSE_SMTP_KEY: key, PULSE_SMTP_CERT: cert } = process.env;

let server, acts = {}, held = null, release = () => {}, mails = [];


function refusal([responseCode, text]) {
    return Object.assign(new Error(text), { responseCode });
}


function drop() {
    for (const connection of server.connections) {
        connection._socket.destroy();
    }
}


async function stage(name, callback) {
    const act = acts[name];

    if (act === 'hold') {
        held = name;
        await new Promise((resolve) => { release = resolve; });
        held = null;
    }

    if (act === 'drop' || act === 'drop-after') {
        drop();

    } else {
        callback(Array.isArray(act) ? refusal(act) : null);
    }
}


async function take(stream, session, callback) {
    const chunks = [];

    for await (const chunk of stream) {
        chunks.push(chunk);
    }

    const raw = Buffer.concat(chunks);
    const taken = { raw: raw.toString('latin1'), secure: session.secure,
                    user: session.user ?? null,
                    hello: session.hostNameAppearsAs,
                    from: session.envelope.mailFrom.address,
                    size: session.envelope.mailFrom.args?.SIZE ?? null,
                    to: session.envelope.rcptTo.map((r) => r.address) };

    if (acts.data === 'drop') {
        return drop();
    }

    if (!Array.isArray(acts.data) && !stream.sizeExceeded) {
        const mail = await simpleParser(raw);

        mails.push({ ...taken, subject: mail.subject, text: mail.text,
                     html: mail.html, id: mail.messageId,
                     sender: mail.from.value, date: mail.date,
                     language: mail.headers.get('content-language'),
                     auto: mail.headers.get('auto-submitted'),
                     headers: [...mail.headers.keys()] });
    }

    if (stream.sizeExceeded) {
        return callback(refusal([552, '5.3.4 it is too large']));
    }

    stage('data', callback);
}


function listen({ secure, starttls, login, size }) {
    server = new SMTPServer({
        secure: !!secure, key: readFileSync(key), cert: readFileSync(cert),
        size: size ?? undefined, disableReverseLookup: true,
        authOptional: !login, allowInsecureAuth: true,
        disabledCommands: [...(starttls ? [] : ['STARTTLS']),
                           ...(login ? [] : ['AUTH'])],
        onConnect: (session, callback) => stage('connect', callback),
        onAuth: ({ username, password }, session, callback) =>
            (username === login[0] && password === login[1])
                ? callback(null, { user: username })
                : callback(refusal([535, '5.7.8 credentials invalid'])),
        onMailFrom: (address, session, callback) => stage('from', callback),
        onRcptTo: (address, session, callback) => stage('to', callback),
        onData: take,
    });

    server.on('error', () => {});

    return new Promise((resolve) => {
        const listening = server.listen(0, '127.0.0.1', () => {
            resolve({ port: listening.address().port });
        });
    });
}


await play({
    listen,
    act: ({ acts: wanted }) => { acts = wanted; return {}; },
    held: () => ({ held }),
    release: () => { acts = {}; release(); return {}; },
    mails: () => ({ mails }),
    forget: () => { mails = []; return {}; },
});

process.exit(0);
