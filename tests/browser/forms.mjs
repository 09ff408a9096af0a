// What the pages let people send, and what is stored.

import { views } from './views.mjs';

// Every form of every view that writes: where it goes, and what it would send. One for each kind of thing.
export async function forms(flow, page) {
    const found = new Map();
    for (const path of Object.values(await views(flow.world))) {
        if (path.endsWith('/sign-in')) continue;
        await flow.visit(page, path);
        const here = await page.evaluate(() =>
            [...document.forms].filter((form) => form.method === 'post').map((form) => ({
                action: new URL(form.getAttribute('action') ?? '', location.href).pathname,
                multipart: form.enctype === 'multipart/form-data',
                token: form.elements.csrf?.value,
                fields: Object.fromEntries([...new FormData(form)].filter(([, value]) => typeof value === 'string')),
            })));
        for (const form of here) found.set(form.action, form);
    }
    return [...found.values()];
}

// Sends a form as the browser of that page would, but for what is said otherwise; where it leads is not followed.
export function send(flow, page, form, fields, headers = {}) {
    return page.context().request.post(form.action, {
        [form.multipart ? 'multipart' : 'form']: fields,
        headers: { origin: flow.base, ...headers },
        maxRedirects: 0,
    });
}

// All rows of each table, in one number. Sessions say when they were seen, and are left out.
export async function stored(world) {
    const tables = await world.rows(
        `select table_name as name from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'sessions'`);
    const sum = ({ name }) => `select '${name}' as name, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text as sum from "${name}" t`;
    return world.rows(tables.map(sum).join(' union all '));
}
