// By keys alone, in the colours of one's choice, and on a phone.

import assert from 'node:assert/strict';

import { views } from '../views.mjs';

export const flows = {
    async 'go somewhere by keys alone'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin');
        await page.keyboard.press('Control+k');
        const palette = page.getByRole('dialog', { name: 'Go to' });
        await palette.waitFor();
        await page.keyboard.type('queue');
        await page.keyboard.press('Enter');
        await page.waitForURL('**/admin/queue');
        // And away from it without going anywhere.
        await page.keyboard.press('Control+k');
        await palette.waitFor();
        await page.keyboard.press('Escape');
        await palette.waitFor({ state: 'hidden' });
        assert.match(page.url(), /\/admin\/queue$/);
        // By arrows.
        await page.keyboard.press('Control+k');
        await palette.waitFor();
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowDown');
        const chosen = await palette.locator('[role=option][aria-selected=true]').getAttribute('data-path');
        await page.keyboard.press('Enter');
        await page.waitForURL((url) => url.pathname === chosen);
    },

    async 'a hostname is found from the palette'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin');
        await page.keyboard.press('Control+k');
        await page.keyboard.type('moved-away.com');
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { level: 1, name: /moved-away\.com/ }).waitFor();
    },

    async 'the first press of the tab key leads past the navigation'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin/queue');
        await page.keyboard.press('Tab');
        const skip = page.getByRole('link', { name: /to the content/i });
        assert.ok(await skip.evaluate((element) => element === document.activeElement));
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.activeElement?.id === 'main');
    },

    async 'what has the focus is seen'(flow) {
        const page = await flow.open({ as: 'viewer' });
        await page.goto('/admin/hostnames');
        for (let nr = 0; nr < 12; nr += 1) {
            await page.keyboard.press('Tab');
            const seen = await page.evaluate(() => {
                const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement);
                return (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1) || boxShadow !== 'none';
            });
            assert.ok(seen, await page.evaluate(() => document.activeElement.outerHTML.slice(0, 200)));
        }
    },

    async 'the colours that were chosen stay'(flow) {
        const page = await flow.open({ as: 'viewer', theme: 'light' });
        await page.goto('/admin');
        const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        const light = await ground();
        const toggle = page.getByRole('button', { name: /theme/i });
        await toggle.click();
        for (let nr = 0; nr < 3 && (await ground()) === light; nr += 1) await toggle.click();
        const dark = await ground();
        assert.notEqual(dark, light);
        await page.reload();
        assert.equal(await ground(), dark);
        await page.goto('/admin/queue');
        assert.equal(await ground(), dark);
    },

    async 'a phone shows all of it without going sideways'(flow) {
        const page = await flow.open({ as: 'owner', width: 390, height: 844, hasTouch: true, isMobile: true });
        for (const [name, path] of Object.entries(await views(flow.world))) {
            if (name === 'sign-in') continue;
            await page.goto(path);
            const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
            assert.ok(wide <= screen && screen <= 390, `${name}: ${wide} of ${screen} px`);
            const sideways = await page.evaluate(() => [...document.querySelectorAll('.scroll:has(table)')]
                .filter((region) => region.scrollWidth > region.clientWidth)
                .map((region) => `${region.getAttribute('aria-label')}: ${region.scrollWidth} of ${region.clientWidth} px`));
            assert.deepEqual(sideways, [], name);
            await page.getByRole('heading', { level: 1 }).waitFor();
        }
        // The way to another view can be found and pressed.
        await page.goto('/admin');
        const menu = page.getByRole('navigation', { name: 'Views' });
        const closed = await menu.boundingBox();
        assert.ok(closed.height < 60, `one line, and not ${closed.height} px`);
        await menu.getByText('Menu: Overview').click();
        await menu.getByRole('link', { name: 'Queue' }).click();
        await page.waitForURL('**/admin/queue');
    },
};
