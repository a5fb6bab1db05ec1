/*
 * The SDKs of the vendors with their default settings, each with its own
 * accumulator of streams: official.mjs reads [{how, as, model}] as play.mjs
 * does.
 */

import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { play } from './play.mjs';

const { PULSE_URL: url, PULSE_KEY: apiKey } = process.env;
const prompt = 'مرحبا 👋🏽';

/* a "fetch" that looks the global one up, which play.mjs counts */

const counted = (...args) => globalThis.fetch(...args);

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey, fetch: counted });
const anthropic = new Anthropic({ baseURL: url, apiKey, fetch: counted });
const google = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } });


const clients = {

    openai: {
        async ask(model, stream) {
            const asked = { model, max_completion_tokens: 100000,
                            messages: [{ role: 'user', content: prompt }] };
            const completion = stream
                ? await openai.chat.completions.stream({
                    ...asked, stream_options: { include_usage: true },
                }).finalChatCompletion()
                : await openai.chat.completions.create(asked);
            const { message, finish_reason } = completion.choices[0];

            return {
                text: message.content ?? '',
                tools: (message.tool_calls ?? []).map(
                    (c) => call(c.function.name, c.function.arguments)),
                finish: finish_reason,
                usage: [completion.usage.prompt_tokens,
                        completion.usage.completion_tokens],
            };
        },

        begin: (model) => openai.chat.completions.create({
            model, stream: true,
            messages: [{ role: 'user', content: prompt }] }),
    },

    responses: {
        async ask(model, stream) {
            const asked = { model, input: prompt, max_output_tokens: 100000 };
            const answer = stream
                ? await openai.responses.stream(asked).finalResponse()
                : await openai.responses.create(asked);

            return {
                text: answer.output_text,
                tools: answer.output
                    .filter((item) => item.type === 'function_call')
                    .map((c) => call(c.name, c.arguments)),
                finish: answer.incomplete_details?.reason ?? answer.status,
                usage: [answer.usage.input_tokens,
                        answer.usage.output_tokens],
            };
        },

        begin: (model) => openai.responses.create({ model, stream: true,
                                                    input: prompt }),
    },

    anthropic: {
        async ask(model, stream) {
            const asked = { model, max_tokens: 10000,
                            messages: [{ role: 'user', content: prompt }] };
            const message = stream
                ? await anthropic.messages.stream(asked).finalMessage()
                : await anthropic.messages.create(asked);
            const of = (type) => message.content
                .filter((block) => block.type === type);
            const { usage } = message;

            return {
                text: of('text').map((block) => block.text).join(''),
                tools: of('tool_use').map(({ name, input }) =>
                    ({ name, input })),
                finish: message.stop_reason,
                usage: [usage.input_tokens
                        + (usage.cache_read_input_tokens ?? 0)
                        + (usage.cache_creation_input_tokens ?? 0),
                        usage.output_tokens],
            };
        },

        begin: (model) => anthropic.messages.create({
            model, max_tokens: 10000, stream: true,
            messages: [{ role: 'user', content: prompt }] }),
    },

    gemini: {
        async ask(model, stream) {
            const asked = { model, contents: prompt };
            const chunks = [];

            if (stream) {
                const stream
                    = await google.models.generateContentStream(asked);

                for await (const chunk of stream) {
                    chunks.push(chunk);
                }

            } else {
                chunks.push(await google.models.generateContent(asked));
            }

            return ofGemini(chunks);
        },

        begin: (model) => google.models.generateContentStream(
            { model, contents: prompt }),
    },
};


function call(name, text) {
    return { name, input: JSON.parse(text || '{}') };
}


function ofGemini(chunks) {
    const saw = { text: '', tools: [], finish: null, usage: null };

    for (const chunk of chunks) {
        const candidate = chunk.candidates?.[0];
        const usage = chunk.usageMetadata;

        saw.finish = candidate?.finishReason ?? saw.finish;

        if (usage) {
            saw.usage = [usage.promptTokenCount ?? 0,
                         (usage.candidatesTokenCount ?? 0)
                         + (usage.thoughtsTokenCount ?? 0)];
        }

        for (const part of candidate?.content?.parts ?? []) {
            saw.text += part.thought ? '' : part.text ?? '';

            if (part.functionCall) {
                saw.tools.push({ name: part.functionCall.name,
                                 input: part.functionCall.args ?? {} });
            }
        }
    }

    return saw;
}


await play({
    plain: ({ as, model }) => clients[as].ask(model, false),
    stream: ({ as, model }) => clients[as].ask(model, true),

    /* leaves after the first event */

    async abort({ as, model }) {
        for await (const event of await clients[as].begin(model)) {
            void event;
            break;
        }

        return {};
    },
});
