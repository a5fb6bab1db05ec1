/*
 * The official openai SDK with its default settings; Perl reads what it saw
 * as one JSON line: openai.mjs SCENARIO MODEL, with OPENAI_BASE_URL and
 * OPENAI_API_KEY as any user of it sets them.
 */

import OpenAI from 'openai';

const [scenario, model] = process.argv.slice(2);

let requests = 0;

const client = new OpenAI({
    fetch: (url, options) => {
        requests++;
        return fetch(url, options);
    },
});

const messages = [
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: process.env.PULSE_PROMPT ?? 'مرحبا' },
];

const tools = [{
    type: 'function',
    function: {
        name: 'multiply',
        description: 'Multiply two numbers.',
        parameters: {
            type: 'object',
            properties: { a: { type: 'integer' }, b: { type: 'integer' } },
            required: ['a', 'b'],
        },
    },
}];


const scenarios = {

    async chat() {
        const { data, response } = await client.chat.completions
            .create({ model, messages }).withResponse();

        return {
            text: data.choices[0].message.content,
            tools: data.choices[0].message.tool_calls ?? [],
            finish: data.choices[0].finish_reason,
            usage: data.usage,
            trace: response.headers.get('x-trace-id'),
        };
    },

    /* its own option of that name sends no header to OpenAI's endpoints;
     * what it tries again bears the headers of the first */

    async keyed() {
        const headers = {
            'Idempotency-Key': process.env.PULSE_IDEMPOTENCY_KEY,
        };
        const { data, response } = await client.chat.completions
            .create({ model, messages }, { headers }).withResponse();

        return {
            text: data.choices[0].message.content,
            replayed: response.headers.get('idempotent-replayed'),
            event: response.headers.get('x-usage-event'),
        };
    },

    async stream() {
        return collect({ model, messages, stream: true });
    },

    async usage() {
        return collect({ model, messages, stream: true,
                         stream_options: { include_usage: true } });
    },

    async tools() {
        return collect({ model, messages, tools, stream: true });
    },

    /* the SDK's own accumulator */

    async runner() {
        const stream = client.chat.completions.stream({ model, messages });
        const completion = await stream.finalChatCompletion();

        return { text: completion.choices[0].message.content,
                 finish: completion.choices[0].finish_reason };
    },

    async models() {
        const ids = [];

        for await (const entry of client.models.list()) {
            ids.push(entry.id);
        }

        return { ids };
    },

    /* asks for base64 unless told, and decodes it */

    async embeddings() {
        const input = ['one', 'two', 'three'];
        const vectors = async (params) =>
            (await client.embeddings.create({ model, input, ...params }))
                .data.map((entry) => Array.from(entry.embedding));
        const { data, usage } = await client.embeddings
            .create({ model, input });

        return {
            vectors: data.map((entry) => Array.from(entry.embedding)),
            floats: await vectors({ encoding_format: 'float' }),
            usage,
        };
    },

    /* leaves after the first piece of text */

    async abort() {
        const stream = await client.chat.completions
            .create({ model, messages, stream: true });

        for await (const chunk of stream) {
            if (chunk.choices[0]?.delta?.content) {
                break;
            }
        }

        return {};
    },
};


async function collect(params) {
    const stream = await client.chat.completions.create(params);
    const calls = [];

    let text = '', finish = null, usage = null, chunks = 0, bare = 0;

    for await (const chunk of stream) {
        chunks++;
        usage = chunk.usage ?? usage;

        if (chunk.choices.length === 0) {
            bare++;
            continue;
        }

        const { delta, finish_reason } = chunk.choices[0];

        text += delta.content ?? '';
        finish = finish_reason ?? finish;

        for (const call of delta.tool_calls ?? []) {
            calls[call.index] ??= { id: '', name: '', arguments: '' };
            calls[call.index].id ||= call.id ?? '';
            calls[call.index].name += call.function?.name ?? '';
            calls[call.index].arguments += call.function?.arguments ?? '';
        }
    }

    return { text, finish, usage, chunks, bare, tools: calls };
}


let result;

try {
    result = await scenarios[scenario]();

} catch (error) {
    result = {
        error: error.constructor.name,
        status: error.status ?? null,
        code: error.code ?? null,
        type: error.type ?? null,
        message: error.message,
    };
}

console.log(JSON.stringify({ ...result, requests }));
