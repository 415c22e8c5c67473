"""Worker processes and their lanes, seen from the front.

A worker is a forked process with a few threads; a lane is a socket pair to one of these threads
and carries one job at a time. Choosing a lane is choosing the least busy worker.

Invariants:
* `done` of every submitted job is called exactly once: with the result, or with a WorkError when
  the queue is full, the deadline passed in the queue, the worker died, or it is stuck.
* A worker whose job is still running `stuck_grace_s` after its deadline is killed and replaced:
  a thread cannot be stopped, a process can. So no check can leak.
* The front never holds more than `max_waiting` jobs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from promptward_kong.effects import Work, WorkError
from promptward_kong.jobs import FrameAssembler, Job, unframe
from promptward_kong.loop import Channel, Loop

_log = logging.getLogger(__name__)

# How long a job may overrun its deadline before its worker is replaced. Long enough for a slow
# port to reach its own timeout, short enough that a wedged worker is gone before an alert fires.
STUCK_GRACE_S = 10.0

Done = Callable[[object], None]
# Runs in the forked child and never returns: (sockets, one per lane) -> NoReturn
WorkerMain = Callable[[list[socket.socket]], None]


@dataclass(slots=True)
class _Waiting:
    work: Work
    deadline_s: float
    done: Done


@dataclass(slots=True, eq=False)
class _Lane:
    worker: _Worker
    channel: Channel = field(init=False)
    current: _Waiting | None = None


@dataclass(slots=True, eq=False)
class _Worker:
    pid: int
    idle: list[_Lane] = field(default_factory=list)
    lanes: list[_Lane] = field(default_factory=list)
    known: set[str] = field(default_factory=set)  # instances it has the configuration of
    to_close: list[Work] = field(default_factory=list)  # for when a lane is idle
    gone: bool = False


class WorkerPool:
    """See the module docstring.

    Args:
        main: the worker's body; runs in the child.
        workers: processes, 1 or more.
        lanes: threads per process, 1 or more.
        max_waiting: jobs that may wait for a lane.
        stuck_grace_s: how far a job may overrun its deadline before its worker is replaced.
    """

    def __init__(
        self,
        loop: Loop,
        main: WorkerMain,
        *,
        workers: int,
        lanes: int,
        max_waiting: int = 2048,
        stuck_grace_s: float = STUCK_GRACE_S,
    ) -> None:
        self._loop = loop
        self._main = main
        self._lanes = lanes
        self._target = workers
        self._max_waiting = max_waiting
        self._stuck_grace_s = stuck_grace_s
        self._workers: list[_Worker] = []
        self._waiting: deque[_Waiting] = deque()
        self._configs: dict[str, str] = {}
        self._stopping = False
        self.restarts = 0
        for _ in range(workers):
            self._spawn()
        loop.every(0.5, self._look_after)

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    @property
    def waiting(self) -> int:
        """Jobs no worker has yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Jobs that workers have."""
        return sum(lane.current is not None for w in self._workers for lane in w.lanes)

    # -- instances -----------------------------------------------------------------------------

    def add_instance(self, key: str, config: str) -> None:
        """Make an instance's configuration known to workers that get its jobs."""
        self._configs[key] = config

    def remove_instance(self, key: str, close: Work) -> None:
        """Let every worker that has the instance run `close`, and forget it."""
        self._configs.pop(key, None)
        for worker in self._workers:
            if key in worker.known:
                worker.known.discard(key)
                worker.to_close.append(close)

    def broadcast(self, work: Work, deadline_s: float) -> None:
        """Run `work` on every worker with an idle lane, without waiting for the answer."""
        for worker in list(self._workers):
            self._offer_to(worker, _Waiting(work, deadline_s, _ignore))

    # -- jobs ----------------------------------------------------------------------------------

    def submit(self, work: Work, deadline_s: float, done: Done) -> None:
        """Run `work` on a worker; see the invariants for `done`."""
        waiting = _Waiting(work, deadline_s, done)
        lane = self._idle_lane()
        if lane is not None:
            self._give(lane, waiting)
        elif len(self._waiting) < self._max_waiting and not self._stopping:
            self._waiting.append(waiting)
        else:
            self._later(done, WorkError("too many requests wait for a worker"))

    def _later(self, done: Done, result: object) -> None:
        """Call `done` from the loop, not from within the caller."""
        self._loop.soon(lambda: done(result))

    def _idle_lane(self) -> _Lane | None:
        best: _Worker | None = None
        for worker in self._workers:
            if worker.idle and (best is None or len(worker.idle) > len(best.idle)):
                best = worker
        return best.idle.pop() if best else None

    def _offer_to(self, worker: _Worker, waiting: _Waiting) -> None:
        if worker.idle:
            self._give(worker.idle.pop(), waiting)

    def _give(self, lane: _Lane, waiting: _Waiting) -> None:
        work = waiting.work
        # Until a worker has answered a job of an instance, each of its jobs brings the
        # configuration: lanes of one worker run at the same time and in no order.
        known = work.instance in lane.worker.known
        config = None if known else self._configs.get(work.instance)
        job = Job(work.kind, work.instance, config, waiting.deadline_s, work.payload)
        try:
            data = job.encode()
        except (TypeError, ValueError, OverflowError) as error:
            lane.worker.idle.append(lane)
            self._later(waiting.done, WorkError(f"job cannot be packed: {error}"))
            return
        lane.current = waiting
        lane.channel.send(data)

    def _received(self, lane: _Lane, assembler: FrameAssembler, data: bytes) -> None:
        for payload in assembler.feed(data):
            waiting, lane.current = lane.current, None
            if waiting is not None and waiting.work.instance in self._configs:
                lane.worker.known.add(waiting.work.instance)
            self._next_for(lane)
            if waiting is not None:
                waiting.done(_result(payload))

    def _next_for(self, lane: _Lane) -> None:
        now_s = self._loop.now_s()
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.deadline_s > now_s:
                self._give(lane, waiting)
                return
            waiting.done(WorkError("waited too long for a worker"))
        lane.worker.idle.append(lane)

    # -- processes -----------------------------------------------------------------------------

    def _spawn(self) -> None:
        pairs = [socket.socketpair() for _ in range(self._lanes)]
        pid = os.fork()
        if pid == 0:
            _in_child([theirs for _, theirs in pairs], self._main)
        worker = _Worker(pid)
        for ours, theirs in pairs:
            theirs.close()
            self._add_lane(worker, ours)
        self._workers.append(worker)

    def _add_lane(self, worker: _Worker, sock: socket.socket) -> None:
        lane = _Lane(worker)
        assembler = FrameAssembler()
        lane.channel = Channel(
            self._loop,
            sock,
            lambda data: self._received(lane, assembler, data),
            lambda: self._lost(worker),
        )
        worker.lanes.append(lane)
        worker.idle.append(lane)

    def _lost(self, worker: _Worker) -> None:
        """A lane closed: the process is gone or as good as gone."""
        if worker.gone:
            return
        worker.gone = True
        self._workers.remove(worker)
        _kill(worker.pid)
        if not self._stopping:
            _log.error("worker %d is gone", worker.pid)
        for lane in worker.lanes:
            lane.channel.close()
            if lane.current is not None:
                waiting, lane.current = lane.current, None
                self._later(waiting.done, WorkError("the worker died"))
        if not self._stopping:
            self.restarts += 1
            self._loop.soon(self._refill)

    def _refill(self) -> None:
        while len(self._workers) < self._target and not self._stopping:
            self._spawn()
            for lane in list(self._workers[-1].lanes):
                if self._waiting:
                    self._workers[-1].idle.remove(lane)
                    self._next_for(lane)

    def _look_after(self) -> None:
        """Kill workers with a stuck job; fail jobs that waited too long."""
        now_s = self._loop.now_s()
        for worker in list(self._workers):
            late = [
                lane
                for lane in worker.lanes
                if lane.current and lane.current.deadline_s + self._stuck_grace_s < now_s
            ]
            if late:
                _log.error("worker %d is stuck and will be replaced", worker.pid)
                self._lost(worker)
            while worker.to_close and worker.idle:
                self._offer_to(worker, _Waiting(worker.to_close.pop(), now_s + 5.0, _ignore))
        while self._waiting and self._waiting[0].deadline_s <= now_s:
            self._waiting.popleft().done(WorkError("waited too long for a worker"))
        _reap()

    def stop(self) -> None:
        """Close the lanes; workers end when they see that."""
        self._stopping = True
        for worker in list(self._workers):
            for lane in worker.lanes:
                lane.channel.close()
        while self._waiting:
            self._waiting.popleft().done(WorkError("stopping"))
        _reap()


def _ignore(_result: object) -> None:
    """Nobody waits for the answer."""


def _result(payload: bytes) -> object:
    answer = unframe(payload)
    match answer:
        case [True, result]:
            return result
        case [False, str(reason)]:
            return WorkError(reason)
    return WorkError("a worker answered nonsense")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _reap() -> None:
    """Collect ended children."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _in_child(sockets: list[socket.socket], main: WorkerMain) -> None:
    """Become a worker: keep the lanes and standard streams, drop everything else."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        keep = {0, 1, 2, *(sock.fileno() for sock in sockets)}
        for entry in list(Path("/dev/fd").iterdir()):
            if int(entry.name) not in keep:
                with contextlib.suppress(OSError):
                    os.close(int(entry.name))
        main(sockets)
        status = 0
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
        _log.exception("worker failed")
    finally:
        os._exit(status)
