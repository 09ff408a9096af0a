// What is wrong, for whom, why, and what to do about it.

import assert from 'node:assert/strict';

export const flows = {
    async 'find why a name fails, and copy what mends it'(flow) {
        const page = await flow.open({ as: 'operator', permissions: ['clipboard-read', 'clipboard-write'] });
        await page.goto('/admin/hostnames');
        await page.getByRole('table', { name: /causes/i }).getByRole('link', { name: /wrong address/i }).click();
        await page.waitForURL(/failure_class=wrong_address/);
        const names = await page.getByRole('table', { name: 'Hostnames' }).getByRole('rowheader').allInnerTexts();
        const rows = await flow.world.rows("select hostname from hostname_backoffs where fault_class = 'wrong_address' order by 1");
        assert.deepEqual(names.sort(), rows.map(({ hostname }) => hostname));
        await page.getByRole('link', { name: 'moved-away.com' }).click();
        await page.getByRole('heading', { level: 1, name: 'moved-away.com' }).waitFor();
        const records = page.getByRole('table', { name: /records that mend/i });
        await records.waitFor();
        const value = (await records.locator('td:last-child code').first().innerText()).trim();
        assert.ok(value.length > 3);
        await records.locator('td:last-child').first().getByRole('button', { name: /copy/i }).click();
        await page.waitForFunction(async (wanted) => (await navigator.clipboard.readText()) === wanted, value);
        // The checks say which of them keeps the name back, and what was found.
        await page.getByRole('table', { name: /looked at before an order/i }).getByText(/failed/i).first().waitFor();
        const { next } = await flow.world.row(
            "select look_at is not null as next from hostname_backoffs where hostname = 'moved-away.com'");
        assert.ok(next, 'it is looked at again');
    },

    async 'open the timeline of an order from its certificate'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin/certificates?status=active');
        await page.getByRole('table', { name: 'Certificates' }).getByRole('rowheader').getByRole('link').first().click();
        await page.waitForURL(/\/admin\/certificates\/crt_/);
        await page.locator('a[href^="/admin/orders/ord_"]').first().click();
        await page.waitForURL(/\/admin\/orders\/ord_/);
        const [, id] = page.url().match(/(ord_[0-9a-z]+)/);
        const order = await flow.world.row(
            `select ca_order_url as url, (select count(*) from response_fetches of where of.order_id = orders.order_id and not own) as fetches
             from orders where id_text('ord', order_id) = '${id}'`);
        // The CA's name for it, each authorization, and who has fetched the response.
        if (order.url) await flow.sees(page, order.url);
        await page.getByRole('table').first().waitFor();
        await page.getByRole('heading', { level: 1 }).waitFor();
    },

    async 'read the raw problem of an order that failed'(flow) {
        const page = await flow.open({ as: 'viewer' });
        const { id } = await flow.world.row("select id_text('ord', order_id) as id from orders where stage = 'failed' and fault_class = 'caa'");
        await page.goto(`/admin/orders/${id}`);
        await page.getByText('The problem document').click();
        await flow.sees(page, 'urn:ietf:params:acme:error:unauthorized');
    },

    async 'see who waits in which lane, and for what'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin/queue');
        const table = page.getByRole('table', { name: /orders/i });
        for (const [nr, lane] of ['urgent', 'interactive', 'renewal', 'bulk'].entries()) {
            await page.getByLabel('Lane').selectOption(lane);
            await page.getByRole('button', { name: 'Filter' }).click();
            await page.waitForURL(new RegExp(`lane=${lane}`));
            const { count } = await flow.world.row(`select count(*) as count from orders where lane = ${nr} and due_at is not null`);
            assert.ok(count > 0);
            assert.equal(await table.getByRole('rowheader').count(), count, lane);
            const cells = await table.getByRole('cell', { name: lane, exact: true }).count();
            assert.equal(cells, count, lane);
        }
        // Each says why it waits; one that is parked, what was found.
        await table.getByText('127.0.66.6 is none of the hosting servers').first().waitFor();
        const reasons = await table.locator('tbody td.text').allInnerTexts();
        assert.ok(reasons.length > 5 && reasons.every((reason) => reason.trim().length > 8), JSON.stringify(reasons));
    },

    async 'see what is nearly spent'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin');
        const main = page.locator('main');
        await main.getByText(/new.orders per account/i).first().waitFor();
        // 19 of 300 are left, and what has come back since.
        assert.match(await main.innerText(), /\b(19|2\d)\b/);
    },

    async 'filters stay in the address, through a reload and back again'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin/hostnames');
        await page.getByLabel('Tenant', { exact: true }).fill('harbour');
        await page.getByRole('button', { name: 'Filter' }).click();
        await page.waitForURL(/tenant=harbour/);
        const filtered = async () => page.getByRole('table', { name: 'Hostnames' }).getByRole('rowheader').allInnerTexts();
        const seen = await filtered();
        const { count } = await flow.world.row(
            "select count(*) as count from hostnames join tenants using (tenant_id) where slug = 'harbour'");
        assert.equal(seen.length, count);
        await page.reload();
        assert.deepEqual(await filtered(), seen);
        assert.equal(await page.getByLabel('Tenant', { exact: true }).inputValue(), 'harbour');
        await page.getByRole('link', { name: seen[0], exact: true }).click();
        await page.getByRole('heading', { level: 1, name: seen[0] }).waitFor();
        await page.goBack();
        await page.waitForURL(/tenant=harbour/);
        assert.deepEqual(await filtered(), seen);
    },

    async 'find a name by typing it'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin');
        await page.getByRole('searchbox').fill('half-configured.com');
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { level: 1, name: /half-configured\.com/ }).waitFor();
    },

    async 'what an ended order has left at the CA is told, with what it costs'(flow) {
        const page = await flow.open({ as: 'operator' });
        await page.goto('/admin/authorizations?tab=orphaned');
        const names = await page.getByRole('table', { name: 'Authorizations' }).getByRole('rowheader').allInnerTexts();
        const rows = await flow.world.rows(
            "select identifier from authorizations join orders using (order_id) where settled_at is null and ended_at is not null");
        assert.deepEqual(names.sort(), rows.map(({ identifier }) => identifier).sort());
        const row = page.getByRole('row', { name: /dear-mill\.com/ });
        assert.match(await row.innerText(), /its order has ended.*failure token/s);
        // What is to be pressed is on the screen, without going sideways for it.
        const box = await row.getByRole('button', { name: 'Settle' }).boundingBox();
        assert.ok(box.x + box.width <= 1280, `the button is at ${box.x + box.width} px`);
        assert.ok(await row.getByRole('button', { name: 'Settle' }).evaluate((button) => {
            const { left, top, width, height } = button.getBoundingClientRect();
            return document.elementFromPoint(left + width / 2, top + height / 2) === button;
        }), 'something covers it');
        // And below, what the CA has that no row of ours knows.
        const inbox = page.getByRole('table', { name: /Each counts in the account's budget/ });
        const [{ listed, open }] = await flow.world.rows(
            "select count(*) as listed, count(*) filter (where kind <> 'certificate') as open from orphans where resolved_at is null");
        assert.equal(await inbox.getByRole('rowheader').count(), listed);
        assert.equal(await inbox.getByRole('button', { name: 'Settle now' }).count(), open);
        assert.match(await inbox.innerText(), /with the next pass of the reconciler/);
    },
};
