// The npm packages `langchain` and `@langchain/openai`. See talk.mjs for its input.
import { ChatOpenAI } from '@langchain/openai';
import { createAgent, tool } from 'langchain';
import { z } from 'zod';
import { EFFORT, KEY, MODEL, QUESTION, baseURL, leave, refused, report, serve, toolRuns, weather } from './talk.mjs';

const City = z.object({ name: z.string(), population: z.number().int() });
const tools = [tool(weather, { name: 'weather', description: 'A city.', schema: z.object({ city: z.string() }) })];
const model = () => {
  const configuration = { baseURL };
  return new ChatOpenAI({ model: MODEL, apiKey: KEY, configuration, modelKwargs: EFFORT, streamUsage: true });
};
const run = (options) => createAgent({ model: model(), ...options }).invoke({ messages: QUESTION });

const ask = async () => {
  const message = await model().invoke(QUESTION);
  report({ content: message.content, usage: message.usage_metadata.total_tokens });
};

const stream = async () => {
  let whole;
  let content = 0;
  for await (const chunk of await model().stream(QUESTION)) {
    content += Boolean(chunk.content);
    whole = whole ? whole.concat(chunk) : chunk;
  }
  const reasoning = whole.additional_kwargs.reasoning_content;
  report({ content: whole.content, pieces: { content }, reasoning, usage: whole.usage_metadata.total_tokens });
};

const agent = async () => {
  const { messages } = await run({ tools });
  report({ content: messages.at(-1).content, runs: toolRuns() });
};

await serve({
  ask,
  stream,
  agent,
  structured: async () => report({ city: await model().withStructuredOutput(City).invoke(QUESTION) }),
  agent_structured: async () => report({ city: (await run({ responseFormat: City })).structuredResponse }),
  quota: () => refused(model().invoke(QUESTION)),
  cancel: () =>
    leave(async (signal) => {
      for await (const _ of await model().stream(QUESTION, { signal }));
    }),
});
