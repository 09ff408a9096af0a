// One flow: what it opens is watched, and whatever it does not expect fails it.

import assert from 'node:assert/strict';
import { join } from 'node:path';

const PATIENCE = 30_000;

// Runs before any script of a page does. What the policy refuses is told as an error, and what others wrote would say so here.
function watch() {
    document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`refused by the content security policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
}

export class Flow {
    #contexts = [];
    #pages = [];
    #complaints = [];
    #expected = [];

    constructor(stage, name) {
        this.stage = stage;
        this.name = name;
        this.world = stage.world;
        this.base = stage.base;
    }

    // A page of a browser of its own: nobody's, or a user's who has signed in.
    async open({ as, width = 1280, height = 900, theme = 'light', scripts = true, ...more } = {}) {
        const context = await this.stage.browser.newContext({
            baseURL: this.base,
            viewport: { width, height },
            colorScheme: theme,
            javaScriptEnabled: scripts,
            reducedMotion: 'reduce',
            locale: 'en-GB',
            storageState: as && (await this.session(as)),
            ...more,
        });
        this.#contexts.push(context);
        context.setDefaultTimeout(PATIENCE);
        if (scripts) await context.addInitScript(watch);
        context.on('page', (page) => this.#watch(page));
        return context.newPage();
    }

    #watch(page) {
        this.#pages.push(page);
        page.on('dialog', (dialog) => {
            if (dialog.type() !== 'beforeunload') this.#complaints.push(`a dialog: ${dialog.message()}`);
            dialog.dismiss().catch(() => {});
        });
        page.on('pageerror', (error) => this.#complaints.push(`an error of a script: ${error.message}`));
        page.on('console', (message) => {
            if (message.type() === 'error') this.#complaints.push(`${message.text()} (${message.location().url})`);
        });
    }

    // What is written to the console of a page and would fail the flow otherwise.
    expect(pattern) {
        this.#expected.push(pattern);
    }

    async session(user) {
        if (!this.stage.sessions.has(user)) {
            const page = await this.open();
            await this.signIn(page, user);
            this.stage.sessions.set(user, await page.context().storageState());
            await page.context().close();
        }
        return this.stage.sessions.get(user);
    }

    async signIn(page, user, password = this.stage.users[user]) {
        await page.goto('/admin/sign-in');
        await page.getByLabel('Name').fill(user);
        await page.getByLabel('Password').fill(password);
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.waitForURL((url) => !url.pathname.endsWith('/sign-in'));
    }

    async signOut(page) {
        await page.locator('header details summary').click();
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.waitForURL('**/admin/sign-in**');
    }

    // Goes there, and sees that it is what was asked for.
    async visit(page, path, status = 200) {
        const answer = await page.goto(path);
        assert.equal(answer.status(), status, `${path}: ${answer.status()}`);
        return answer;
    }

    async sees(page, text) {
        await page.getByText(text).first().waitFor();
    }

    figure(text) {
        this.stage.say({ kind: 'figure', text });
    }

    complaints() {
        const odd = (complaint) => !this.#expected.some((pattern) => pattern.test(complaint));
        return this.#complaints.filter(odd);
    }

    async end() {
        assert.deepEqual(this.complaints(), [], 'what the pages complained of');
    }

    // What was seen last.
    async picture() {
        const page = this.#pages.findLast((page) => !page.isClosed());
        if (!page) return undefined;
        const path = join(this.stage.pictures, `${this.name.replaceAll(/[^a-z0-9]+/gi, '-')}.png`);
        const taken = await page.screenshot({ path, timeout: 5_000 }).catch(() => undefined);
        return taken && path;
    }

    async close() {
        for (const context of this.#contexts) {
            await context.close().catch(() => {});
        }
    }
}
