"""A pool whose workers are tasks of a Ray cluster.

Each item is a task with what it needs of CPUs, GPUs and memory. Its answer comes back to the
caller, so that nothing but the caller needs the store. The caller carries an item out again whose
worker or node is lost; tasks of a caller that is gone are ended by Ray.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import shutil
import signal
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trueness import interrupts
from trueness.errors import SpecError, TruenessError
from trueness.execute import remote
from trueness.execute.contract import ASKED_EVERY_S, ONE_THREAD, Callbacks, Failure, Function
from trueness.execute.local import map_here, pool_size
from trueness.execute.reaching import Watch, check_answers, last_line, message_of

if TYPE_CHECKING:
    from trueness.fit.device import Device

RETRIES = 3
"""How often an item is carried out again whose worker or node is lost.

Ray is told to try nothing again: it would do so without an end where memory was short.
"""
COUNTED_EVERY_S = 5.0
"""Seconds between two looks at the nodes of a cluster, which come and go."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
"""Environment in which Ray reports nothing to anybody, and begins no cluster by itself."""
ELSEWHERE = {"RAY_gcs_rpc_server_reconnect_timeout_s": "600"}
"""And where the cluster is not begun here: Ray ends a process so long after its head is gone."""


class RayPool:
    """Tasks of a Ray cluster; see `trueness.execute.AnyPool`.

    Parameters
    ----------
    address : str or None
        ``ray://HOST:PORT`` of a client server, or ``HOST:PORT`` of a cluster that this machine
        belongs to; None starts one here that ends with the pool.
    workers : int or None
        Items at once; as many as there are CPUs, or GPUs where items have them, by default.
    """

    def __init__(self, address: str | None, workers: int | None) -> None:
        self.address, self.workers = address, workers
        self._gpu = False
        self._counted = (-COUNTED_EVERY_S, 0)
        self._seen: dict[tuple[Path, frozenset[str]], bool] = {}
        self._folder = ""
        self._watch = Watch(address or "", f"at {address}" if address else "of this machine")

    def __enter__(self) -> Self:
        settings = SETTINGS if self.address is None else SETTINGS | ELSEWHERE
        os.environ.update(settings | os.environ)
        ray = _ray()
        ray._private.worker._worker_logs_enabled = False  # else dead raylets are told of on stdout
        self._packer, self._work = remote.Packer(ray.put), ray.remote(remote.work)
        environment: dict[str, Any] = {"env_vars": dict(ONE_THREAD)}
        how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self.address is None:
            self._folder = tempfile.mkdtemp(prefix="ray-")
            how |= {"address": "local", "num_cpus": pool_size(self.workers),
                    "include_dashboard": False, "_temp_dir": self._folder}  # fmt: skip
        else:
            check_answers(self.address)
            package = str(Path(__file__).parents[1])
            environment |= {"py_modules": [package], "excludes": ["**/__pycache__"]}
            how["address"] = self.address
        with self._reached(), _own_signals():
            try:
                ray.init(**how, runtime_env=environment)
            except (RuntimeError, ValueError, OSError) as error:
                self.__exit__()
                raise ConnectionError(message_of(error)) from error
            logging.getLogger("ray").setLevel(logging.CRITICAL)  # the client heeds no option
            warnings.filterwarnings("ignore", "Ray Client connection timed out", UserWarning)
            if "//" not in (self.address or ""):
                self._watch.address = ray.get_runtime_context().gcs_address
        return self

    def __exit__(self, *exception: object) -> None:
        _ray().shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def size(self) -> int:
        """Items that are carried out at once."""
        if self.workers is not None:
            return self.workers
        at, slots = self._counted
        if time.monotonic() - at > COUNTED_EVERY_S:
            kind = "GPU" if self._gpu else "CPU"
            slots = sum(int(node.get(kind, 0)) for node in self._nodes().values())
            self._counted = (time.monotonic(), slots)
        return max(1, slots)

    def start(self) -> None:
        """Refuse a cluster on which nothing can be carried out.

        Raises
        ------
        SpecError
            With code ``no_room`` if it has no CPU.
        """
        if not self._nodes():
            raise SpecError("no node of the cluster has a CPU", "no_room")

    def device(self, name: str) -> Device:
        """The device of a name on a node that has it; items get it from then on.

        Raises
        ------
        SpecError
            With code ``no_gpu`` if no node has one, ``device`` for the name of a certain card.
        """
        ray = _ray()
        has_gpu = any(node.get("GPU") for node in self._nodes().values())
        kind = ("cuda" if has_gpu else "cpu") if name == "auto" else name
        if kind not in ("cpu", "cuda"):
            raise SpecError(f"--device {name}: Ray chooses the card of each job; give auto, cpu or "
                            "cuda", "device")  # fmt: skip
        if kind == "cuda" and not has_gpu:
            raise SpecError("no node of the cluster has a GPU; leave --device out, or start nodes "
                            "with --num-gpus", "no_gpu")  # fmt: skip
        self._gpu, self._counted = kind == "cuda", (-COUNTED_EVERY_S, 0)
        self.start()
        probe = ray.remote(remote.seen_device)
        with self._reached():
            return self._value(probe.options(num_cpus=1, num_gpus=int(self._gpu)).remote(kind))

    def sees(self, path: Path) -> bool:
        """Whether every node reads the same file or folder under this path."""
        nodes = frozenset(self._nodes())
        if (path, nodes) not in self._seen:
            with _witness(path) as seen, self._reached():
                probes = [self._probe(node, seen) for node in nodes]
                self._seen[path, nodes] = all(self._answered(probe) for probe in probes)
        return self._seen[path, nodes]

    def _probe(self, node: str, path: Path) -> Any:  # noqa: ANN401 - a reference
        """Ask a node whether it sees a path."""
        probe = _ray().remote(remote.is_there).options(
            num_cpus=0, scheduling_strategy=_on_node(node, soft=False)
        )  # fmt: skip
        return probe.remote(str(path), str(Path.cwd()))

    def _answered(self, probe: Any) -> bool:  # noqa: ANN401 - a reference
        """What a node says; one that is gone by now reads nothing."""
        try:
            return self._value(probe)
        except _ray().exceptions.RayError:
            return True

    def _value(self, task: Any) -> Any:  # noqa: ANN401 - a reference, and its value
        """What a task comes to, as long as the cluster is there."""
        ray = _ray()
        while not ray.wait([task], timeout=ASKED_EVERY_S)[0]:
            interrupts.check()
            self._watch.is_silent()
        return ray.get(task)

    def check(self, items: Callable[[], Sequence[Any]]) -> None:
        """Refuse items that need more memory than a node has, or files that not all nodes see.

        Raises
        ------
        SpecError
            With code ``no_room`` or ``not_shared``.
        """
        result = [item for item in items() if not getattr(item, "here", False)]
        most = max((node.get("memory", 0.0) for node in self._nodes().values()), default=0.0)
        needed = 0 if self._gpu else max((getattr(item, "bytes", 0) for item in result), default=0)
        if needed > most:
            raise SpecError(f"a job needs about {needed / 1e9:,.1f} GB, and no node of the cluster "
                            f"gives it more than {most / 1e9:,.1f} GB", "no_room")  # fmt: skip
        for path in dict.fromkeys(path for item in result for path in getattr(item, "reads", ())):
            if not self.sees(path):
                raise SpecError(f"jobs read {path}, which not every node of the cluster sees; keep "
                                "it on a disk that they share, under the same path",
                                "not_shared")  # fmt: skip

    def map(
        self,
        function: Function,
        items: Sequence[Any],
        on_event: Callable[[int, Any], Any] | None = None,
        on_start: Callable[[int], bool | None] | None = None,
        until: float | None = None,
        *,
        alone: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        """See `trueness.execute.AnyPool`."""
        callbacks = Callbacks.of(on_event, on_start)
        with interrupts.listening(), self._reached():
            yield from self._mapped(function, items, callbacks, until, alone=alone)

    def _mapped(
        self, function: Function, items: Sequence[Any], callbacks: Callbacks,
        until: float | None, *, alone: bool,
    ) -> Iterator[tuple[int, Any]]:  # fmt: skip
        ray = _ray()
        waiting, running = deque(range(len(items))), {}
        attempts = [0] * len(items)
        self._watch.wait()
        hub = self._hub()
        news = hub.take.remote()
        try:
            while waiting or running:
                left = ASKED_EVERY_S if until is None else until - time.monotonic()
                if left <= 0:
                    return
                interrupts.check()
                is_silent = self._watch.is_silent()
                if waiting and not is_silent and len(running) < self.size:
                    position = waiting.popleft()
                    if not attempts[position] and callbacks.start(position) is False:
                        continue
                    attempts[position] += 1
                    if getattr(items[position], "here", False):
                        yield from _run_here(function, items[position], position, callbacks, until)
                    else:
                        task = self._task(function, items[position], position, hub, alone=alone)
                        running[task] = position
                    continue
                ready, _ = ray.wait([news, *running], timeout=min(left, ASKED_EVERY_S))
                done = [task for task in ready if task in running]
                if done:
                    hub.wake.remote()  # events before answers
                if ready:
                    self._pass_on(self._value(news), {*running.values()}, hub, callbacks)
                    news = hub.take.remote()
                for task in done:
                    position = running.pop(task)
                    lost, answer = _answer(task)
                    if lost and (attempts[position] <= RETRIES or self._watch.is_silent(anew=True)):
                        waiting.appendleft(position)
                    else:
                        yield position, answer
        finally:
            _end(running, hub, self._watch)

    def _hub(self) -> Any:  # noqa: ANN401 - an actor
        """The actor of a map, beside the caller if it can be."""
        ray = _ray()
        same_node = _on_node(ray.get_runtime_context().get_node_id(), soft=True)
        hub = ray.remote(remote.Hub).options(
            num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=same_node
        )  # fmt: skip
        return hub.remote()

    def _task(
        self, function: Function, item: Any, position: int, hub: Any, *, alone: bool,  # noqa: ANN401
    ) -> Any:  # fmt: skip # noqa: ANN401
        """Begin an item."""
        needs: dict[str, Any] = {"num_cpus": 1, "num_gpus": int(self._gpu), "max_retries": 0}
        if not self._gpu and (memory := getattr(item, "bytes", 0)):
            needs["memory"] = memory
        if alone and not self._gpu:
            threads = int(max(node["CPU"] for node in self._nodes().values()))
            needs["num_cpus"] = threads
            needs["runtime_env"] = {"env_vars": dict.fromkeys(ONE_THREAD, str(threads))}
        parcel, arrays = self._packer.pack((function, item))
        work = self._work.options(**needs)
        return work.remote(parcel, hub, position, str(Path.cwd()), *arrays)

    @staticmethod
    def _pass_on(
        messages: Sequence[remote.Message], running: set[int], hub: Any, callbacks: Callbacks  # noqa: ANN401
    ) -> None:  # fmt: skip
        """Tell the caller what items report, and them what it answers."""
        for position, number, event in messages:
            answer = callbacks.event(position, pickle.loads(event)) if position in running else None
            if number is not None:
                hub.answer.remote(number, answer)

    def _nodes(self) -> dict[str, dict[str, float]]:
        """Nodes on which items can be carried out, and what they have."""
        ray = _ray()
        with self._reached():
            self._watch.wait()
            every = ray.nodes()
        return {
            node["NodeID"]: node["Resources"] for node in every
            if node["Alive"] and node["Resources"].get("CPU")
        }  # fmt: skip

    @contextlib.contextmanager
    def _reached(self) -> Generator[None]:
        """Errors of Ray as refusals; those that a task raised for the user as they are."""
        errors, place = _ray().exceptions, self._watch.place
        try:
            yield
        except errors.RayTaskError as error:
            if isinstance(error.cause, TruenessError):
                raise error.cause from None
            raise SpecError(f"Ray {place}: {last_line(error)}", "no_cluster") from error
        except (errors.RayError, ConnectionError, import_module("grpc").RpcError) as error:
            if self._watch.is_silent(anew=True):
                raise self._watch.gone() from error
            raise SpecError(f"Ray {place}: {message_of(error)}", "no_cluster") from error


def _ray() -> Any:  # noqa: ANN401 - the module, which is an extra
    return import_module("ray")


def _on_node(node: str, *, soft: bool) -> Any:  # noqa: ANN401 - where Ray places something
    strategies = import_module("ray.util.scheduling_strategies")
    return strategies.NodeAffinitySchedulingStrategy(node, soft=soft)


def _run_here(
    function: Function, item: Any, position: int, callbacks: Callbacks, until: float | None  # noqa: ANN401
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """Carry an item out in this process."""
    alone = Callbacks(lambda _, event: callbacks.event(position, event), lambda _: None)
    for _, answer in map_here(function, [item], alone, until):
        yield position, answer


def _answer(task: Any) -> tuple[bool, Any]:  # noqa: ANN401 - a reference
    """Whether the worker of a task was lost, and what came of it."""
    ray = _ray()
    try:
        kind, content = ray.get(task)
    except ray.exceptions.RayError as error:
        return True, Failure(
            f"its worker was lost {1 + RETRIES} times, at last: {message_of(error)}"
        )
    return False, pickle.loads(content) if kind == "done" else Failure(content)


def _end(running: dict[Any, int], hub: Any, watch: Watch) -> None:  # noqa: ANN401 - an actor
    """Leave nothing of a map behind on the cluster, if there is one."""
    ray = _ray()
    with contextlib.suppress(ray.exceptions.RayError, ConnectionError, ValueError, SpecError):
        if watch.is_silent(anew=True):
            return
        for task in running:
            ray.cancel(task, force=True)
        ray.kill(hub)


@contextlib.contextmanager
def _own_signals() -> Generator[None]:
    """Keep the handlers of signals that Ray replaces."""
    result = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    try:
        yield
    finally:
        for number, handler in result.items():
            with contextlib.suppress(ValueError):  # outside of the main thread nothing was replaced
                signal.signal(number, handler)


@contextlib.contextmanager
def _witness(path: Path) -> Generator[Path]:
    """A file that whoever shares the disk of a path must see."""
    if path.is_file():
        yield path.absolute()
        return
    folder = next(one for one in (path.absolute(), *path.absolute().parents) if one.is_dir())
    try:
        handle, name = tempfile.mkstemp(prefix=".seen-", dir=folder)
    except OSError:
        yield folder  # a disk that cannot be written
        return
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
