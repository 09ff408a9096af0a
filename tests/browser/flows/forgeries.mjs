// Requests that no form of ours has sent, and what keeps a session its owner's.

import assert from 'node:assert/strict';

import { forms, send, stored } from '../forms.mjs';

export const flows = {
    async 'every form has its token, and is refused without'(flow) {
        const page = await flow.open({ as: 'owner' });
        const all = await forms(flow, page);
        assert.ok(all.length >= 8, `${all.length} forms`);
        const before = await stored(flow.world);
        for (const form of all) {
            const { action, token } = form;
            assert.match(token ?? '', /^.{20,}$/, `${action} has no token`);
            const { csrf, ...others } = { ...form.fields, confirmed: 'yes' };
            for (const [what, fields, headers] of [
                ['no token', others, {}],
                ['an empty token', { csrf: '', ...others }, {}],
                ['a wrong token', { csrf: token.replace(/./, (first) => (first === 'A' ? 'B' : 'A')), ...others }, {}],
                ['another origin', { csrf, ...others }, { origin: 'https://evil.test' }],
                ['no origin of its own', { csrf, ...others }, { origin: 'null' }],
            ]) {
                const answer = await send(flow, page, form, fields, headers);
                assert.equal(answer.status(), 403, `${action} with ${what}`);
            }
        }
        flow.figure(`${all.length} forms refused five ways: ${all.map(({ action }) => action).join(' ')}`);
        assert.deepEqual(await stored(flow.world), before, 'nothing was changed');
    },

    async 'the token of one session is worth nothing in another'(flow) {
        const mine = await flow.open({ as: 'owner' });
        const other = await flow.open({ as: 'operator' });
        const token = async (page) => {
            await page.goto('/admin');
            return page.locator('form[action="/admin/sign-out"] input[name=csrf]').first().getAttribute('value');
        };
        const [first, second] = [await token(mine), await token(other)];
        assert.notEqual(first, second);
        const answer = await mine.context().request.post('/admin/sign-out', { form: { csrf: second }, headers: { origin: flow.base } });
        assert.equal(answer.status(), 403);
        await flow.visit(mine, '/admin');
    },

    async 'no other page can show it in a frame or hold on to it'(flow) {
        const page = await flow.open({ as: 'owner' });
        for (const path of ['/admin', '/admin/sign-in']) {
            const headers = (await page.context().request.get(path)).headers();
            assert.match(headers['content-security-policy'], /default-src 'none'/);
            assert.match(headers['content-security-policy'], /frame-ancestors 'none'/);
            assert.match(headers['content-security-policy'], /form-action 'self'/);
            assert.match(headers['content-security-policy'], /base-uri 'none'/);
            assert.doesNotMatch(headers['content-security-policy'], /unsafe-|\*/);
            assert.equal(headers['x-frame-options']?.toLowerCase(), 'deny');
            assert.equal(headers['x-content-type-options'], 'nosniff');
            assert.match(headers['referrer-policy'], /no-referrer|same-origin/);
            assert.match(headers['cache-control'], /no-store/);
        }
        // In a page of somebody else's.
        const evil = await flow.open({ as: 'owner' });
        flow.expect(/frame|refused|X-Frame-Options/i);
        await evil.route('http://evil.test/**', (route) =>
            route.fulfill({ contentType: 'text/html', body: `<iframe src="${flow.base}/admin"></iframe>` }));
        await evil.goto('http://evil.test/');
        const frame = evil.frames()[1];
        assert.ok(!frame || !(await frame.content().catch(() => '')).includes('Sign out'), 'it is shown in a frame');
    },

    async 'the cookie is kept from scripts and from other sites'(flow) {
        const page = await flow.open();
        await flow.signIn(page, 'owner');
        const cookies = await page.context().cookies();
        const session = cookies.filter(({ httpOnly }) => httpOnly);
        assert.ok(session.length >= 1, JSON.stringify(cookies));
        for (const { name, sameSite, path } of session) {
            assert.ok(['Lax', 'Strict'].includes(sameSite), `${name}: ${sameSite}`);
            assert.match(path, /^\/(admin)?$/, name);
        }
        assert.equal(await page.evaluate(() => document.cookie.includes('session')), false);
    },

    async 'who signs in gets a session that nobody knew before'(flow) {
        const page = await flow.open();
        await page.goto('/admin/sign-in');
        const before = await page.context().cookies();
        await flow.signIn(page, 'operator');
        const after = await page.context().cookies();
        for (const { name, value } of after.filter(({ httpOnly }) => httpOnly)) {
            assert.ok(!before.some((one) => one.name === name && one.value === value), `${name} is what it was before`);
        }
        // A value that somebody has planted is not taken for a session, nor made one.
        const planted = await flow.open();
        const [{ name, domain }] = after.filter(({ httpOnly }) => httpOnly);
        await planted.context().addCookies([{ name, value: 'planted-by-somebody-else', domain, path: '/' }]);
        await flow.signIn(planted, 'operator');
        const [kept] = (await planted.context().cookies()).filter((one) => one.name === name && one.httpOnly);
        assert.notEqual(kept.value, 'planted-by-somebody-else');
    },

    async 'nothing is written by a request that only asks'(flow) {
        const page = await flow.open({ as: 'owner' });
        const all = await forms(flow, page);
        const before = await stored(flow.world);
        for (const { action, fields } of all) {
            const answer = await page.context().request.get(action, { params: fields, maxRedirects: 0 });
            assert.ok(answer.status() < 500, `GET ${action}: ${answer.status()}`);
        }
        assert.deepEqual(await stored(flow.world), before);
    },
};
