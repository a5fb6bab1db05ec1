/*
 * The SDKs of OpenAI and Anthropic whose first answer is lost on its way:
 * they ask again by themselves, with what the user gave for that.  lost.mjs
 * reads [{how, as, model, key}] as play.mjs does.
 */

import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { play } from './play.mjs';

const { PULSE_URL: url, PULSE_KEY: apiKey } = process.env;

let tries = [];

/* what was asked is read to its end, and then nothing of it was */

async function lossy(address, options) {
    const response = await globalThis.fetch(address, options);
    const count = new Headers(options.headers).get('x-stainless-retry-count');

    tries.push(count);

    if (tries.length === 1) {
        await response.arrayBuffer();
        throw new TypeError('fetch failed');
    }

    return response;
}

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey, fetch: lossy });
const anthropic = new Anthropic({ baseURL: url, apiKey, fetch: lossy });
const messages = [{ role: 'user', content: 'مرحبا' }];


const clients = {

    openai: {
        async plain(model, options) {
            const answer = await openai.chat.completions.create(
                { model, messages }, options);

            return { text: answer.choices[0].message.content,
                     usage: answer.usage.total_tokens };
        },

        async stream(model, options) {
            const answer = await openai.chat.completions.stream({
                model, messages, stream_options: { include_usage: true },
            }, options).finalChatCompletion();

            return { text: answer.choices[0].message.content,
                     usage: answer.usage.total_tokens };
        },
    },

    anthropic: {
        async plain(model, options) {
            return said(await anthropic.messages.create(
                { model, max_tokens: 1000, messages }, options));
        },

        async stream(model, options) {
            return said(await anthropic.messages.stream(
                { model, max_tokens: 1000, messages }, options)
                .finalMessage());
        },
    },
};


function said({ content, usage }) {
    return { text: content.map((block) => block.text ?? '').join(''),
             usage: usage.input_tokens + usage.output_tokens };
}


async function ask({ how, as, model, key }) {
    tries = [];

    const saw = await clients[as][how](model,
        { headers: { 'Idempotency-Key': key } });

    return { ...saw, tries };
}


await play({ plain: ask, stream: ask });
