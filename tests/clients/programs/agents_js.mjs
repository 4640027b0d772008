// The npm package `@openai/agents`. See talk.mjs for its input.
import { Agent, OpenAIChatCompletionsModel, Runner, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai-7';
import { z } from 'zod';
import { EFFORT, KEY, MODEL, TEXT, baseURL, leave, refused, report, serve, toolRuns, weather } from './talk.mjs';

setTracingDisabled(true); // else it sends what it does to OpenAI

const City = z.object({ name: z.string(), population: z.number().int() });
const parameters = z.object({ city: z.string() });
const tools = [tool({ name: 'weather', description: 'A city.', parameters, execute: weather })];
const run = (options, more) => {
  const model = new OpenAIChatCompletionsModel(new OpenAI({ baseURL, apiKey: KEY }), MODEL);
  const agent = new Agent({ name: 'cepo', model, modelSettings: { providerData: EFFORT }, ...options });
  return new Runner().run(agent, TEXT, more);
};

const ask = async () => {
  const result = await run();
  report({ content: result.finalOutput, usage: result.state.usage.totalTokens });
};

const stream = async () => {
  const result = await run({}, { stream: true });
  let content = 0;
  let reasoning = '';
  for await (const event of result) {
    if (event.type !== 'raw_model_stream_event') continue;
    if (event.data.type === 'output_text_delta') content += 1;
    if (event.data.type === 'model') reasoning += event.data.event.choices?.[0]?.delta.reasoning_content ?? '';
  }
  await result.completed;
  report({ content: result.finalOutput, pieces: { content }, reasoning, usage: result.state.usage.totalTokens });
};

const agent = async () => {
  const { finalOutput } = await run({ tools });
  report({ content: finalOutput, runs: toolRuns() });
};

await serve({
  ask,
  stream,
  agent,
  structured: async () => report({ city: (await run({ outputType: City })).finalOutput }),
  quota: () => refused(run()),
  cancel: () =>
    leave(async (signal) => {
      for await (const _ of await run({}, { stream: true, signal }));
    }),
});
