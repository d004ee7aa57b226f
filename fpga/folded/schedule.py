# SPDX-License-Identifier: Apache-2.0
"""From steps to a program: their order, and where their words lie."""

import heapq
from collections import defaultdict
from collections.abc import Iterator

from .isa import (
    DELAY_SLOTS,
    LATENCY,
    NOP,
    PROGRAM_WORDS,
    SILENT,
    WORDS,
    Instruction,
    Op,
    Program,
    TooLargeError,
)
from .lower import Lowered
from .values import Operand, Step

__all__ = ["compile_steps"]

#: How far down the order of depth a step with the same test may be, to be taken before others.
_WINDOW = 1024
#: Words that are still free when they count as short.
_SPARE = 60


def compile_steps(lowered: Lowered) -> Program:
    """Return the program of a design: each step once, those that nobody needs left out.

    Raises
    ------
    ValueError
        If there are too many instructions or words.
    """
    graph = _Graph(lowered)
    fixed = _fixed(graph)
    order = _Scheduler(graph, WORDS - len(fixed) - _SPARE).order()
    return _program(graph, order, _allocate(graph, order, fixed))


class _Graph:
    """Steps that are needed, and what must come before what."""

    def __init__(self, lowered: Lowered):
        self.lowered = lowered
        self.steps = dict(lowered.steps)
        self.fresh = 1 + max([*lowered.steps, *lowered.init, *lowered.constants])
        self.zero = next(v for v, number in lowered.constants.items() if number == 0)
        self.writes: dict[int, int] = {}  # step: the register whose word it writes
        self.writer: dict[int, int] = {}  # and the other way round
        self._keep_needed()
        self._add_order()
        self._write_registers()

    def reads(self, step: Step) -> Iterator[int]:
        """Values that a step reads, with those of its test."""
        yield step.a.value
        yield step.b
        if step.test >= 0:
            a, b = self.lowered.tests[step.test]
            yield a.value
            yield b

    def _keep_needed(self) -> None:
        low = self.lowered
        stack = [v for v, s in self.steps.items() if s.op in SILENT]
        needed: set[int] = set()
        while stack:
            value = stack.pop()
            if value in needed:
                continue
            needed.add(value)
            if value in self.steps:
                stack += self.reads(self.steps[value])
            elif value in low.next:
                stack.append(low.next[value].value)
        self.steps = {v: s for v, s in self.steps.items() if v in needed}
        self.needed = needed

    def _add_order(self) -> None:
        self.before: dict[int, set[int]] = {v: set() for v in self.steps}
        self.after: dict[int, set[int]] = {v: set() for v in self.steps}
        self.readers: dict[int, set[int]] = defaultdict(set)
        for value, step in self.steps.items():
            for read in self.reads(step):
                self.readers[read].add(value)
                if read in self.steps:
                    self.edge(read, value)
        for value, step in self.steps.items():
            if step.op is Op.OUT:  # is an answer to what came
                for first in (v for v, s in self.steps.items() if s.op is Op.IN):
                    self.edge(first, value)
        by_memory = defaultdict(list)
        for value, step in self.steps.items():
            if step.op in (Op.LOAD, Op.STORE):
                by_memory[step.memory].append(value)
        for values in by_memory.values():
            for store in (v for v in values if self.steps[v].op is Op.STORE):
                for load in (v for v in values if self.steps[v].op is Op.LOAD):
                    if self.steps[load].late:
                        self.edge(store, load)
                    else:
                        self.edge(load, store)

    def edge(self, first: int, then: int) -> None:
        self.before[then].add(first)
        self.after[first].add(then)

    def reaches(self, start: int, goals: set[int]) -> bool:
        """Whether one of some steps comes after a step, or is it."""
        seen, stack = {start}, [start]
        while stack:
            value = stack.pop()
            if value in goals:
                return True
            fresh = self.after[value] - seen
            seen |= fresh
            stack += fresh
        return False

    def _write_registers(self) -> None:
        """Choose the step that writes each register: behind all that read what it was."""
        low, later = self.lowered, []
        for q, d in low.next.items():
            if q not in self.needed or (d.value, d.shift) == (q, 0):
                continue
            readers = self.readers[q] - {d.value}
            free = d.value in self.steps and not d.shift and d.value not in self.writes
            if free and not self.reaches(d.value, readers):
                self._write(d.value, q)
            else:
                later.append((q, d))
        for q, wanted in later:
            d = wanted
            writer = self.writer.get(d.value)  # of a register that this one follows
            if writer is not None and self.reaches(writer, self.readers[q]):
                d = Operand(self._copy(d), 0, d.width)
            self._write(self._copy(d), q)

    def _write(self, step: int, q: int) -> None:
        self.writes[step], self.writer[q] = q, step
        for reader in self.readers[q] - {step}:
            self.edge(reader, step)

    def _copy(self, a: Operand) -> int:
        """Add a step that copies an operand."""
        value = self.fresh
        self.fresh += 1
        self.steps[value] = step = Step(Op.CAT, a, self.zero)
        self.before[value], self.after[value] = set(), set()
        for read in self.reads(step):
            self.readers[read].add(value)
            if read in self.steps:
                self.edge(read, value)
            if read in self.writer:
                self.edge(value, self.writer[read])
        return value


def _depth_first(graph: _Graph) -> dict[int, int]:
    """Return places in an order in which what is read was made shortly before."""
    place: dict[int, int] = {}
    roots = [v for v in graph.steps if v in graph.writes or graph.steps[v].op in SILENT]
    # registers that are read by many first: what they become needs a word until all have read them
    for root in sorted(roots, key=lambda v: -len(graph.before[v])):
        stack = [(root, iter(sorted(graph.before[root])))]
        entered = {root}
        while stack:
            value, rest = stack[-1]
            for prior in rest:
                if prior not in place and prior not in entered:
                    entered.add(prior)
                    stack.append((prior, iter(sorted(graph.before[prior]))))
                    break
            else:
                stack.pop()
                place.setdefault(value, len(place))
    return place


class _Scheduler:
    """List scheduling; what is read soon after it was made needs no word for long.

    A step that reads a value for the last time, and leaves no more values than before, goes first
    if words are short. Else steps of the test that was made last go first, since a test is an
    instruction; else those that are first in depth.
    """

    def __init__(self, graph: _Graph, words: int):
        self.graph, self.words = graph, words
        self.place = _depth_first(graph)
        steps = graph.steps
        self.temporary = {
            v for v, s in steps.items() if v not in graph.writes and s.op not in SILENT
        }
        self.left = {v: set(graph.readers[v]) for v in self.temporary}
        self.reads = {v: set(graph.reads(s)) for v, s in steps.items()}
        self.live = 0
        self.ready: set[int] = set()
        self.first: list[tuple[int, int]] = []
        self.closing: list[tuple[int, int]] = []
        self.by_test: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.taken: set[int] = set()

    def closes(self, value: int) -> bool:
        """Whether a step leaves no more values than there were."""
        last = sum(1 for r in self.reads[value] if len(self.left.get(r, ())) == 1)
        return last >= (value in self.temporary)

    def offer(self, value: int) -> None:
        """Make a step known that may be taken now."""
        self.ready.add(value)
        item = self.place[value], value
        heapq.heappush(self.first, item)
        if self.closes(value):
            heapq.heappush(self.closing, item)
        if (test := self.graph.steps[value].test) >= 0:
            heapq.heappush(self.by_test[test], item)

    def choose(self, flag: int) -> int | None:
        """Return the step to take next; ``flag`` is the test that was made last."""
        same = self.by_test[flag]
        for heap in (self.first, self.closing, same):
            while heap and heap[0][1] in self.taken:
                heapq.heappop(heap)
        if not self.first:
            return None
        if same and (same[0][0] <= self.first[0][0] + _WINDOW or self.closes(same[0][1])):
            return same[0][1]
        if self.closing:
            value = self.closing[0][1]
            if self.live >= self.words or self.graph.steps[value].test < 0:
                return value
        return self.first[0][1]

    def take(self, value: int) -> None:
        """Note that a step was taken."""
        self.taken.add(value)
        self.ready.discard(value)
        self.live += value in self.temporary
        for read in self.reads[value]:
            if read in self.left:
                self.left[read].discard(value)
                self.live -= not self.left[read]
                if len(self.left[read]) == 1:
                    (last,) = self.left[read]
                    if last in self.ready and self.closes(last):
                        heapq.heappush(self.closing, (self.place[last], last))

    def _clash(self, out: list[int | None], value: int) -> bool:
        """Whether LOAD would come behind STORE at once: the memory has one port."""
        steps = self.graph.steps
        last = out[-1] if out else None
        behind = last is not None and last >= 0 and steps[last].op is Op.STORE
        return behind and steps[value].op is Op.LOAD

    def order(self) -> list[int | None]:
        """Return the steps, one a cycle; a test as ``-1 - test``, a cycle without one as None."""
        graph, flag = self.graph, -1
        out: list[int | None] = []
        missing = {v: len(b) for v, b in graph.before.items()}
        earliest = dict.fromkeys(graph.steps, 0)
        waiting = [(0, v) for v, n in missing.items() if n == 0]
        heapq.heapify(waiting)
        while len(self.taken) < len(graph.steps):
            while waiting and waiting[0][0] <= len(out):
                self.offer(heapq.heappop(waiting)[1])
            chosen = self.choose(flag)
            if chosen is not None and (test := graph.steps[chosen].test) not in (-1, flag):
                flag = test
                out.append(-1 - test)
                continue
            if chosen is not None and self._clash(out, chosen):
                chosen = None
            if chosen is not None:
                self.take(chosen)
                for then in graph.after[chosen]:
                    gap = LATENCY if chosen in self.reads[then] else 1
                    earliest[then] = max(earliest[then], len(out) + gap)
                    missing[then] -= 1
                    if not missing[then]:
                        heapq.heappush(waiting, (earliest[then], then))
            assert chosen is not None or waiting or self.ready, "steps wait for each other"
            out.append(chosen)
        return out


def _fixed(graph: _Graph) -> dict[int, int]:
    """Return the words of constants and registers; that of 0 is 0."""
    used = {v for step in graph.steps.values() for v in graph.reads(step)} | set(graph.writer)
    word = {graph.zero: 0}
    for value in [*graph.lowered.constants, *graph.lowered.init]:
        if value in used:
            word.setdefault(value, len(word))
    if len(word) > WORDS:
        raise TooLargeError(
            f"its constants and registers take {len(word):,} words and there are {WORDS:,}"
        )
    return word


def _allocate(graph: _Graph, order: list[int | None], fixed: dict[int, int]) -> dict[int, int]:
    """Return the word of each value, by linear scan."""
    word = dict(fixed)
    for step, q in graph.writes.items():
        word[step] = word[q]
    last: dict[int, int] = {}
    for k, item in enumerate(order):
        if item is not None:
            for value in _reads(graph, item):
                last[value] = k
    free: list[int] = []
    top = len(fixed)
    ends: dict[int, list[int]] = defaultdict(list)
    for k, item in enumerate(order):
        for value in ends.pop(k, ()):
            heapq.heappush(free, word[value])
        if item is None or item < 0 or item in word or graph.steps[item].op in SILENT:
            continue
        if free:
            word[item] = heapq.heappop(free)
        else:
            word[item] = top
            top += 1
        ends[last[item]].append(item)  # it is read before another is written
    if top > WORDS:
        raise TooLargeError(f"it takes {top:,} words and there are {WORDS:,}")
    return word


def _reads(graph: _Graph, item: int) -> list[int]:
    if item < 0:
        a, b = graph.lowered.tests[-1 - item]
        return [a.value, b]
    step = graph.steps[item]
    return [step.a.value, step.b]


def _program(graph: _Graph, order: list[int | None], word: dict[int, int]) -> Program:
    low = graph.lowered
    instructions = []
    for item in order:
        if item is None:
            instructions.append(NOP)
        elif item < 0:
            a, b = low.tests[-1 - item]
            instructions.append(Instruction(Op.TEST, 0, word[a.value], word[b], a.shift, a.width))
        else:
            step = graph.steps[item]
            a, b = step.a, step.b
            dst = word.get(item, 0) if step.op not in SILENT else step.base // 8
            instructions.append(Instruction(step.op, dst, word[a.value], word[b], a.shift, a.width))
    # what the last step writes can be read by the first one
    instructions += [NOP] * (LATENCY - DELAY_SLOTS - 2)
    instructions += [Instruction(Op.END), *[NOP] * DELAY_SLOTS]
    if len(instructions) > PROGRAM_WORDS:
        raise TooLargeError(
            f"it takes {len(instructions):,} instructions and there are {PROGRAM_WORDS:,}"
        )
    words = [0] * (1 + max(word.values()))
    for value, number in (low.constants | low.init).items():
        if value in word:
            words[word[value]] = number
    return Program(tuple(instructions), tuple(words), tuple(low.memory))
