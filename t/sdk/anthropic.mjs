/*
 * The official @anthropic-ai/sdk with its default settings; Perl reads what
 * it saw as one JSON line: anthropic.mjs SCENARIO MODEL, with
 * ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY as any user of it sets them.
 */

import Anthropic from '@anthropic-ai/sdk';

const [scenario, model] = process.argv.slice(2);

let requests = 0;

const client = new Anthropic({
    fetch: (url, options) => {
        requests++;
        return fetch(url, options);
    },
});

const params = {
    model,
    max_tokens: 10000,
    messages: [{ role: 'user',
                 content: process.env.PULSE_PROMPT ?? 'مرحبا' }],
    tools: [{
        name: 'multiply',
        input_schema: { type: 'object',
                        properties: { a: { type: 'integer' } } },
    }],
};


const scenarios = {

    async chat() {
        return seen(await client.messages.create(params));
    },

    /* the SDK's own accumulator */

    async stream() {
        return seen(await client.messages.stream(params).finalMessage());
    },

    async count() {
        const { model, messages } = params;

        return client.messages.countTokens({ model, messages });
    },

    async models() {
        const ids = [];

        for await (const entry of client.models.list()) {
            ids.push(entry.id);
        }

        return { ids };
    },
};


function seen(message) {
    const of = (type) => message.content.filter((b) => b.type === type);

    return {
        text: of('text').map((b) => b.text).join(''),
        tools: of('tool_use').map((b) => ({ name: b.name, input: b.input })),
        finish: message.stop_reason,
        usage: message.usage,
    };
}


let result;

try {
    result = await scenarios[scenario]();

} catch (error) {
    result = {
        error: error.constructor.name,
        status: error.status ?? null,
        type: error.error?.error?.type ?? null,
        code: error.error?.error?.details?.error_code ?? null,
        message: error.message,
    };
}

console.log(JSON.stringify({ ...result, requests }));
