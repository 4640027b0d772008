// The npm packages `ai` and `@ai-sdk/openai-compatible`. See talk.mjs for its input.
import { EFFORT, KEY, MAJOR, MODEL, PARAMETERS, QUESTION, baseURL, note, report, serve, wait } from './talk.mjs';

const ai = await import(`ai-${MAJOR}`);
const { createOpenAICompatible } = await import(`ai-${MAJOR}-openai-compatible`);
const call = (more) => {
  const provider = createOpenAICompatible({ name: 'cepo', baseURL, apiKey: KEY, includeUsage: true });
  return { model: provider(MODEL), messages: QUESTION, ...more };
};
// The response's body, for a field of ours in it: version 6 keeps it, 7 where it is told.
const whole = (more) => call({ include: { responseBody: true }, ...more });
const tools = {
  weather: ai.tool({ description: 'The weather of a city.', inputSchema: ai.jsonSchema(PARAMETERS) }),
};
const called = (calls) => calls.map((call) => ({ id: call.toolCallId, name: call.toolName, arguments: call.input }));

const tell = (result) => {
  const { id, body } = result.response;
  report({
    id,
    content: result.text,
    finish_reason: result.finishReason,
    usage: result.usage,
    cepo_cerebras: body.cepo_cerebras,
    tool_calls: called(result.toolCalls),
  });
};

const hear = async (result) => {
  const kinds = [];
  const pieces = { content: 0, reasoning: 0 };
  for await (const part of result.fullStream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'reasoning-delta') pieces.reasoning += 1;
    if (part.type === 'text-delta') pieces.content += 1;
    note(kinds, part.type);
  }
  report({
    kinds,
    pieces,
    content: await result.text,
    reasoning: await result.reasoningText,
    finish_reason: await result.finishReason,
    usage: await result.usage,
    ids: [(await result.response).id],
    tool_calls: called(await result.toolCalls),
  });
};

const failure = async (promise) => {
  try {
    await promise;
  } catch (error) {
    const last = error.lastError ?? error;
    if (!ai.APICallError.isInstance(last)) throw error;
    const { param, code } = last.data.error;
    const tries = error.errors?.length ?? 1;
    const classes = [last.name];
    report({ classes, thrown: error.name, tries, status: last.statusCode, param, code, message: last.message });
  }
};

const sooner = async (work) => {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (then, milliseconds, ...rest) => setTimeout(then, milliseconds / 100, ...rest);
  try {
    await work();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
};

const cancel = async () => {
  const abort = new AbortController();
  const stream = ai.streamText(call({ abortSignal: abort.signal })).fullStream[Symbol.asyncIterator]();
  let part;
  do part = (await stream.next()).value;
  while (part.type === 'start'); // made before anything came; the next part tells of the response's beginning
  report({ first: part });
  await wait();
  abort.abort();
  report({ cancelled: true });
  await wait();
};

await serve({
  ask: async () => tell(await ai.generateText(whole({ providerOptions: { cepo: EFFORT } }))),
  stream: () => hear(ai.streamText(call())),
  tool: async () => tell(await ai.generateText(whole({ tools }))),
  tool_stream: () => hear(ai.streamText(call({ tools }))),
  bad_request: () => failure(ai.generateText(call({ providerOptions: { cepo: { logprobs: true } } }))),
  // The library waits two and four seconds between its tries.
  rate_limit: () => sooner(() => failure(ai.generateText(call()))),
  // With the library's retries off: it has retries of its own, which know of no header.
  rate_limit_once: () => failure(ai.generateText(call({ maxRetries: 0 }))),
  stream_error: async () => {
    try {
      await hear(ai.streamText(call({ onError: () => {} }))); // it would log the error
    } catch (error) {
      report({ code: error.code, message: error.message }); // an error of its own since version 7, the server's before
    }
  },
  cancel,
});
