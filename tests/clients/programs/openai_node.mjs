// The npm package `openai`. See talk.mjs for its input.
import { EFFORT, KEY, MAJOR, MODEL, QUESTION, TOOLS, baseURL, note, report, serve, wait } from './talk.mjs';

const { default: OpenAI } = await import(`openai-${MAJOR}`);
const create = (more, options) => {
  const client = new OpenAI({ baseURL, apiKey: KEY });
  return client.chat.completions.create({ model: MODEL, messages: QUESTION, ...more }, options);
};
const STREAM = { stream: true, stream_options: { include_usage: true } };

const tell = ({ id, choices, usage, cepo_cerebras }) => {
  const [{ message, finish_reason }] = choices;
  const tool_calls = (message.tool_calls ?? []).map((call) => ({ id: call.id, ...call.function }));
  report({ id, content: message.content, finish_reason, usage, cepo_cerebras, tool_calls });
};

const hear = async (stream) => {
  const ids = new Set();
  const calls = [];
  const found = { kinds: [], pieces: { content: 0, reasoning: 0 }, content: '', reasoning: '', usage: null };
  for await (const chunk of stream) {
    ids.add(chunk.id);
    for (const { delta, finish_reason } of chunk.choices) {
      if (delta.role) note(found.kinds, 'role');
      for (const [kind, text] of [['reasoning', delta.reasoning_content], ['content', delta.content]]) {
        if (!text) continue;
        note(found.kinds, kind);
        found.pieces[kind] += 1;
        found[kind] += text;
      }
      for (const piece of delta.tool_calls ?? []) {
        note(found.kinds, 'tool_calls');
        const call = (calls[piece.index] ??= { id: '', name: '', arguments: '' });
        call.id += piece.id ?? '';
        call.name += piece.function?.name ?? '';
        call.arguments += piece.function?.arguments ?? '';
      }
      if (finish_reason) {
        note(found.kinds, 'finish');
        found.finish_reason = finish_reason;
      }
    }
    if (chunk.usage) {
      note(found.kinds, chunk.choices.length ? 'usage beside choices' : 'usage');
      found.usage = chunk.usage;
    }
  }
  report({ ...found, ids: [...ids], tool_calls: calls });
};

const failure = async (promise) => {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const { status, param, code, message } = error;
    report({ classes: [error.constructor.name], status, param, code, message });
  }
};

const cancel = async (end) => {
  const abort = new AbortController();
  const stream = await create(STREAM, { signal: abort.signal });
  const chunks = stream[Symbol.asyncIterator]();
  report({ first: (await chunks.next()).value });
  await wait();
  await end({ stream, chunks, abort });
  report({ cancelled: true });
  await wait();
};

await serve({
  ask: async () => tell(await create(EFFORT)),
  stream: async () => hear(await create(STREAM)),
  tool: async () => tell(await create({ tools: TOOLS })),
  tool_stream: async () => hear(await create({ tools: TOOLS, ...STREAM })),
  bad_request: () => failure(create({ logprobs: true })),
  rate_limit: () => failure(create()),
  stream_error: () => failure(create(STREAM).then(hear)),
  // What `break` does in a `for await`.
  cancel: () => cancel(({ chunks }) => chunks.return()),
  cancel_signal: () => cancel(({ abort }) => abort.abort()),
});
