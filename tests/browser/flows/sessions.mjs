// Who signs in, who does not, and when it ends.

import assert from 'node:assert/strict';

export const flows = {
    async 'sign in and out'(flow) {
        const page = await flow.open();
        // Whoever is not signed in is sent to sign in, and from there to where they wanted to go.
        await page.goto('/admin/queue');
        assert.match(page.url(), /\/admin\/sign-in/);
        await page.getByLabel('Name').fill('owner');
        await page.getByLabel('Password').fill(flow.stage.users.owner);
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.waitForURL('**/admin/queue');
        await flow.signOut(page);
        // Neither the way back nor another request shows what was there.
        await page.goto('/admin/queue');
        assert.match(page.url(), /\/admin\/sign-in/);
        await page.goBack();
        assert.equal(await page.locator('form[action="/admin/sign-out"]').count(), 0);
    },

    async 'a session that was signed out is worth nothing'(flow) {
        const page = await flow.open();
        await flow.signIn(page, 'operator');
        const kept = await page.context().cookies();
        await flow.signOut(page);
        const thief = await flow.open();
        await thief.context().addCookies(kept);
        await thief.goto('/admin');
        assert.match(thief.url(), /\/admin\/sign-in/);
    },

    async 'a new password ends all sessions of its user'(flow) {
        const page = await flow.open();
        await flow.signIn(page, 'forgetful');
        await flow.world.ask('new_password', { user: 'forgetful', password: 'another correct horse' });
        await page.goto('/admin');
        assert.match(page.url(), /\/admin\/sign-in/);
        await flow.signIn(page, 'forgetful', 'another correct horse');
        await flow.visit(page, '/admin');
    },

    async 'a wrong password is told kindly, and the tenth not at once'(flow) {
        flow.expect(/status of 4\d\d/);
        const page = await flow.open();
        const attempt = async (name, password) => {
            await page.goto('/admin/sign-in');
            await page.getByLabel('Name').fill(name);
            await page.getByLabel('Password').fill(password);
            const [answer] = await Promise.all([
                page.waitForResponse((one) => one.request().method() === 'POST'),
                page.getByRole('button', { name: 'Sign in' }).click(),
            ]);
            await page.waitForLoadState();
            return answer.status();
        };
        const said = async () => (await page.getByRole('alert').innerText()).trim();
        assert.notEqual(await attempt('viewer', 'wrong'), 303);
        const wrong = await said();
        assert.match(wrong, /name|password/i);
        // The same for a name that nobody has, and neither is in the address.
        await attempt('nobody-here', 'wrong');
        assert.equal(await said(), wrong);
        assert.ok(!page.url().includes('nobody') && !page.url().includes('wrong'));
        // What was typed as the name is there still, the password is not.
        assert.equal(await page.getByLabel('Password').inputValue(), '');
        let status = 0;
        for (let nr = 0; nr < 20 && status !== 429; nr += 1) status = await attempt('viewer', `wrong ${nr}`);
        assert.equal(status, 429);
        assert.match(await said(), /again|wait|minute|second/i);
        // The right one must wait too, or it could be guessed.
        assert.equal(await attempt('viewer', flow.stage.users.viewer), 429);
    },
};
