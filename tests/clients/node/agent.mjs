// The client programs of Node. Each line of standard input is a job: {program, base_url, model, question, tools,
// result}; for each one line comes out: {calls, answer, error, finish}. One process runs many jobs, one by one.
import { createInterface } from "node:readline";
import OpenAI from "openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

const MAX_TURNS = 4;

function openai(job) {
  return new OpenAI({ baseURL: job.base_url, apiKey: "none", maxRetries: 0, timeout: 20000 });
}

function run(outcome, job, name, text) {
  const given = JSON.parse(text || "{}");
  outcome.calls.push([name, given]);
  return job.result;
}

// An agent loop over a function which asks for one turn and gives {message, finish}.
async function agent(job, outcome, ask) {
  const messages = [{ role: "user", content: job.question }];
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    const { message, finish } = await ask({ model: job.model, messages, tools: job.tools });
    outcome.finish.push(finish ?? "");
    if (!message.tool_calls?.length) {
      outcome.answer = message.content ?? "";
      return;
    }
    messages.push(message);
    for (const call of message.tool_calls) {
      const content = run(outcome, job, call.function.name, call.function.arguments);
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
  throw new Error("the loop does not end");
}

const programs = {
  // Accumulated as OpenAI's documentation shows it: by index, arguments appended.
  async "Node openai loop"(job, outcome) {
    const client = openai(job);
    await agent(job, outcome, async (request) => {
      const stream = await client.chat.completions.create({ ...request, stream: true });
      let content = "";
      let finish = "";
      const calls = {};
      for await (const chunk of stream) {
        const choice = chunk.choices[0];
        if (!choice) continue;
        for (const call of choice.delta.tool_calls ?? []) {
          if (calls[call.index]) calls[call.index].function.arguments += call.function.arguments;
          else calls[call.index] = call;
        }
        content += choice.delta.content ?? "";
        finish = choice.finish_reason ?? finish;
      }
      const tool_calls = Object.values(calls).map(({ id, function: { name, arguments: text } }) => ({
        id,
        type: "function",
        function: { name, arguments: text },
      }));
      const message = { role: "assistant", content: content || null };
      return { message: tool_calls.length ? { ...message, tool_calls } : message, finish };
    });
  },

  async "Node openai .stream()"(job, outcome) {
    const client = openai(job);
    await agent(job, outcome, async (request) => {
      const completion = await client.chat.completions.stream(request).finalChatCompletion();
      const { message, finish_reason: finish } = completion.choices[0];
      return { message, finish };
    });
  },

  async "Node openai"(job, outcome) {
    const client = openai(job);
    await agent(job, outcome, async (request) => {
      const completion = await client.chat.completions.create(request);
      const { message, finish_reason: finish } = completion.choices[0];
      return { message, finish };
    });
  },

  async "Vercel ai streamed"(job, outcome) {
    let failure;
    const result = streamText({ ...vercel(job, outcome), onError: ({ error }) => (failure ??= error) });
    await result.consumeStream({ onError: (error) => (failure ??= error) });
    if (failure) throw failure;
    for (const step of await result.steps) outcome.finish.push(step.finishReason);
    outcome.answer = await result.text;
  },

  async "Vercel ai"(job, outcome) {
    const result = await generateText(vercel(job, outcome));
    for (const step of result.steps) outcome.finish.push(step.finishReason);
    outcome.answer = result.text;
  },
};

function vercel(job, outcome) {
  const provider = createOpenAICompatible({ name: "local", baseURL: job.base_url, includeUsage: true });
  const tools = {};
  for (const { function: each } of job.tools) {
    tools[each.name] = tool({
      description: each.description,
      inputSchema: jsonSchema(each.parameters),
      execute: async (given) => run(outcome, job, each.name, JSON.stringify(given)),
    });
  }
  return {
    model: provider(job.model),
    prompt: job.question,
    tools,
    stopWhen: stepCountIs(MAX_TURNS),
    maxRetries: 0,
  };
}

// What a library leaves behind after a failed stream must not end the process: the job has its error already.
process.on("unhandledRejection", () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  const outcome = { calls: [], answer: "", error: "", finish: [] };
  try {
    await programs[job.program](job, outcome);
  } catch (error) {
    outcome.error = `${error?.name ?? "Error"}: ${error?.message ?? JSON.stringify(error)}`;
  }
  process.stdout.write(JSON.stringify(outcome) + "\n");
}
