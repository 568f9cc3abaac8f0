"""Requests per second of the load generator, against a server in a process of its own that does next to nothing.

    python benchmarks/load_generator.py [REQUESTS] [CONCURRENCY]

Prints, for an empty answer and for one of a product page's size, the rate and the latencies; each line is one run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import sys

from workshop.traffic.load import Load, send

ROUNDS = 3
SIZES = (0, 5000)


class Fast(asyncio.Protocol):
    """Answers every request, which it tells by the empty line at its end, with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer * data.count(b"\r\n\r\n"))


def serve(size: int, ready: multiprocessing.connection.Connection) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, b"x" * size)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Fast(answer), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def measure(size: int, count: int, concurrency: int) -> None:
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(size, there), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{here.recv()}/"
        for _ in range(ROUNDS):
            result = asyncio.run(
                send(Load(url, lambda status, headers, body, seconds: str(status), concurrency=concurrency), count)
            )
            assert result.counts == {"200": count}, result.errors
            p50, p99 = (result.percentile(share) * 1000 for share in (0.5, 0.99))
            print(
                f"{size:5} bytes  {count} requests, {concurrency} at once: "
                f"{count / result.seconds:6.0f} requests/s  p50 {p50:.1f} ms  p99 {p99:.1f} ms"
            )
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    for bytes_of_body in SIZES:
        measure(bytes_of_body, *(numbers + [5000, 16][len(numbers) :]))
