/*
 * The AI SDK with its providers for OpenAI (chat and Responses), Anthropic
 * and Google: ai.mjs reads [{how, as, model}] as play.mjs does.
 */

import { generateText, streamText, jsonSchema, tool } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { play } from './play.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;        // they go where answers go

const { PULSE_URL: url, PULSE_KEY: apiKey } = process.env;

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey });
const google = createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey });

const models = {
    openai: (name) => openai.chat(name),
    responses: (name) => openai.responses(name),
    anthropic: (name) => anthropic(name),
    gemini: (name) => google(name),
};

/* whatever a recording calls: one that is not there would be an error */

function toolsOf(names) {
    return Object.fromEntries(names.map((name) => [name, tool({
        description: 'A tool.',
        inputSchema: jsonSchema({ type: 'object', properties: {} }),
    })]));
}


function asked({ as, model, tools = [] }) {
    return { model: models[as](model), prompt: 'مرحبا 👋🏽',
             maxOutputTokens: 10000,
             tools: tools.length ? toolsOf(tools) : undefined };
}


function seen(text, calls, finish, usage) {
    return {
        text, finish,
        tools: calls.map((c) => ({ name: c.toolName, input: c.input })),
        usage: [usage.inputTokens, usage.outputTokens],
    };
}


await play({

    async plain(work) {
        const r = await generateText(asked(work));

        return seen(r.text, r.toolCalls, r.finishReason, r.usage);
    },

    async stream(work) {
        let failure = null;

        const r = streamText({ ...asked(work),
                               onError: ({ error }) => { failure = error; } });

        await r.consumeStream();

        if (failure) {
            throw failure;
        }

        return seen(await r.text, await r.toolCalls, await r.finishReason,
                    await r.usage);
    },

    async abort(work) {
        const leaving = new AbortController();
        const r = streamText({ ...asked(work),
                               abortSignal: leaving.signal,
                               onError: () => {} });

        for await (const part of r.textStream) {
            void part;
            leaving.abort();
            break;
        }

        return {};
    },
});
