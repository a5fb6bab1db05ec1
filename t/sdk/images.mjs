/*
 * The official openai SDK makes and edits pictures; Perl reads what it saw as
 * one JSON line: images.mjs, with OPENAI_BASE_URL and OPENAI_API_KEY as any
 * user of it sets them, and PULSE_PICTURE, a file.
 */

import fs from 'node:fs';
import OpenAI, { toFile } from 'openai';

const client = new OpenAI();
const model = 'gpt-image-2';
const picture = process.env.PULSE_PICTURE;
const saw = {};

async function refusal(promise) {
    try {
        await promise;
        return null;
    } catch (e) {
        return { name: e.constructor.name, status: e.status, code: e.code,
                 param: e.param, type: e.type };
    }
}

async function streamed(promise) {
    const events = [];

    for await (const event of await promise) {
        events.push({ ...event, created_at: event.created_at > 1e9,
                      b64_json: Buffer.from(event.b64_json, 'base64').length });
    }

    return events;
}

const made = await client.images.generate({
    model, prompt: 'قطة', n: 2, size: '1024x1024', quality: 'low',
    background: 'opaque', output_format: 'png', moderation: 'low',
});

saw.generate = {
    bytes: made.data.map((image) => Buffer.from(image.b64_json, 'base64')
        .length),
    usage: made.usage, size: made.size, format: made.output_format,
    created: made.created > 1e9,
};

const linked = await client.images.generate({
    model, prompt: 'x', response_format: 'url',
});

saw.url = linked.data[0].url;

const edited = await client.images.edit({
    model, prompt: 'turn it green', n: 1,
    image: [await toFile(fs.createReadStream(picture), 'a.png',
                         { type: 'image/png' }),
            await toFile(fs.readFileSync(picture), 'b.png',
                         { type: 'image/png' })],
    mask: await toFile(fs.readFileSync(picture), 'mask.png',
                       { type: 'image/png' }),
});

saw.edit = { bytes: Buffer.from(edited.data[0].b64_json, 'base64').length };

saw.one = (await client.images.edit({
    model, prompt: 'x', image: fs.createReadStream(picture),
})).data.length;

saw.stream = await streamed(client.images.generate({
    model, prompt: 'x', stream: true, partial_images: 3, quality: 'low',
}));

saw.edit_stream = await streamed(client.images.edit({
    model, prompt: 'x', stream: true, partial_images: 0,
    image: fs.createReadStream(picture),
}));

const bytes = fs.readFileSync(picture).toString('base64');

saw.json = (await client.post('/images/edits', { body: {
    model, prompt: 'x',
    images: [{ image_url: `data:image/png;base64,${bytes}` }],
} })).data.length;

saw.several = await refusal(client.images.generate({
    model, prompt: 'x', stream: true, n: 2,
}));

saw.unknown = await refusal(client.images.generate({
    model, prompt: 'x', style: 'vivid',
}));

saw.model = await refusal(client.images.generate({
    model: 'dall-e-3', prompt: 'x',
}));

saw.flagged = [
    await refusal(client.images.generate({ model,
                                           prompt: 'a forbiddenword' })),
    await refusal(client.images.edit({
        model, prompt: 'a forbiddenword', image: fs.createReadStream(picture),
    })),
];

saw.poor = await refusal(new OpenAI({ apiKey: process.env.PULSE_POOR })
    .images.generate({ model, prompt: 'x', n: 10 }));

console.log(JSON.stringify(saw));
