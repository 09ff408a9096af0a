// A browser that runs no scripts: everything that is done at three in the morning can be done.

import assert from 'node:assert/strict';

const scripts = false;

export const flows = {
    async 'sign in, look, and sign out'(flow) {
        const page = await flow.open({ scripts });
        await flow.signIn(page, 'operator');
        for (const [path, heading] of [
            ['/admin/hostnames', /hostnames/i], ['/admin/certificates', /certificates/i], ['/admin/queue', /queue/i], ['/admin/events', /events/i],
        ]) {
            await page.goto(path);
            await page.getByRole('heading', { level: 1, name: heading }).waitFor();
        }
        // What takes a script is not offered.
        for (const name of [/pause refresh/i, /go to/i, /^theme$/i]) {
            assert.equal(await page.getByRole('button', { name }).count(), 0, `${name}`);
        }
        await flow.signOut(page);
    },

    async 'find why a name fails'(flow) {
        const page = await flow.open({ as: 'viewer', scripts });
        await page.goto('/admin/hostnames');
        await page.getByRole('table', { name: /causes/i }).getByRole('link', { name: /wrong address/i }).click();
        await page.getByRole('link', { name: 'moved-away.com' }).click();
        await page.getByRole('table', { name: /records that mend/i }).waitFor();
    },

    async 'settle a stuck authorization'(flow) {
        const page = await flow.open({ as: 'operator', scripts });
        await page.goto('/admin/authorizations?tab=pending');
        await page.getByRole('row', { name: /stuck-weir\.com/ }).getByRole('button', { name: 'Settle' }).click();
        await page.getByRole('button', { name: 'Settle' }).click();
        await page.getByRole('status').getByText(/settle/i).first().waitFor();
        await flow.world.until("select 1 from authorizations where identifier = 'stuck-weir.com' and status = 'deactivated'");
    },

    async 'filter, and go to the next page'(flow) {
        const page = await flow.open({ as: 'viewer', scripts });
        await page.goto('/admin/events');
        const first = await page.getByRole('table').first().innerText();
        await page.getByRole('link', { name: /next page/i }).click();
        await page.waitForURL(/cursor=/);
        assert.notEqual(await page.getByRole('table').first().innerText(), first);
    },
};
