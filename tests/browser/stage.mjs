// One browser, and a fresh context of it for each flow.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { Flow } from './flow.mjs';
import { World } from './world.mjs';

const require = createRequire(join(process.env.LOCKKEEPER_MODULES, 'package.json'));
const { chromium } = require('playwright-core');

export const AXE = require.resolve('axe-core/axe.min.js');

export class Stage {
    static async open() {
        const stage = new Stage();
        stage.server = await chromium.launchServer({
            executablePath: process.env.LOCKKEEPER_BROWSER,
            args: ['--disable-breakpad', '--force-color-profile=srgb', '--font-render-hinting=none'],
        });
        stage.world.say({ kind: 'browser', pid: stage.server.process().pid });
        stage.browser = await chromium.connect(stage.server.wsEndpoint());
        return stage;
    }

    constructor() {
        this.base = process.env.LOCKKEEPER_URL;
        this.users = JSON.parse(process.env.LOCKKEEPER_USERS);
        this.pictures = process.env.LOCKKEEPER_PICTURES;
        // User → what a browser keeps of a session, so that not every flow signs in.
        this.sessions = new Map();
        this.leaving = false;
        this.world = new World(() => {
            if (!this.leaving) this.close().finally(() => process.exit(1));
        });
    }

    say(line) {
        this.world.say(line);
    }

    async play(name, play) {
        const began = Date.now();
        const flow = new Flow(this, name);
        let failure = {};
        try {
            await play(flow);
            await flow.end();
        } catch (error) {
            const screenshot = await flow.picture();
            failure = { message: `${error?.stack ?? error}`, screenshot };
        }
        await flow.close();
        this.say({ kind: 'flow', name, millis: Date.now() - began, ...failure });
    }

    async close() {
        await this.browser?.close().catch(() => {});
        await this.server?.kill().catch(() => {});
        if (this.server) this.say({ kind: 'closed' });
        this.server = undefined;
    }

    // Nothing is asked any more: standard input may end, and this process with it.
    leave() {
        this.leaving = true;
        process.stdin.destroy();
    }
}
