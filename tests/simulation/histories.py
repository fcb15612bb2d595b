"""One history: processes that capture, rate and die, in a world that fails, and what must hold of it.

Everything is drawn from one seed, so that a history that went wrong can be had again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from simulated import Disk, Killed, Life, Shelf, SimulatedFiles, SimulatedStore

from afterword.delivery import lifetimes
from afterword.delivery.answers import Answer
from afterword.delivery.dead_letters import DeadLetters
from afterword.delivery.faults import Faults
from afterword.delivery.recorder import Recorder
from afterword.delivery.requests import Kept
from afterword.delivery.spool import Spool
from afterword.errors import DeliveryError
from afterword.feedback.rows import FeedbackRow
from afterword.stores.rows import GenerationRow


class Record:
    """A captured generation."""

    def __init__(self, data_id: str, content: str) -> None:
        self.row = GenerationRow(id=data_id, project="p", created_at=1, inputs=content)
        self.size_bytes = 400 + len(content)
        self.waiter: Answer[bool] | None = None

    def to_row(self) -> GenerationRow:
        return self.row

    def shed(self) -> None:
        self.size_bytes = 400
        self.row.inputs = None


def statement(row_id: str, value: str) -> FeedbackRow:
    return FeedbackRow(
        id=row_id, project="p", data_id=f"g-{row_id}", type="comment", label="", several=False,
        value=value, sentiment=None, signal="free-form", user=None, subject=None, rater="",
        source="code", comment=None, metadata=None, created_at=1, received_at=1, unset=False,
    )  # fmt: skip


class Process:
    """One process of a history: the real recorder and sender, stepped by hand."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.life = Life()
        self.puts = 0
        self.put_ids: list[str] = []
        self.waiting: list[tuple[str, Answer[bool]]] = []
        self.rated: list[tuple[list[str], Answer[Kept]]] = []
        dice, files = history.dice, SimulatedFiles(history.disk, self.life)
        spool = Spool(
            files,
            segment_bytes=dice.choice([600, 3_000, 100_000]),
            clock_s=lambda: history.clock_s,
            now=lambda: history.wall,
            token=lambda: f"{dice.getrandbits(32):08x}",
        )
        store = SimulatedStore(history.shelf, self.life, is_local=history.is_local)
        self.recorder = Recorder(
            store, Faults(), spool, batch_rows=dice.choice([3, 20]), clock_s=lambda: history.clock_s,
            draw=random.Random(dice.getrandbits(32)),
        )  # fmt: skip
        lifetimes._ALL.discard(self.recorder)

    def capture(self) -> None:
        data_id = self.history.new_id("g")
        content = f'"{data_id} {"x" * self.history.dice.choice([5, 200])}"'
        self.history.attempted[data_id] = content
        record = Record(data_id, content)
        self.puts += 1
        self.put_ids.append(data_id)
        if self.history.dice.random() < 0.3:
            self.waiting.append((data_id, self.recorder.put_durably(record)))
        else:
            self.recorder.put(record)

    def rate(self) -> None:
        rows = []
        for _ in range(self.history.dice.choice([1, 1, 3])):
            row_id = self.history.new_id("f")
            self.history.attempted[row_id] = f'"{row_id}"'
            rows.append(statement(row_id, f'"{row_id}"'))
        self.rated.append(([row.id for row in rows], self.recorder.submit(rows)))

    def record_round(self) -> None:
        recorder = self.recorder
        if recorder._buffer or recorder._requests or recorder._held:
            count = len(self.put_ids)
            if (
                recorder._round()
                and not recorder._buffer
                and not self.recorder.dispatch.counts.in_memory
            ):
                self.history.handed_over.update(self.put_ids[:count])
        else:
            recorder.dispatch.reclaim()
        self.hear()

    def send(self) -> None:
        self.recorder.sender.step()
        self.hear()

    def leave(self) -> None:
        """End in good order, as `atexit` does, with no time left for the store."""
        while self.recorder._buffer or self.recorder._requests:
            if not self.recorder._round():
                break
        self.recorder.spool.release()
        self.hear()
        self.life.is_over = True

    def hear(self) -> None:
        """Whoever waits for an answer that has come takes it for a promise."""
        for data_id, waiter in list(self.waiting):
            if waiter.is_there:
                self.waiting.remove((data_id, waiter))
                if waiter.result():
                    self.history.acknowledged.add(data_id)
        for row_ids, future in list(self.rated):
            if future.is_there:
                self.rated.remove((row_ids, future))
                error = future.error
                if error is None:
                    self.history.acknowledged.update(row_ids)
                else:
                    assert isinstance(error, DeliveryError), error

    def check(self) -> None:
        """What holds of every process at every moment."""
        counts, spool = self.recorder.dispatch.counts, self.recorder.spool
        status = self.recorder.status()
        parts = (
            status.stored, status.buffered, status.spooled, status.dead_lettered, status.dropped
        )  # fmt: skip
        assert status.captured == sum(parts)
        assert min(parts) >= 0, status
        waiting = sum(segment.records for segment in spool._segments)
        assert status.spooled == waiting, (status, waiting)
        assert counts.in_memory == spool.memory.records
        assert (
            counts.own_spooled
            + counts.own_done
            + counts.in_memory
            + counts.in_hand
            + len(self.recorder._buffer)
            + self.recorder._shed_rows
            >= self.puts
        )


class History:
    """One seed's worth of events."""

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        self.clock_s = 1_000.0
        self.wall = 1_700_000_000_000_000
        self.is_local = dice.random() < 0.5
        self.may_cut_power = dice.random() < 0.3
        self.disk = Disk(dice)
        self.shelf = Shelf(dice)
        self.attempted: dict[str, str] = {}
        self.acknowledged: set[str] = set()
        self.handed_over: set[str] = set()
        self.processes: list[Process] = []
        self.power_cuts = self.kills = self._ids = 0
        if dice.random() < 0.2:
            self.shelf.most_at_once = dice.choice([3, 5])

    def new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}{self._ids}"

    def run(self, events: int = 60) -> None:
        self.processes.append(Process(self))
        for _ in range(events):
            self.event()
            for process in self.processes:
                process.check()
        self.settle()
        self.judge()

    def event(self) -> None:
        dice = self.dice
        process = dice.choice(self.processes)
        acts: list[tuple[int, Callable[[], object]]] = [
            (12, process.capture),
            (6, process.rate),
            (14, process.record_round),
            (14, process.send),
            (4, self.pass_time),
            (3, self.turn_store),
            (2, self.turn_disk),
            (1, lambda: setattr(self.disk, "fails_next", True)),
            (1, lambda: setattr(self.shelf, "loses_next_reply", True)),
            (1, lambda: self.poison(process)),
            (1, lambda: self.jump()),
            (2, lambda: self.doom(process)),
            (1, lambda: self.replace(process, process.leave)),
            (1, self.start),
            (1 if self.may_cut_power else 0, self.cut_power),
        ]
        (act,) = dice.choices([act for _, act in acts], [weight for weight, _ in acts])
        try:
            act()
        except Killed:
            self.kills += 1
            self.replace(process, lambda: None)
        except OSError:
            pass  # the thread notes it, and comes again
        else:
            if process.life.is_over and process in self.processes:
                self.kills += 1
                self.replace(process, lambda: None)

    def pass_time(self) -> None:
        passed_s = self.dice.choice([0.05, 0.5, 2.0, 20.0, 400.0])
        self.clock_s += passed_s
        self.wall += int(passed_s * 1e6)

    def turn_store(self) -> None:
        self.shelf.is_away = not self.shelf.is_away

    def turn_disk(self) -> None:
        self.disk.is_full = not self.disk.is_full

    def jump(self) -> None:
        """The wall clock is set; the monotonic one knows nothing of it."""
        self.wall = max(0, self.wall + self.dice.choice([-3_600, 315_576_000, -(10**9)]) * 10**6)

    def poison(self, process: Process) -> None:
        if process.put_ids:
            self.shelf.poison.add(self.dice.choice(process.put_ids[-5:]))

    def doom(self, process: Process) -> None:
        """Kill it within the next few things it does to the disk or the store."""
        process.life.steps_left = self.dice.randrange(6)

    def replace(self, process: Process, farewell: Callable[[], object]) -> None:
        try:
            farewell()
        except (Killed, OSError):
            pass
        process.hear()
        process.life.is_over = True
        self.processes.remove(process)
        if not self.processes:
            self.start()

    def start(self) -> None:
        if len(self.processes) < 3:
            self.processes.append(Process(self))

    def cut_power(self) -> None:
        self.power_cuts += 1
        for process in self.processes:
            process.hear()
            process.life.is_over = True
        self.disk.cut_power()
        self.handed_over.clear()
        self.processes = [Process(self)]

    def settle(self) -> None:
        """Mend the world and let everybody finish."""
        self.shelf.is_away = self.disk.is_full = self.disk.fails_next = False
        self.shelf.loses_next_reply = False
        for process in self.processes:
            process.life.steps_left = None
        self.processes.append(Process(self))
        for _ in range(400):
            self.clock_s += 400.0
            busy = False
            for process in self.processes:
                process.record_round()
                recorder = process.recorder
                process.send()
                process.check()
                busy = busy or bool(recorder._buffer or recorder._held or recorder.dispatch.errands)
                busy = busy or not recorder.spool.is_empty
            if not busy and not self.left_segments():
                break
        for process in self.processes:
            assert not process.waiting
            assert not process.rated
            process.leave()

    def left_segments(self) -> list[str]:
        held = {
            segment.name
            for process in self.processes
            for segment in process.recorder.spool._segments
            if segment.is_empty
        }
        return [name for name in self.disk.names if name.endswith(".seg") and name not in held]

    def judge(self) -> None:
        kept = {**self.shelf.generations, **self.shelf.feedback}
        letters = DeadLetters(SimulatedFiles(self.disk, Life()))
        dead = {letter.id for letter in letters.all()}
        assert self.shelf.changed == [], "what was stored was stored as something else"
        assert kept.keys() <= self.attempted.keys()
        for data_id, content in kept.items():
            assert content in (self.attempted[data_id], None), data_id
        assert dead <= self.shelf.poison, f"good records were given up: {dead - self.shelf.poison}"
        safe = kept.keys() | dead
        lost = self.acknowledged - safe
        assert not lost, f"acknowledged and lost: {sorted(lost)}"
        # What the store refuses while the disk has no room for a dead letter is dropped, and counted.
        lost = self.handed_over - safe - self.shelf.poison
        assert not lost, f"handed over and lost: {sorted(lost)}"
        if not self.kills and not self.power_cuts:
            for process in self.processes:
                status = process.recorder.status()
                assert status.buffered == status.spooled == 0
        left = [name for name in self.disk.names if name.endswith(".seg")]
        assert left == [], "segments stayed behind"
