/*
 * A browser that does what it is told: each line of standard input is a piece
 * of work as in play.mjs.
 *
 *   open   {locale, cookie: {name, value}} at {url}, of a browser that is new
 *   wait   until {text} stands in the page
 *   fill   {selector} with {text}
 *   click  {selector}
 *   look   the page's url, text, direction, language, and what the console
 *          had to complain of, among it breaches of the page's policy
 *   draw   a picture of it: {file}
 *
 * The studio is http://localhost.  What is asked of the provider's host is
 * asked of a twin, so that the page's policy is the one of real life.
 */

import { chromium } from 'playwright-core';
import { play } from './play.mjs';

const { PULSE_CHROMIUM: executablePath, PULSE_STUDIO: studio,
        PULSE_TWIN: twin, PULSE_TWIN_HOST: host } = process.env;

const browser = await chromium.launch({ executablePath, args: [
    '--no-sandbox', `--host-resolver-rules=MAP localhost ${studio}`] });
const timeout = 60000;      // ms, for slow machines

let page, complaints;


async function answer(route) {
    const request = route.request();
    const url = new URL(request.url());
    const reply = await fetch(twin + url.pathname + url.search, {
        method: request.method(), body: request.postData() ?? undefined });
    const script = url.pathname.endsWith('.js');

    await route.fulfill({
        status: reply.status, body: await reply.text(),
        headers: { 'Access-Control-Allow-Origin': '*' },
        contentType: script ? 'text/javascript' : 'text/html' });
}


async function open({ url, locale, cookie }) {
    const context = await browser.newContext({
        locale, viewport: { width: 480, height: 640 } });

    await context.addCookies([{ ...cookie, url }]);
    await context.route(`https://${host}/**`, answer);

    page = await context.newPage();
    complaints = [];

    page.on('console', (message) => {
        if (message.type() === 'error') {
            complaints.push(message.text());
        }
    });
    page.on('pageerror', (error) => complaints.push(String(error)));

    await page.goto(url, { timeout });

    return {};
}


await play({
    open,
    wait: async ({ text }) => {
        await page.getByText(text).waitFor({ timeout });
        return {};
    },
    fill: async ({ selector, text }) => {
        await page.fill(selector, text, { timeout });
        return {};
    },
    click: async ({ selector }) => {
        await page.click(selector, { timeout });
        return {};
    },
    look: async () => ({
        url: page.url(), text: await page.innerText('body'), complaints,
        ...await page.evaluate(() => ({
            dir: document.documentElement.dir,
            lang: document.documentElement.lang,
            frames: document.querySelectorAll('iframe').length,
            direction: getComputedStyle(document.body).direction,
            group: [...document.querySelectorAll('.wpwl-group')].map((e) =>
                [getComputedStyle(e).direction,
                 getComputedStyle(e).borderTopColor].join(' '))[0] ?? null,
        })) }),
    draw: async ({ file }) => {
        await page.screenshot({ path: file });
        return {};
    },
});

await browser.close();
