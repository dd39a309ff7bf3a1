"""Reads a device profile and checks it against the vocabulary and its protocol's tables."""

import re

from config.device import Profile, ProfileFile
from config.document import Document
from config.errors import ConfigError, Problem
from config.find import Found, find, no_such
from config.inputs import misfit
from config.kinds import Kinds
from config.later import KINDS, SAY
from config.quantity import vocabulary
from config.table import Table
from config.units import unit
from config.wording import did_you_mean

ANY = "*"
"""The row that stands for every quantity of the vocabulary, in profiles of formats that name their quantities."""
_VERB = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
NEW_QUANTITY = "A new quantity is a row there: name, unit, medium, range."


def load_profile(name: str, kinds: Kinds) -> Profile:
    """The profile of that name, the box's own first. Raises ConfigError, also if there is none."""
    file = find("devices", name)
    if file is None:
        what, repair = no_such("devices", name)
        raise ConfigError([Problem(f"{name}.toml", what, repair)])
    return read_profile(file, kinds)


def read_profile(file: Found, kinds: Kinds) -> Profile:
    """A profile out of its file. Raises ConfigError with every problem in it."""
    document = Document(file.path, file.body)
    head = document.read(ProfileFile, (), document.data)
    protocol = document.data.get("protocol")
    rows: dict[str, Table] = {}
    timing: Table | None = None
    history: Table | None = None
    commands: dict[str, Table] = {}
    status: dict[str, Table] = {}
    if isinstance(protocol, str) and _is_spoken(document, protocol, kinds):
        rows = _rows(document, kinds.row(protocol))
        timing = _single(document, "timing", protocol, kinds.timing(protocol))
        recorded = kinds.history(protocol)
        history = _single(document, "history", protocol, recorded) if "history" in document.data or recorded is None else None
        commands = _named(document, "commands", "command", protocol, kinds.command(protocol))
        status = _named(document, "status", "status", protocol, kinds.status(protocol))
    if head is None:
        document.finish()
    assert head is not None
    found = Profile(name=file.name, path=file.path, packaged=file.packaged, file=head, rows=rows, timing=timing, commands=commands,
                    status=status, history=history)
    for verb in head.before:
        if verb not in document.table(("commands",)):
            document.complain(("before",), f'before = ["{verb}"]: there is no [commands.{verb}]', "what it can be told stands there", on="value")
    for terminal, one in head.inputs.items():
        if wrong := misfit(found, terminal, one):
            document.complain(("inputs", terminal), f"inputs.{terminal}: {wrong[0]}", wrong[1])
    document.finish()
    return found


def _is_spoken(document: Document, protocol: str, kinds: Kinds) -> bool:
    spoken = kinds.names("protocols")
    if protocol in spoken:
        return True
    if protocol in KINDS["protocols"]:
        document.complain(("protocol",), f'protocol = "{protocol}" {SAY}', f"it speaks {', '.join(spoken)}", on="value")
    else:
        document.complain(("protocol",), f'protocol = "{protocol}" is not known', did_you_mean(protocol, spoken, f"known are {', '.join(spoken)}"),
                          on="value")
    return False


def _rows(document: Document, model: type[Table]) -> dict[str, Table]:
    rows = {}
    for name, raw in document.table(("quantities",)).items():
        path = ("quantities", name)
        if not isinstance(raw, dict):
            continue  # said when the file as a whole was read
        if _is_quantity(document, name):
            row = document.read(model, path, raw)
            if row is not None and _has_its_unit(document, name, row):
                rows[name] = row
    return rows


def _is_quantity(document: Document, name: str) -> bool:
    quantity, _, channel = name.partition(":")
    if name != ANY and quantity not in vocabulary():
        near = did_you_mean(quantity, vocabulary())
        document.complain(("quantities", name), f"quantities.{name} is not in quantities.toml", f"{near} {NEW_QUANTITY}".strip())
        return False
    if name.count(":") and not _CHANNEL.fullmatch(channel):
        document.complain(("quantities", name), f'quantities."{name}": "{channel}" cannot be a channel', f'as in "{quantity}:10cm"')
        return False
    return True


def _has_its_unit(document: Document, name: str, row: Table) -> bool:
    """Rows give values in the quantity's own unit (some may leave it out); `scale` is there to convert."""
    written = getattr(row, "unit", None)
    if name == ANY or not isinstance(written, str) or not written:
        return True
    wanted = vocabulary()[name.partition(":")[0]].unit
    if unit(written) == wanted:
        return True
    repair = f'"{wanted}", with scale = … if it has to be converted'
    document.complain(("quantities", name, "unit"), f'unit "{written}": {name} is in {wanted} here', repair, on="value")
    return False


def _single(document: Document, section: str, protocol: str, model: type[Table] | None) -> Table | None:
    """The table [section], if the protocol knows it."""
    raw = document.table((section,))
    if model is not None:
        return document.read(model, (section,), raw)
    if raw:
        document.complain((section,), f"[{section}] is nothing that {protocol} knows", "leave it out")
    return None


def _named(document: Document, section: str, what: str, protocol: str, model: type[Table] | None) -> dict[str, Table]:
    """The tables [section.NAME] that are right."""
    raw = document.table((section,))
    if raw and model is None:
        document.complain((section,), f"[{section}] is nothing that {protocol} knows", "leave it out")
        return {}
    found = {}
    for name, table in raw.items():
        path = (section, name)
        if not _VERB.fullmatch(name):
            document.complain(path, f'{section}."{name}": a {what} is written in a-z 0-9 _', f"as in [{section}.clean]")
        elif isinstance(table, dict) and model is not None and (one := document.read(model, path, table)) is not None:
            found[name] = one
    return found
