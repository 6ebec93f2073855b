// An ordinary client of Bedrock: makes the calls it is given, prints what came back as JSON.
//
// Standard input: [{command, input, stopAfter?}]. `command` is an operation such as "ConverseStream"; `stopAfter`
// leaves the stream after so many events. Standard output: for each call {answer, events, error, inFlight}.
// The endpoint and the credentials come from the environment, as they do for any program.

import { text } from "node:stream/consumers";
import * as bedrock from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";

const client = new bedrock.BedrockRuntimeClient({ requestHandler: new NodeHttpHandler(), maxAttempts: 1 });

async function call({ command, input, stopAfter }) {
  const outcome = { answer: null, events: [], error: null, inFlight: null };
  try {
    const answer = await client.send(new bedrock[`${command}Command`](input));
    const stream = answer.stream ?? (command.endsWith("Stream") ? answer.body : null);
    outcome.answer = { ...answer, stream: undefined, body: stream ? undefined : decoded(answer.body) };
    if (stream) await read(stream, outcome, stopAfter);
  } catch (error) {
    outcome.error = {
      name: error.name,
      status: error.$metadata?.httpStatusCode,
      message: error.message,
      isOfItsClass: bedrock[error.name] !== undefined && error instanceof bedrock[error.name],
    };
  }
  return outcome;
}

async function read(stream, outcome, stopAfter) {
  for await (const event of stream) {
    outcome.events.push(event.chunk ? { chunk: decoded(event.chunk.bytes) } : event);
    if (outcome.events.length === stopAfter) {
      outcome.inFlight = await callsInFlight();
      break;
    }
  }
}

function decoded(bytes) {
  return bytes && JSON.parse(new TextDecoder().decode(bytes));
}

async function callsInFlight() {
  const stats = await fetch(`${process.env.AWS_ENDPOINT_URL_BEDROCK_RUNTIME}/_emulator/stats`);
  return (await stats.json()).total.in_flight;
}

const outcomes = [];
for (const wanted of JSON.parse(await text(process.stdin))) outcomes.push(await call(wanted));
console.log(JSON.stringify(outcomes));
client.destroy();
