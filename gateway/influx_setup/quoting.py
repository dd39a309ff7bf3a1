"""Names and texts inside InfluxQL and Flux. Whatever a name holds, it stays that name and nothing else."""

from config.errors import Halted


def name(text: str) -> str:
    r"""An identifier of InfluxQL. Raises Halted for what InfluxQL cannot write: line feeds and control characters.

    >>> print(name('eco'), name('a "b"; DROP DATABASE x'))
    "eco" "a \"b\"; DROP DATABASE x"
    """
    return '"' + _plain(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def flux_text(text: str) -> str:
    r"""A string of Flux, where `${…}` would be reckoned out. Raises Halted for control characters.

    >>> print(flux_text('stations'), flux_text('a"b${secrets.get(key: "x")}'))
    "stations" "a\"b\${secrets.get(key: \"x\")}"
    """
    return '"' + _plain(text).replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'


def _plain(text: str) -> str:
    if not text.isprintable():
        raise Halted(f"the name {text!r} holds characters that cannot be written in a query; rename it")
    return text
