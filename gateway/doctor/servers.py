"""Where readings and messages go: reachable, logged in, and with what is needed there."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from config.errors import Halted, Unavailable
from config.reading_site import SiteFile
from gateway.building import Builder
from gateway.checking.forecast import secret_names
from gateway.checking.live_check import login
from gateway.doctor.box import may_see_secrets
from gateway.doctor.finding import Finding


def servers(file: SiteFile) -> Iterator[Finding]:
    """Every sink and recipient, side by side: a server that does not answer takes its time."""
    site, builder = file.site, Builder(file)
    work: list[Callable[[], list[Finding]]] = []
    for name, sink in site.sinks.items():
        if list(secret_names(sink.options)) and not may_see_secrets():
            work.append(partial(_not_tried, f"sink {name}"))
        else:
            work.append(partial(_sink, file, builder, name))
    for to in dict.fromkeys(to for subscription in site.subscriptions.values() for to in subscription.to):
        if list(secret_names(site.channels[to.partition(":")[0]].options)) and not may_see_secrets():
            work.append(partial(_not_tried, f"recipient {to}"))
        else:
            work.append(partial(_recipient, builder, to))
    with ThreadPoolExecutor(max(1, len(work))) as pool:
        for future in [pool.submit(job) for job in work]:
            yield from future.result()


def _not_tried(name: str) -> list[Finding]:
    return [Finding("yellow", name, "not tried: only root may read its secret", "sudo ecosentry doctor")]


def _recipient(builder: Builder, to: str) -> list[Finding]:
    [tried] = login("recipient", to, partial(builder.channel, to))
    return [Finding("ok" if tried.good else "red", f"recipient {to}", tried.words)]


def _sink(file: SiteFile, builder: Builder, name: str) -> list[Finding]:
    [tried] = login("sink", name, partial(builder.sink, name))
    found = [Finding("ok" if tried.good else "red", f"sink {name}", tried.words)]
    if file.site.sinks[name].kind == "influxdb" and (tried.good or "has no " in tried.words):
        found += _set_up(file, name, is_there=tried.good)
    return found


def _set_up(file: SiteFile, name: str, *, is_there: bool) -> list[Finding]:
    """Would `ecosentry influx setup` have something to do? Without `keep` and with a database that takes writes it is not asked."""
    from gateway.influx_setup.command import planned

    if is_there and getattr(file.site.sinks[name].options, "keep", None) is None:
        return []
    try:
        plan, server = planned(file, name)
        server.close()
    except (Unavailable, Halted) as error:
        return [Finding("yellow", f"setup {name}", f"could not look whether retention is set: {error}")]
    if plan.steps:
        first = plan.steps[0].what.partition(":  ")[0]
        more = f", and {len(plan.steps) - 1} more" if len(plan.steps) > 1 else ""
        return [Finding("yellow" if is_there else "red", f"setup {name}", f"is to be done: {first}{more}", f"ecosentry influx setup {name}")]
    return [Finding("ok", f"setup {name}", "nothing to do")]
