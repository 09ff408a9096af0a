// Each user sees what is theirs, and does what their role lets them.

import assert from 'node:assert/strict';

import { forms, send, stored } from '../forms.mjs';
import { views } from '../views.mjs';

const OTHERS = ['harbour', 'northwind', 'oak-and-sons'];

export const flows = {
    async 'a customer sees what is theirs, and nothing of others'(flow) {
        const page = await flow.open({ as: 'kestrel' });
        const foreign = (await flow.world.rows(
            "select hostname from hostnames join tenants using (tenant_id) where slug <> 'kestrel'")).map(({ hostname }) => hostname);
        const own = (await flow.world.rows(
            "select hostname from hostnames join tenants using (tenant_id) where slug = 'kestrel'")).map(({ hostname }) => hostname);
        assert.ok(foreign.length > 10 && own.length > 3);
        const paths = Object.entries(await views(flow.world)).filter(([name]) =>
            !['sign-in', 'hostname', 'certificate', 'order-issued', 'order-failed', 'tenant', 'import', 'import-new'].includes(name));
        let seen = 0;
        flow.expect(/status of 40[34]/);
        for (const [name, path] of paths) {
            const answer = await page.goto(path);
            assert.ok([200, 403, 404].includes(answer.status()), `${name}: ${answer.status()}`);
            if (answer.status() !== 200) continue;
            const html = await page.content();
            for (const word of [...foreign, ...OTHERS]) assert.ok(!html.includes(word), `${name} shows ${word}`);
            seen += own.some((word) => html.includes(word)) ? 1 : 0;
        }
        assert.ok(seen >= 3, `what is theirs is seen on ${seen} views`);
    },

    async 'what belongs to another is not found'(flow) {
        flow.expect(/status of 40[34]/);
        const page = await flow.open({ as: 'kestrel' });
        const one = async (sql) => (await flow.world.row(`${sql} limit 1`)).id;
        const foreign = "tenant_id in (select tenant_id from tenants where slug = 'harbour')";
        const paths = [
            `/admin/certificates/${await one(`select id_text('crt', certificate_id) as id from certificates where ${foreign}`)}`,
            `/admin/orders/${await one(`select id_text('ord', order_id) as id from orders where ${foreign}`)}`,
            `/admin/hostnames/${await one(`select hostname as id from hostnames where ${foreign}`)}`,
        ];
        for (const path of paths) await flow.visit(page, path, 404);
        // As one that nobody has.
        await flow.visit(page, '/admin/hostnames/nobody-has-this.com', 404);
        // Customers are not theirs to look at, whether they are there or not.
        for (const slug of ['harbour', 'kestrel', 'nobody']) await flow.visit(page, `/admin/tenants/${slug}`, 403);
    },

    async 'a viewer changes nothing'(flow) {
        flow.expect(/status of 403/);
        const viewer = await flow.open({ as: 'viewer' });
        const owner = await flow.open({ as: 'owner' });
        const writes = (await forms(flow, owner)).filter(({ action }) => !/sign-out|plan/.test(action));
        assert.ok(writes.length >= 8, `${writes.length} forms that write`);
        for (const path of Object.values(await views(flow.world))) {
            if (path.endsWith('/sign-in') || (await viewer.goto(path)).status() !== 200) continue;
            // Of what writes, nothing is offered.
            const offered = await viewer.evaluate(() =>
                [...document.forms].filter((form) => form.method === 'post').map((form) => form.getAttribute('action')));
            assert.deepEqual(offered.filter((action) => !/sign-out|plan/.test(action)), [], path);
        }
        // And what is sent nevertheless is not done.
        const before = await stored(flow.world);
        const csrf = await viewer.locator('input[name=csrf]').first().getAttribute('value');
        for (const form of writes) {
            const fields = { ...form.fields, rows: 'tenant,external_id,names,challenge,labels\nkestrel,x,x.com,http-01,\n', confirmed: 'yes' };
            const answer = await send(flow, viewer, form, { csrf, ...fields, csrf });
            assert.ok([303, 403].includes(answer.status()), `${form.action}: ${answer.status()}`);
            if (answer.status() === 303) {
                await viewer.goto('/admin');
                const told = await viewer.getByRole('status').innerText();
                assert.match(told, /your role viewer does not allow this; an (operator or )?owner can/i, `${form.action}: ${told}`);
            }
        }
        assert.deepEqual(await stored(flow.world), before);
    },
};
