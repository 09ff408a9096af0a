// What others wrote stands in every column that takes it: it is shown as the text that it is.

import assert from 'node:assert/strict';

import { views } from '../views.mjs';

// Whatever of it became more than text.
function harm() {
    const faults = [];
    if (globalThis.stung !== undefined) faults.push('it was executed');
    for (const element of document.querySelectorAll('*')) {
        for (const { name, value } of element.attributes) {
            if (name.startsWith('on') || name.startsWith('hx-on')) faults.push(`${element.tagName} has ${name}=${value}`);
            if (element.tagName === 'LINK' && value === 'data:,') continue;
            if (['href', 'src', 'action', 'formaction', 'srcset', 'data', 'xlink:href'].includes(name) || /^hx-(get|post|put|delete|patch)$/.test(name)) {
                const url = new URL(value, location.href);
                const ours = url.protocol === location.protocol && url.host === location.host;
                if (!ours && url.protocol !== 'https:') faults.push(`${element.tagName} leads to ${value}`);
                if (!ours && !['A'].includes(element.tagName)) faults.push(`${element.tagName} asks ${value}`);
            }
        }
        if (['IMG', 'IFRAME', 'OBJECT', 'EMBED', 'BASE'].includes(element.tagName)) faults.push(`there is a ${element.tagName}`);
    }
    for (const script of document.scripts) {
        if (!script.src && script.type !== 'application/json') faults.push(`a script in the page: ${script.text.slice(0, 80)}`);
    }
    const shown = document.body.innerText.includes('stung=1');
    // Text that runs the other way must not take its surroundings along.
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const { parentElement, data } = walker.currentNode;
        if (!data.includes('\u202e') || ['SCRIPT', 'TEXTAREA', 'OPTION'].includes(parentElement.tagName)) continue;
        let isolated = false;
        for (let one = parentElement; one && one !== document.body; one = one.parentElement) {
            const { unicodeBidi, display } = getComputedStyle(one);
            if (/isolate|plaintext/.test(unicodeBidi) || !display.startsWith('inline')) isolated = true;
            if (isolated) break;
        }
        if (!isolated) faults.push(`turned text is not kept apart: ${parentElement.outerHTML.slice(0, 120)}`);
    }
    return { faults, shown };
}

async function visitAll(flow) {
    const page = await flow.open({ as: 'owner' });
    const faults = [];
    const shown = [];
    for (const [name, path] of Object.entries(await views(flow.world))) {
        if (name === 'sign-in') continue;
        const answer = await page.goto(path);
        if (answer.status() !== 200) {
            faults.push(`${name}: ${answer.status()} at ${path}`);
            continue;
        }
        const found = await page.evaluate(harm);
        faults.push(...found.faults.map((fault) => `${name}: ${fault}`));
        if (found.shown) shown.push(name);
    }
    flow.figure(`hostile text is shown as text on ${shown.length} views: ${shown.join(' ')}`);
    assert.deepEqual(faults, []);
    assert.ok(shown.length >= 12, `it stands on ${shown.length} views only: ${shown}`);
}

export const flows = {
    async 'it stands in the columns'(flow) {
        const written = await flow.world.rows('select name, rows from hostile_columns where rows > 0 order by name');
        flow.figure(`hostile text in ${written.length} columns: ${written.map(({ name, rows }) => `${name} (${rows})`).join(' ')}`);
        assert.ok(written.length > 40, `${written.length} columns`);
    },
    'nothing of it is executed': visitAll,

    async 'what stands in an address is text, too'(flow) {
        flow.expect(/status of 4\d\d/);
        const page = await flow.open({ as: 'owner' });
        const { payload } = await flow.world.row('select payload() as payload');
        const text = encodeURIComponent(payload);
        const link = encodeURIComponent('javascript:stung=1');
        const faults = [];
        for (const path of [
            `/admin/hostnames?q=${text}&tenant=${text}&label=${text}&status=${text}&failure_class=${text}`,
            `/admin/authorizations?tab=${text}&tenant=${text}`, `/admin/queue?stage=${text}&lane=${text}&tenant=${text}`,
            `/admin/certificates?hostname=${text}&external_id=${text}&cursor=${text}`, `/admin/events?kind=${text}&subject=${text}&since=${text}`,
            `/admin/search?q=${text}`, `/admin/hostnames/${text}`, `/admin/certificates/${text}`, `/admin/orders/${text}`,
            `/admin/tenants/${text}`, `/admin/imports/${text}`, `/admin/webhooks/${text}`, `/admin/${text}`,
            `/admin/sign-in?to=${link}`, `/admin/sign-in?to=${text}`,
        ]) {
            const answer = await page.goto(path);
            assert.ok(answer.status() < 500, `${path}: ${answer.status()}`);
            faults.push(...(await page.evaluate(harm)).faults.map((fault) => `${path}: ${fault}`));
        }
        assert.deepEqual(faults, []);
    },

    async 'cells of a file are text'(flow) {
        const page = await flow.open({ as: 'owner' });
        const { payload } = await flow.world.row('select payload() as payload');
        const cell = `"${payload.replaceAll('"', '""')}"`;
        await page.goto('/admin/imports/new');
        await page.getByLabel(/or the rows/).fill(
            `tenant,external_id,names,challenge,labels\nkestrel,${cell},one-more.com,http-01,a=${payload.replaceAll(/[",]/g, '')}\n${cell},x,${cell},${cell},${cell}\n=HYPERLINK(1),@SUM(1),+1.com,http-01,\n`);
        await page.getByRole('button', { name: 'Preview' }).click();
        await page.waitForURL(/\/admin\/imports\/imp_/);
        const [, id] = page.url().match(/(imp_[0-9a-z]+)/);
        await flow.world.until(`select 1 from imports where id_text('imp', import_id) = '${id}' and status = 'preview'`);
        await page.reload();
        const { faults, shown } = await page.evaluate(harm);
        assert.deepEqual(faults, []);
        assert.ok(shown, 'the cells are shown');
    },
};
