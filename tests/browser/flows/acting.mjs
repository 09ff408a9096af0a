// What is pressed is done: seen in the rows, and in the CA's own books.

import assert from 'node:assert/strict';

const HEADER = 'tenant,external_id,names,challenge,labels';

export const flows = {
    async 'settle a stuck authorization'(flow) {
        const page = await flow.open({ as: 'operator' });
        const stuck = async () => (await flow.world.ask('ca')).find(({ name, status }) => name === 'stuck-tide.com' && status !== 'invalid');
        assert.ok((await stuck()).open, 'the CA waits for it');
        await page.goto('/admin/authorizations?tab=pending');
        const row = page.getByRole('row', { name: /stuck-tide\.com/ });
        await row.getByRole('button', { name: 'Settle' }).click();
        // What it costs is said before anything is done.
        await page.locator('.effect').filter({ hasText: /failed validation|failure|token/i }).waitFor();
        assert.ok((await stuck()).open);
        await page.getByRole('button', { name: 'Settle' }).click();
        await page.getByRole('status').getByText(/settle/i).first().waitFor();
        await flow.world.until("select 1 from authorizations where identifier = 'stuck-tide.com' and status = 'deactivated'");
        const settled = await stuck();
        assert.deepEqual([settled.status, settled.open, settled.deactivated_while_pending], ['deactivated', false, true]);
        const event = await flow.world.row(
            "select actor_kind, actor_name from events where kind = 'authorization.settle_requested' limit 1");
        assert.deepEqual([event.actor_kind, event.actor_name], ['user', 'operator']);
        await page.goto('/admin/authorizations?tab=pending');
        assert.equal(await page.getByRole('row', { name: /stuck-tide\.com/ }).count(), 0);
    },

    async 'settle all that match, with their price before'(flow) {
        const page = await flow.open({ as: 'operator' });
        await page.goto('/admin/authorizations?tab=pending&tenant=oak-and-sons');
        const rows = await flow.world.rows(
            `select identifier from authorizations join tenants using (tenant_id)
             where slug = 'oak-and-sons' and settled_at is null order by 1`);
        assert.equal(rows.length, 2, JSON.stringify(rows));
        await page.getByRole('button', { name: /settle all/i }).click();
        const effect = page.locator('.effect');
        await effect.waitFor();
        assert.match(await effect.innerText(), /2 failure tokens/);
        await page.getByRole('button', { name: /settle 2/i }).click();
        await page.getByRole('status').getByText(/done for 2/i).waitFor();
        await flow.world.until(
            `select 1 from authorizations join tenants using (tenant_id)
             where slug = 'oak-and-sons' and authorizations.status = 'deactivated' having count(*) = 2`);
        const books = await flow.world.ask('ca');
        assert.equal(books.filter(({ name, deactivated_while_pending }) => name.startsWith('dear-') && deactivated_while_pending).length, 2);
        // Nobody else's.
        const others = books.filter(({ name }) => ['stuck-weir.com', 'stuck-lock.com'].includes(name));
        assert.ok(others.every(({ open }) => open), JSON.stringify(others));
    },

    async 'import a file: look at it first, then commit'(flow) {
        const page = await flow.open({ as: 'operator' });
        await page.goto('/admin/imports/new');
        const file = `${HEADER}\nkestrel,new-1,fresh-paint.com www.fresh-paint.com,http-01,\nkestrel,new-2,co.uk,http-01,\n`;
        await page.getByLabel(/file/i).setInputFiles({ name: 'fleet.csv', mimeType: 'text/csv', buffer: Buffer.from(file) });
        await page.getByRole('button', { name: 'Preview' }).click();
        await page.waitForURL(/\/admin\/imports\/imp_/);
        await flow.world.until("select 1 from imports where status = 'preview'");
        await page.reload();
        // What would become of each row is said, and nothing is there yet.
        await flow.sees(page, 'co.uk');
        assert.deepEqual(await flow.world.rows("select 1 from hostnames where hostname = 'fresh-paint.com'"), []);
        await page.getByRole('button', { name: 'Commit import' }).click();
        await page.locator('.effect').waitFor();
        await page.getByRole('button', { name: 'Commit import' }).click();
        await flow.world.until("select 1 from imports where status = 'completed' and rows_created = 1 and rows_refused = 1");
        const { slug } = await flow.world.row(
            "select slug from hostnames join tenants using (tenant_id) where hostname = 'fresh-paint.com'");
        assert.equal(slug, 'kestrel');
    },

    async 'replace what a CA revokes, with its price before, and call it off'(flow) {
        const page = await flow.open({ as: 'operator' });
        await page.goto('/admin/campaigns');
        await page.getByRole('link', { name: 'New campaign' }).click();
        const days = (count) => new Date(Date.now() + count * 86_400_000).toISOString().slice(0, 16);
        await page.getByLabel('Reason').fill('The CA revokes what it signed');
        await page.getByLabel('Deadline').fill(days(20));
        await page.getByLabel('Issued until').fill(days(19));
        await page.getByRole('button', { name: 'Preview' }).click();
        const effect = page.locator('.effect');
        await effect.waitFor();
        assert.match(await effect.innerText(), /\d+ certificates.* The CA counts \d+ new orders/s);
        // Nothing is begun before somebody says so.
        assert.deepEqual(await flow.world.rows('select 1 from campaigns'), []);
        await page.getByRole('button', { name: /^Replace \d/ }).click();
        await page.waitForURL(/\/admin\/campaigns\/cmp_/);
        await flow.sees(page, 'The CA revokes what it signed');
        await page.getByRole('button', { name: 'Call off' }).click();
        await page.locator('.effect').filter({ hasText: /cannot be taken back/ }).waitFor();
        await page.getByRole('button', { name: 'Call off' }).click();
        await flow.world.until("select 1 from campaigns where status = 'cancelled' and created_by = 'operator'");
        const told = await flow.world.rows("select kind from events where kind like 'campaign.%' order by xid, seq");
        assert.deepEqual(told.map(({ kind }) => kind), ['campaign.started', 'campaign.cancelled']);
    },

    async 'ask what an import would cost before there is one'(flow) {
        const page = await flow.open({ as: 'viewer' });
        const before = await flow.world.rows('select count(*) as count from orders');
        await page.goto('/admin/plan');
        const names = Array.from({ length: 330 }, (_, nr) => `planned-${nr}.com`);
        await page.getByLabel('Sites').fill(names.join('\n'));
        await page.getByRole('button', { name: 'Forecast', exact: true }).click();
        await page.locator('main').getByText(/330/).first().waitFor();
        await page.getByRole('table').first().waitFor();
        assert.deepEqual(await flow.world.rows('select count(*) as count from orders'), before);
    },

    async 'an open page shows what has changed, and rests while nobody looks'(flow) {
        const page = await flow.open({ as: 'operator' });
        const asked = [];
        page.on('request', (request) => asked.push(new URL(request.url()).pathname));
        const followed = page.waitForResponse((answer) => answer.url().endsWith('/admin/live'));
        await page.goto('/admin/tenants');
        await followed;
        const other = await flow.open({ as: 'owner' });
        const rename = async (name) => {
            await other.goto('/admin/tenants/kestrel');
            await other.getByLabel('Name', { exact: true }).fill(name);
            await other.getByRole('button', { name: 'Save' }).click();
            await other.getByRole('status').getByText(/done/i).first().waitFor();
        };
        // The word that the server tells is one that a browser hears; by itself the page would look now and then only.
        await page.evaluate(() => new Promise((open) => {
            const events = new EventSource('/admin/live');
            events.onopen = open;
            events.addEventListener('changed', () => { globalThis.told = true; events.close(); });
        }));
        await rename('Kestrel One');
        await page.waitForFunction(() => globalThis.told);
        await page.getByRole('cell', { name: 'Kestrel One' }).waitFor();

        // Nobody looks: it asks nothing any more, and follows nothing.
        const ended = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/admin/live'));
        const hide = (hidden) => page.evaluate((hidden) => {
            Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event('visibilitychange'));
        }, hidden);
        await hide(true);
        await ended;
        asked.length = 0;
        await rename('Kestrel Two');
        assert.deepEqual(asked, []);
        assert.equal(await page.getByRole('cell', { name: 'Kestrel Two' }).count(), 0);
        await hide(false);
        await page.getByRole('cell', { name: 'Kestrel Two' }).waitFor();

        // Somebody wants it to stand still.
        const stopped = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/admin/live'));
        await page.getByRole('button', { name: 'Pause refresh' }).click();
        await stopped;
        await rename('Kestrel Three');
        assert.equal(await page.getByRole('cell', { name: 'Kestrel Three' }).count(), 0);
        await page.getByRole('button', { name: 'Resume refresh', pressed: true }).click();
        await page.getByRole('cell', { name: 'Kestrel Three' }).waitFor();
    },
};
