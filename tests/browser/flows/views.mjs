// Every view, in light and dark, on a desk and on a phone: nothing that keeps anybody from using it.
//
// SHOTS=folder keeps a picture of each there.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { AXE } from '../stage.mjs';
import { views } from '../views.mjs';

const [DESK, PHONE] = [1280, 390];
// WCAG 2.2 A and AA, and what axe's authors think good practice.
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const GRAVE = ['serious', 'critical'];

async function examined(page, name) {
    // Read into the page by the debugger, which the content security policy does not concern.
    const { violations } = await page.evaluate(
        (tags) => globalThis.axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] }),
        RULES,
    );
    return violations.map(({ id, impact, help, nodes }) => ({
        id, impact, grave: GRAVE.includes(impact),
        text: `${name}: ${impact} ${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`,
    }));
}

// Landmarks, one heading, captions: what every view has.
async function built(page, name) {
    return page.evaluate((name) => {
        const faults = [];
        const counted = (selector) => document.querySelectorAll(selector).length;
        if (counted('h1') !== 1) faults.push(`${name}: ${counted('h1')} h1`);
        if (counted('main') !== 1) faults.push(`${name}: ${counted('main')} main`);
        if (!document.documentElement.lang) faults.push(`${name}: no language`);
        if (!document.title.trim()) faults.push(`${name}: no title`);
        for (const table of document.querySelectorAll('table')) {
            if (table.closest('[aria-hidden=true]')) continue;
            if (!table.caption?.textContent.trim()) faults.push(`${name}: a table without a caption`);
        }
        return faults;
    }, name);
}

// What reaches beyond the screen, though it is not within something that scrolls by itself.
async function overflow(page, name) {
    return page.evaluate((name) => {
        const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
        if (wide <= 0) return [];
        const inside = (element) => {
            for (let one = element.parentElement; one; one = one.parentElement) {
                if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(one).overflowX) && one !== document.body) return true;
            }
            return false;
        };
        const far = [...document.querySelectorAll('body *')]
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && !inside(element))
            .slice(-3).map((element) => element.outerHTML.slice(0, 120));
        return [`${name}: ${wide} px too wide: ${far.join(' | ')}`];
    }, name);
}

// Looks at each view as it was opened, in the other colours, and on a phone. For pictures each is opened anew.
async function all(flow, theme) {
    const shots = process.env.SHOTS;
    if (shots) mkdirSync(shots, { recursive: true });
    const faults = [];
    const counts = { views: 0, grave: 0, light: 0 };
    const nobody = await flow.open({ theme });
    const owner = await flow.open({ as: 'owner', theme });
    for (const page of [nobody, owner]) await page.context().addInitScript({ path: AXE });
    for (const [name, path] of Object.entries(await views(flow.world))) {
        const page = name === 'sign-in' ? nobody : owner;
        await page.setViewportSize({ width: DESK, height: 900 });
        const answer = await page.goto(path);
        counts.views += 1;
        if (answer.status() !== 200) {
            faults.push(`${name}: ${answer.status()} at ${path}`);
            continue;
        }
        for (const width of [DESK, PHONE]) {
            await page.setViewportSize({ width, height: 900 });
            if (shots && width !== DESK) await page.reload();
            // The dark one differs in colours alone, which are the same on a phone.
            const again = theme === 'dark' && width === PHONE;
            const found = again ? [] : await examined(page, `${name} at ${width} px`);
            const grave = found.filter((one) => one.grave);
            counts.grave += grave.length;
            counts.light += found.length - grave.length;
            faults.push(...grave.map(({ text }) => text));
            for (const { text } of found.filter((one) => !one.grave)) console.error(text);
            faults.push(...(await built(page, name)), ...(await overflow(page, `${name} at ${width} px`)));
            if (shots) await page.screenshot({ path: join(shots, `${name}-${theme}-${width}.png`), fullPage: true });
        }
    }
    flow.figure(`axe, ${theme}: ${counts.views} views, ${counts.grave} serious or critical, ${counts.light} lesser`);
    assert.deepEqual(faults, []);
}

export const flows = {
    'every view in light': (flow) => all(flow, 'light'),
    'every view in dark': (flow) => all(flow, 'dark'),
};
