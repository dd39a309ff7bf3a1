"""Which registers to read together, chosen by the time that it takes on the line, and how much of the line that fills.

On a slow bus every request costs its frame, the turnaround of the device and two silences; reading over a hole costs
its registers. So the best cut depends on baud rate and device, and it is found exactly: a shortest path over the rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from drivers.codecs.modbus import BIT_FUNCTIONS, MOST
from drivers.driver import Group


@runtime_checkable
class LineSpeed(Protocol):
    """What the options of a line that can carry Modbus say about its pace."""

    @property
    def framing(self) -> Literal["rtu", "ascii", "tcp"]:
        """Serial frames in bytes or in hex digits, or TCP frames."""
        ...

    @property
    def character_s(self) -> float:
        """Time of one character on the wire; 0 where the network is so fast that it does not count."""
        ...

    @property
    def silence_s(self) -> float:
        """Silence that must separate two frames."""
        ...

    @property
    def round_trip_s(self) -> float:
        """Time the network adds to each exchange; 0 on a wire."""
        ...

    @property
    def listens_s(self) -> float:
        """Before the first question so long is listened for another master; 0 where frames say whose they are."""
        ...


@dataclass(frozen=True, slots=True)
class Want:
    """What one row needs: `count` registers (or coils) from `first` on."""

    function: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Block:
    """One request, and which rows (positions in the list given to `plan`) it serves."""

    function: int
    first: int
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that a request takes: a fixed part and a part for each byte of values."""

    fixed_s: float
    byte_s: float

    def of(self, function: int, count: int) -> float:
        """Time on the line of one request for `count` registers or coils with its answer."""
        return self.fixed_s + self.byte_s * (-(-count // 8) if function in BIT_FUNCTIONS else 2 * count)


def cost(speed: LineSpeed, turnaround_s: float) -> Cost:
    """What requests cost on this line: 8 characters asked, 5 around the answer's values (ASCII: 17, 11), turnaround, silence."""
    around, per_byte = (28, 2) if speed.framing == "ascii" else (13, 1)
    fixed_s = around * speed.character_s + turnaround_s + speed.silence_s + speed.round_trip_s
    return Cost(fixed_s, per_byte * speed.character_s)


def plan(
    wants: Sequence[Want], price: Cost, max_registers: int = 125, forbidden: Iterable[tuple[int, int]] = (), *, over_holes: bool = True,
) -> tuple[Block, ...]:
    """The requests that read all rows in the least line time; never more than `max_registers` in one.

    `forbidden` registers (first, last) are never read over; without `over_holes` no unnamed register is.
    Raises ValueError for a row that alone is longer than `max_registers`.
    """
    blocks: list[Block] = []
    for function in sorted({want.function for want in wants}):
        order = sorted((i for i, want in enumerate(wants) if want.function == function), key=lambda i: (wants[i].first, wants[i].count))
        most = MOST[function] if function in BIT_FUNCTIONS else max_registers
        blocks += _cut(wants, order, price, most, tuple(forbidden), over_holes)
    return tuple(blocks)


def divide(
    block: Block, wants: Sequence[Want], price: Cost, max_registers: int = 125, forbidden: Iterable[tuple[int, int]] = (),
) -> tuple[Block, ...]:
    """The pieces of a block that the device declined: its runs without holes, or its two halves if it has none.

    Raises ValueError for a block of one row.
    """
    if len(block.rows) < 2:
        raise ValueError(f"register {block.first} stands alone")
    mine = [wants[row] for row in block.rows]
    runs = plan(mine, price, max_registers, forbidden, over_holes=False)
    if len(runs) > 1:
        return tuple(Block(run.function, run.first, run.count, tuple(block.rows[i] for i in run.rows)) for run in runs)
    middle = len(block.rows) // 2
    return _block(wants, block.rows[:middle]), _block(wants, block.rows[middle:])


def _cut(
    wants: Sequence[Want], order: list[int], price: Cost, most: int, forbidden: tuple[tuple[int, int], ...], over_holes: bool,
) -> list[Block]:
    best: list[tuple[float, int]] = [(0.0, 0)]  # best[j]: least time for the first j rows, and where its last block begins
    for stop in range(1, len(order) + 1):
        choices = []
        for start in range(stop - 1, -1, -1):
            block = _block(wants, order[start:stop])
            if block.count > most:
                break
            if _may(block, wants, forbidden, over_holes):
                choices.append((best[start][0] + price.of(block.function, block.count), start))
        if not choices:
            want = wants[order[stop - 1]]
            raise ValueError(f"register {want.first} with {want.count} registers does not fit into a request of {most}, or is forbidden")
        best.append(min(choices))
    blocks, stop = [], len(order)
    while stop:
        start = best[stop][1]
        blocks.append(_block(wants, order[start:stop]))
        stop = start
    return blocks[::-1]


def _block(wants: Sequence[Want], rows: Sequence[int]) -> Block:
    first = wants[rows[0]].first
    end = max(wants[i].first + wants[i].count for i in rows)
    return Block(wants[rows[0]].function, first, end - first, tuple(rows))


def _may(block: Block, wants: Sequence[Want], forbidden: tuple[tuple[int, int], ...], over_holes: bool) -> bool:
    if any(low < block.first + block.count and high >= block.first for low, high in forbidden):
        return False
    if over_holes:
        return True
    end = block.first
    for row in block.rows:
        if wants[row].first > end:
            return False
        end = max(end, wants[row].first + wants[row].count)
    return True


def load(groups: Iterable[Group]) -> float:
    """Share of the line's time that these groups fill, 0..; above 1 they do not fit."""
    return sum(group.line_time_s / group.interval_s for group in groups)
