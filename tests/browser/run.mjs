// Plays the flows of one group: `node run.mjs GROUP`. Started by tests/tests/browser/run.rs, which reads what is written here
// line by line, and answers what is asked.

import { Stage } from './stage.mjs';

const group = process.argv[2];
const stage = await Stage.open();
try {
    const { flows } = await import(`./flows/${group}.mjs`);
    const wanted = Object.entries(flows).filter(([name]) => name.includes(process.env.FLOW ?? ''));
    for (const [name, flow] of wanted) {
        await stage.play(name, flow);
    }
    await stage.close();
    stage.say({ kind: 'end', flows: wanted.length });
} catch (error) {
    console.error(error);
    process.exitCode = 1;
    await stage.close();
}
stage.leave();
