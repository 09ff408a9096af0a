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

    async 'sign in at the provider, and out'(flow) {
        await flow.world.ask('execute', {
            sql: "insert into users (user_id, name, role, by_oidc, created_at, created_by) select gen_random_uuid(), 'ada@example.com', 'operator', true, created_at, 'owner' from users where name = 'owner'",
        });
        const page = await flow.open();
        await page.goto('/admin/queue');
        await page.getByRole('link', { name: 'Sign in with 127.0.0.1' }).click();
        await page.waitForURL('**/admin/queue');
        await page.locator('header details summary', { hasText: 'ada@example.com' }).waitFor();
        const [row] = await flow.world.rows("select signed_in_by from sessions join users using (user_id) where name = 'ada@example.com'");
        assert.equal(row.signed_in_by, 'oidc');
        // Neither the way there nor what was brought back is kept.
        const left = (await page.context().cookies()).map((cookie) => cookie.name);
        assert.deepEqual(left, ['lockkeeper_session']);
        assert.ok(!(await page.evaluate(() => document.referrer)).includes('code='));
        await flow.signOut(page);
        assert.deepEqual(await flow.world.rows("select 1 from sessions join users using (user_id) where name = 'ada@example.com'"), []);
    },

    async 'whom the provider does not let in, or nobody here, is told so and may use a password'(flow) {
        flow.expect(/status of 403/);
        const page = await flow.open();
        const said = async () => (await page.getByRole('alert').innerText()).trim();
        const link = page.getByRole('link', { name: /Sign in with/ });
        await flow.world.ask('identity', { denies: true });
        await page.goto('/admin/sign-in');
        await link.click();
        await page.getByRole('alert').waitFor();
        assert.match(await said(), /has not let you in/);
        assert.ok(!(await page.content()).includes('raw'));
        const claims = { sub: 'u-9', email: '<img src=x onerror=alert(1)>@example.com', email_verified: true };
        await flow.world.ask('identity', { denies: false, claims });
        await link.click();
        await page.waitForURL('**/callback?code=**');
        await page.getByRole('alert').waitFor();
        assert.match(await said(), /Nobody is called <img/);
        await page.getByLabel('Name').fill('owner');
        await page.getByLabel('Password').fill(flow.stage.users.owner);
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.waitForURL((url) => url.pathname === '/admin');
    },
};
