/*
 * A list of work for an SDK: Perl writes a line for each piece and reads one
 * back before it writes the next, so that the provider plays in step.
 */

import { createInterface } from 'node:readline';


let requests = 0;

const plain = globalThis.fetch;

globalThis.fetch = (...args) => {
    requests++;
    return plain(...args);
};


export async function play(scenarios) {
    for await (const line of createInterface({ input: process.stdin })) {
        const work = JSON.parse(line);
        let result;

        requests = 0;

        try {
            result = await scenarios[work.how](work);

        } catch (error) {
            result = { error: error?.constructor?.name ?? 'error',
                       status: error?.status ?? error?.statusCode ?? null,
                       message: String(error?.message ?? error) };
        }

        console.log(JSON.stringify({ ...result, requests }));
    }
}
