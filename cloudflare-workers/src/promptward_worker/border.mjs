// The JavaScript side of the border: conversions that would take Python many steps, each of which
// makes proxies. Nothing is decided here. A function that waits takes `wake` last and calls it
// once, with what happened (KEPT, BROKEN or LATE, as in turns.py) and the outcome: of an array its
// items, because an array would be one more thing to look into from over there.

const KEPT = 0;
const BROKEN = 1;
const LATE = 2;

const asError = (reason) => (reason instanceof Error ? reason : new Error(String(reason)));

// What comes of `promise` within `limitMs` (0: no limit); `giveUp` is called when nothing does.
export function wait(promise, limitMs, wake, giveUp) {
  let isOpen = true;
  let timer;
  const end = (what, outcome) => {
    if (isOpen) {
      isOpen = false;
      clearTimeout(timer);
      wake(what, ...(Array.isArray(outcome) ? outcome : [outcome]));
    }
  };
  if (limitMs > 0) {
    timer = setTimeout(() => {
      end(LATE);
      giveUp?.();
    }, limitMs);
  }
  promise.then(
    (value) => end(KEPT, value),
    (reason) => end(BROKEN, asError(reason)),
  );
}

export const respond = (body, init) => new Response(body, JSON.parse(init));

// Method, URL and header fields as JSON text, and the body as by `readBody`.
export function readRequest(request, maxBytes, wake) {
  const head = JSON.stringify([request.method, request.url, [...request.headers]]);
  const found = bytesOf(request, maxBytes).then((bytes) => [head, bytes]);
  wait(found, 0, wake);
}

// The body; of one that is larger than `maxBytes` no more than what shows that it is.
export function readBody(message, maxBytes, wake) {
  wait(bytesOf(message, maxBytes), 0, wake);
}

function bytesOf(message, maxBytes) {
  return isShort(message, maxBytes) ? allBytes(message) : boundedBytes(message, maxBytes);
}

// With a declared length and no encoding the body is read in one step, which costs less than a
// loop over chunks; HTTP framing keeps the sender to the declared length.
function isShort(message, maxBytes) {
  const declared = message.headers.get("content-length") ?? "";
  const encoding = message.headers.get("content-encoding") ?? "identity";
  return /^[0-9]+$/.test(declared) && Number(declared) <= maxBytes && encoding === "identity";
}

const allBytes = (message) => message.arrayBuffer().then((buffer) => new Uint8Array(buffer));

async function boundedBytes(message, maxBytes) {
  const chunks = [];
  let size = 0;
  for await (const chunk of message.body ?? []) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > maxBytes) {
      break; // cancels the stream
    }
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

function fetchOptions(init, body, signal) {
  const options = JSON.parse(init);
  options.signal = signal;
  if (body) {
    options.body = body;
  }
  return options;
}

// The Response to a request through a service binding, or else the global fetch, its status and
// header fields as JSON text, and of a JSON document that says it has at most `maxBytes` the body,
// which saves asking for it; aborted when its head is late.
export function send(binding, url, init, body, maxBytes, limitMs, wake) {
  const controller = new AbortController();
  const options = fetchOptions(init, body, controller.signal);
  const answer = binding ? binding.fetch(url, options) : fetch(url, options);
  const whenThere = (what, response) => {
    if (what !== KEPT) {
      wake(what, response);
      return;
    }
    const head = JSON.stringify([response.status, [...response.headers]]);
    if (isJson(response) && isShort(response, maxBytes)) {
      wait(allBytes(response).then((bytes) => [response, head, bytes]), 0, wake);
    } else {
      wake(KEPT, response, head, undefined);
    }
  };
  wait(answer, limitMs, whenThere, () => controller.abort());
}

const isJson = (message) =>
  /^application\/json\s*(;|$)/i.test(message.headers.get("content-type") ?? "");

// Status and body, read as by `boundedBytes`, of a small document; a request that fails on its way
// is made up to `attempts` times, all within `limitMs`.
export function fetchDocument(url, init, body, attempts, maxBytes, limitMs, wake) {
  const controller = new AbortController();
  const options = fetchOptions(init, body, controller.signal);
  const found = (async () => {
    const response = await fetchAgain(url, options, attempts);
    return [response.status, await boundedBytes(response, maxBytes)];
  })();
  wait(found, limitMs, wake, () => controller.abort());
}

async function fetchAgain(url, options, attempts) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (attempts > 1) {
      return fetchAgain(url, options, attempts - 1);
    }
    throw error;
  }
}

// A method of the Durable Object `name` that takes and returns text.
export function callObject(namespace, name, method, text, limitMs, wake) {
  wait(namespace.getByName(name)[method](text), limitMs, wake);
}

// The rows of a statement of a Durable Object's SQLite as JSON text.
export const sqlRows = (sql, statement, ...values) =>
  JSON.stringify([...sql.exec(statement, ...values).raw()]);

// Runs a statement for its effect; its cursor stays here.
export function sqlRun(sql, statement, ...values) {
  sql.exec(statement, ...values);
}
