// What the programs share: how they are told what to do, the question, the tool, and how they report.
// A program does one scenario after the other: to load a library takes its time. Usage of each: PROGRAM MAJOR
import { createInterface } from 'node:readline';

export const [MAJOR] = process.argv.slice(2);
export const MODEL = 'any';
export const KEY = 'none'; // the server has its own; this one only satisfies the libraries
export const TEXT = 'What is 6 times 7?';
export const QUESTION = [{ role: 'user', content: TEXT }];
export const EFFORT = { cepo_cerebras_effort: 'low' };
export const PARAMETERS = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
export const TOOLS = [
  { type: 'function', function: { name: 'weather', description: 'The weather of a city.', parameters: PARAMETERS } },
];

/** Print one line of JSON. */
export const report = (found) => console.log(JSON.stringify(found));

/** Tell what came, in order, repetitions left out. */
export const note = (kinds, kind) => kinds.at(-1) === kind || kinds.push(kind);

/** Where the library finds the server of this scenario. */
export let baseURL;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Go on when the test says so, which writes a line. */
export const wait = () => lines.next();

let cities = [];

/** The weather of a city. */
export const weather = ({ city }) => {
  cities.push(city);
  return 'Sunny, 21 degrees.';
};

/** The cities that the tool was called with since the last time. */
export const toolRuns = () => {
  const runs = cities;
  cities = [];
  return runs;
};

/** Report the exception that the library throws. */
export const refused = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return report({ classes: [error.constructor.name, error.name], status: error.status, message: error.message });
  }
  throw new Error('no exception');
};

/** Abort a stream that is being read, when the test says so. */
export const leave = async (read) => {
  const abort = new AbortController();
  const reading = read(abort.signal).then(() => 'ended', () => 'thrown');
  report({ first: true });
  await wait();
  abort.abort();
  await reading;
  report({ cancelled: abort.signal.aborted });
  await wait();
};

/** Run each scenario that the test asks for, in a line with the URL of a server, and report when it is over. */
export const serve = async (scenarios) => {
  for await (const line of lines) {
    const [scenario, url] = line.split(' ');
    baseURL = `${url}/v1`;
    await scenarios[scenario]();
    report({ over: scenario });
  }
};
