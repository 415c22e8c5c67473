"""An upstream that costs next to nothing: canned answers over raw asyncio.

    python canned_upstream.py HOST      prints `listening PORT`

A request whose body says `"stream":true` gets an event stream of 40 chunks in one write each,
any other a chat completion of about 1 KB. Bodies must have a content-length or be chunked by Envoy.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

WORDS = "Thank you for your message; jane.roe@example.com has been informed of it today. "
CHUNKS = 40


def _completion() -> bytes:
    document = {
        "id": "chatcmpl-canned",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": WORDS * 10},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 500, "completion_tokens": 200, "total_tokens": 700},
    }
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _events() -> list[bytes]:
    def event(**fields: object) -> bytes:
        document = {"id": "chatcmpl-canned", "object": "chat.completion.chunk", **fields}
        data = b"data: " + json.dumps(document).encode() + b"\n\n"
        return b"%x\r\n%s\r\n" % (len(data), data)

    usage = {"prompt_tokens": 500, "completion_tokens": 200, "total_tokens": 700}
    deltas = [{"index": 0, "delta": {"content": WORDS[:24]}, "finish_reason": None}]
    chunks = [event(choices=deltas) for _ in range(CHUNKS - 2)]
    end = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    done = b"data: [DONE]\n\n"
    return [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        *chunks,
        event(choices=end),
        event(choices=[], usage=usage),
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done),
    ]


COMPLETION = _completion()
EVENTS = _events()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests of one connection until it closes."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, _, after = head.partition(b"content-length:")
            body = await reader.readexactly(int(after.partition(b"\r\n")[0] or 0))
            if b'"stream":true' in body or b'"stream": true' in body:
                for piece in EVENTS:
                    writer.write(piece)
                    await asyncio.sleep(0)  # one write each, as tokens come
            else:
                writer.write(COMPLETION)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(host: str) -> None:
    """Serve for ever."""
    server = await asyncio.start_server(serve, host, 0)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
