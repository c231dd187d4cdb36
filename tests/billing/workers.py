"""A crew of processes that do one piece of work after another; some are killed in the middle and replaced.

A worker is forked from the process that has everything imported and built, and lives until it is killed: to
fork one costs more than the calls of a schedule.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Iterator

PATIENCE_S = 120
"""How long nobody may say anything before the run is given up."""
LATEST_KILL_S = 0.01

Work = Callable[[str, Callable[[str], None]], None]
"""What a worker does with an order, and how it tells a line of what came of it."""


class Worker:
    """A process at the other end of a pair of sockets. It answers an order with its lines and an empty one.

    `prepare` is called in it first. `others` are those whose sockets it must not keep open.
    """

    def __init__(self, work: Work, prepare: Callable[[], None], others: Iterable[Worker]) -> None:
        self.socket, there = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            try:
                for ours in (self, *others):
                    ours.socket.close()
                prepare()
                _serve(there, work)
            finally:
                os._exit(0)
        there.close()
        self._begun = b""

    def order(self, order: str) -> None:
        self.socket.sendall(order.encode() + b"\n")

    def lines(self) -> Iterator[str]:
        """What it has told since, at least one byte of which is there. Raises EOFError when it is dead."""
        try:
            got = self.socket.recv(1 << 16)
        except ConnectionResetError:  # it died with an order unread
            got = b""
        if not got:
            raise EOFError
        *whole, self._begun = (self._begun + got).split(b"\n")
        yield from (line.decode() for line in whole)

    def end(self) -> list[str]:
        """Kill it with SIGKILL; the lines it had still told."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        told: list[str] = []
        try:
            while True:
                told += self.lines()
        except EOFError:
            self.socket.close()
        return [line for line in told if line]


def _serve(orders: socket.socket, work: Work) -> None:
    def tell(line: str) -> None:
        orders.sendall(line.encode() + b"\n")

    for order in orders.makefile():
        try:
            work(order.rstrip(), tell)
        except BaseException:
            tell(f"bug {traceback.format_exc().splitlines()[-1]}")
        tell("")


class Crew:
    """So many workers, at all times."""

    def __init__(self, size: int, work: Work, prepare: Callable[[], None] = lambda: None) -> None:
        self._work, self._prepare = work, prepare
        self._workers: list[Worker] = []
        for _ in range(size):
            self._hire()

    def _hire(self) -> Worker:
        worker = Worker(self._work, self._prepare, self._workers)
        self._workers.append(worker)
        return worker

    def perform(self, orders: Iterator[str], kills: list[int], dice: random.Random) -> tuple[int, list[str]]:
        """An order for each worker, to the end of them all; how many were killed, and the lines they told.

        After so many lines as each of `kills` says, in rising order, one that is at work is killed, and a new
        one gets the next order. Raises RuntimeError when a worker ends by itself or nobody says anything.
        """
        told: list[str] = []
        killed, busy = 0, list(self._workers)
        for worker in busy:
            worker.order(next(orders))
        while busy:
            if killed < len(kills) and len(told) >= kills[killed]:
                killed += 1
                time.sleep(dice.uniform(0, LATEST_KILL_S))
                victim = dice.choice(busy)
                told += victim.end()
                self._workers.remove(victim)
                busy.remove(victim)
                busy.append(self._hire())
                busy[-1].order(next(orders))
            ready, _, _ = select.select([worker.socket for worker in busy], (), (), PATIENCE_S)
            if not ready:
                raise RuntimeError(f"{len(busy)} workers say nothing for {PATIENCE_S} s")
            for worker in [worker for worker in busy if worker.socket in ready]:
                told += _of_one(worker, busy)
        return killed, told

    def dismiss(self) -> None:
        """End them all."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()


def _of_one(worker: Worker, busy: list[Worker]) -> list[str]:
    told = []
    try:
        for line in worker.lines():
            if line:
                told.append(line)
            else:
                busy.remove(worker)
    except EOFError:
        raise RuntimeError(f"worker {worker.pid} ended by itself") from None
    return told
