"""The frame of the long campaigns: resumed is the same as uninterrupted, and nothing is recorded that was not shown."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from proof.campaigns import Campaign, Step, Tally, go, load, names
from proof.record import HOUSE, read_record


def campaign(step=None, **more) -> Campaign:
    def adds(at: Step, tally: Tally) -> None:
        tally.count("drawn", at.random.randrange(1000))
        tally.most("largest", at.number)
        tally.ran_with("server", "1.2")

    return Campaign("example", "It adds up.", ("proved.py",), 5, {"drawn": 0, "largest": 0}, step or adds, **more)


@pytest.fixture
def ground(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "proved.py").write_text("1")
    return {"states": tmp_path / "states", "records": tmp_path / "records", "house": tmp_path / "house"}


def test_a_campaign_in_pieces_gives_the_same_record_as_in_one(ground):
    whole = go(campaign(), **ground).record
    assert [go(campaign(), steps=2, **ground).done for _ in range(2)] == [2, 4]
    pieces = go(campaign(), **ground).record
    assert whole.figures == pieces.figures
    assert whole.figures["largest"] == 4
    assert whole.figures["drawn"] > 0
    assert pieces.versions["server"] == "1.2"
    written = read_record(ground["records"] / "example.json")
    assert written == pieces
    assert written.changed(ground["house"]) == []


def test_another_seed_is_another_campaign(ground):
    first = go(campaign(), **ground).record
    second = go(campaign(), seed=2, **ground).record
    assert (second.seed, second.figures["drawn"] != first.figures["drawn"]) == (2, True)


def test_when_a_proved_file_changes_it_begins_afresh_and_an_old_record_says_so(ground):
    record = go(campaign(), **ground).record
    assert go(campaign(), steps=3, **ground).done == 3
    (ground["house"] / "proved.py").write_text("2")
    assert record.changed(ground["house"]) == ["proved.py"]
    assert go(campaign(), steps=1, **ground).done == 1
    (ground["house"] / "proved.py").unlink()
    assert record.changed(ground["house"]) == ["proved.py"]
    with pytest.raises(ValueError, match="fits no file"):
        go(campaign(), **ground)


def test_a_step_that_fails_says_which_and_counts_for_nothing(ground):
    def fails_at_two(at: Step, tally: Tally) -> None:
        tally.count("drawn")
        assert at.number != 2 or (ground["house"] / "mended").exists(), "broken"

    told: list[str] = []
    with pytest.raises(AssertionError, match="broken"):
        go(campaign(fails_at_two), tell=told.append, **ground)
    assert told == ["proof-example: step 2 of seed 1 did not hold; the same command tries it again"]
    assert not (ground["records"] / "example.json").exists()
    assert json.loads((ground["states"] / "example.json").read_text())["figures"]["drawn"] == 2
    (ground["house"] / "mended").touch()
    assert go(campaign(fails_at_two), **ground).record.figures["drawn"] == 5


def test_a_run_stops_before_its_budget_is_used_up(ground):
    outcome = go(campaign(longest_s=30.0), budget_s=29.0, **ground)
    assert (outcome.done, outcome.record) == (0, None)
    assert go(campaign(longest_s=0.001), budget_s=29.0, **ground).record is not None


def test_steps_get_an_empty_folder_each_and_share_what_stands_around_them(ground):
    seen: list[tuple[Path, object]] = []
    ended: list[Path] = []

    @contextmanager
    def around(folder: Path):
        yield "server"
        ended.append(folder)

    def step(at: Step, tally: Tally) -> None:
        assert list(at.folder.iterdir()) == []
        (at.folder / "left").touch()
        seen.append((at.folder, at.around))

    go(campaign(step, around=around), **ground)
    assert len({folder for folder, _ in seen}) == 5
    assert {what for _, what in seen} == {"server"}
    assert len(ended) == 1
    assert not any(folder.exists() for folder, _ in seen)


@pytest.mark.server
@pytest.mark.parametrize("name", names())
def test_the_first_step_of_every_campaign_holds(name: str, tmp_path: Path):
    chosen = load(name)
    if not chosen.smoke:
        pytest.skip(f"too long for here: make proof-{name}")
    assert go(chosen, steps=1, budget_s=1e6, states=tmp_path, records=tmp_path).done == 1


def test_every_campaign_declares_what_it_proves():
    for name in names():
        chosen = load(name)
        assert chosen.promise.endswith(".")
        assert chosen.figures
        for pattern in chosen.proves:
            assert list(HOUSE.glob(pattern)), f"{name}: {pattern}"
