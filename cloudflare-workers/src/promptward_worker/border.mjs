// The JavaScript side of the border: conversions that would take Python many steps, each of which
// makes proxies. Nothing is decided here. A function that waits takes `wake` last and calls it
// once, with what happened (KEPT, BROKEN or LATE, as in turns.py) and the outcome.

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
      wake(what, outcome);
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

// Method, URL and header fields as JSON text.
export const requestHead = (request) =>
  JSON.stringify([request.method, request.url, [...request.headers]]);

// Status and header fields as JSON text.
export const responseHead = (response) => JSON.stringify([response.status, [...response.headers]]);

export const respond = (body, init) => new Response(body, JSON.parse(init));

// The whole body in one step.
export function readWhole(message, wake) {
  const whole = message.arrayBuffer().then((buffer) => new Uint8Array(buffer));
  wait(whole, 0, wake);
}

// The body chunk by chunk; of one that is larger than `maxBytes` only what shows that it is.
export function readBounded(message, maxBytes, wake) {
  wait(boundedBytes(message, maxBytes), 0, wake);
}

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

// The Response to a request through a service binding, or else the global fetch; aborted when its
// head is late.
export function send(binding, url, init, body, limitMs, wake) {
  const controller = new AbortController();
  const options = fetchOptions(init, body, controller.signal);
  const response = binding ? binding.fetch(url, options) : fetch(url, options);
  wait(response, limitMs, wake, () => controller.abort());
}

// Status and body, read as by `readBounded`, of a small document; a request that fails on its way
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
