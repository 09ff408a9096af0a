// What the test knows of the world behind the dashboard: asked on standard output, answered on standard input.

import { createInterface } from 'node:readline';

export class World {
    #waiting = new Map();
    #asked = 0;

    constructor(ended) {
        const lines = createInterface({ input: process.stdin });
        lines.on('line', (line) => {
            const { id, answer, error } = JSON.parse(line);
            const { resolve, reject } = this.#waiting.get(id);
            this.#waiting.delete(id);
            if (error === undefined) resolve(answer);
            else reject(new Error(error));
        });
        // Whoever asked for all this is gone.
        lines.on('close', ended);
    }

    say(line) {
        process.stdout.write(`${JSON.stringify(line)}\n`);
    }

    ask(what, with_ = {}) {
        const id = (this.#asked += 1);
        const answered = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
        this.say({ kind: 'ask', id, what, with: with_ });
        return answered;
    }

    // What a query finds.
    rows(sql) {
        return this.ask('rows', { sql });
    }

    // The one row that a query finds.
    async row(sql) {
        const rows = await this.rows(sql);
        if (rows.length !== 1) throw new Error(`${rows.length} rows and not one: ${sql}`);
        return rows[0];
    }

    // Waits until a query finds something.
    until(sql) {
        return this.ask('until', { sql });
    }

    execute(sql) {
        return this.ask('execute', { sql });
    }
}
