"""Where a sink stands in the journal: its position, and the ranges below it that let newer rows go first."""

from dataclasses import dataclass, field

from gateway.journal.progress import BacklogMoved, SinkMoved


@dataclass(slots=True)
class Standing:
    """Moves by the same notes as the journal's own tables, so that both say the same."""

    position: int = 0
    backlog: list[tuple[int, int]] = field(default_factory=list)
    """[from, to), in order."""

    def copy(self) -> "Standing":
        """One that moves on its own."""
        return Standing(self.position, list(self.backlog))

    def apply(self, note: object) -> None:
        """Move by a note; others mean nothing here."""
        match note:
            case SinkMoved(after=after, n=n, owed=owed) if after == self.position:
                self.position = n
                for low, high in owed:
                    if self.backlog and self.backlog[-1][1] == low:
                        low, _ = self.backlog.pop()  # an outage of days is one range
                    self.backlog.append((low, high))
            case BacklogMoved(n_from=n_from, n=n):
                for i, (low, high) in enumerate(self.backlog):
                    if low == n_from:
                        self.backlog[i : i + 1] = [(n + 1, high)] if n + 1 < high else []
                        break
