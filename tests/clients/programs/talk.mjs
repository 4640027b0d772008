// What the programs share: the question, the tool, and how they report.
import { createInterface } from 'node:readline';

export const [URL, SCENARIO, MAJOR] = process.argv.slice(2);
export const MODEL = 'any';
export const KEY = 'none'; // the server has its own; this one only satisfies the libraries
export const QUESTION = [{ role: 'user', content: 'What is 6 times 7?' }];
export const EFFORT = { cepo_cerebras_effort: 'low' };
export const PARAMETERS = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
export const TOOLS = [
  { type: 'function', function: { name: 'weather', description: 'The weather of a city.', parameters: PARAMETERS } },
];

/** Print one line of JSON. */
export const report = (found) => console.log(JSON.stringify(found));

/** Tell what came, in order, repetitions left out. */
export const note = (kinds, kind) => kinds.at(-1) === kind || kinds.push(kind);

let lines;

/** Go on when the test says so, which writes a line. */
export const wait = async () => {
  lines ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  await lines.next();
};

/** Run the scenario and leave, whatever a connection pool still holds. */
export const run = async (scenarios) => {
  await scenarios[SCENARIO]();
  process.exit(0);
};
