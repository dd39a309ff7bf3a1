"""Asked devices that sleep between measurements, or whose supply is switched; see drivers.resting."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from config.errors import DeviceError
from config.series import Reason, Series
from drivers.driver import Asked, Group, Pause, Trouble, Wire
from drivers.duty import ALWAYS, NEVER_NS, Cycle
from drivers.order import Obeys, Order, Outcome, Verb
from drivers.reading import Batch, Stamp
from drivers.resting import AGAIN_NS, SleepsWhenAsked, Standing, Switch, marked, missing

_LOOK_NS = 250_000_000
"""What is under way is looked at so often."""


class RestingAsked:
    """See Asked and Rests: a device that is asked only while it is awake."""

    def __init__(self, driver: Asked, cycle: Cycle, switch: Switch | None = None) -> None:
        """Without a `switch` the driver is one that SleepsWhenAsked. Raises ValueError if it is not."""
        if switch is None and not isinstance(driver, SleepsWhenAsked):
            raise ValueError("it knows no command for sleep; give it a switched supply")
        self._driver, self._cycle, self._switch = driver, cycle, switch
        self._told: Reason | None = None
        self._tries = 0
        every_s = cycle.duty.every_s
        self._groups = tuple(replace(group, expected_s=every_s) if every_s else group for group in driver.groups())

    def groups(self) -> tuple[Group, ...]:
        """See Asked: polled at its own pace while it is awake."""
        return self._groups

    def poll(self, group: Group, wire: Wire) -> Batch | Pause:
        """See Asked. One that wakes by command is woken by the first poll, so that a failure is one of this poll."""
        if self._switch is None and self._cycle.is_awake is not True:
            self._slumber().wake(wire)
            self._cycle.told(wire.clock.now(), awake=True)
        return self._reasoned(self._driver.poll(group, wire))

    def attend(self, wire: Wire | None, now: Stamp) -> Standing:
        """See Rests."""
        wanted = self._cycle.wants_awake(now)
        look_ns, trouble = self._switched(now, wanted) if self._switch is not None else self._laid(wire, now, wanted)
        is_up = wanted and (self._switch is None or self._cycle.is_awake is True)
        until_ns = min(self._cycle.next_ns(now), look_ns)
        if is_up:
            self._told = None
            is_ready = not self._cycle.duty.ready_s or self._cycle.is_ready(now)
            return Standing("ready" if is_ready else "warming", until_ns, own_pace=self._cycle.duty.every_s > 0)
        reason = Reason.POWER if trouble and self._switch is not None else Reason.RESTING
        tells, self._told = reason != self._told, reason
        return Standing("asleep", until_ns, self._cycle.duty.every_s > 0, missing(self._series(), now, reason) if tells else None, trouble)

    def unrested(self) -> tuple[Asked, bool]:
        """See Rests."""
        return (self._driver, True) if self._switch is not None else (RestingAsked(self._driver, Cycle(ALWAYS)), False)

    def _switched(self, now: Stamp, wanted: bool) -> tuple[int, Trouble | None]:
        """Its supply is told; gives when to look again, and what is wrong with it."""
        assert self._switch is not None
        self._switch.turn(wanted)
        if self._switch.is_on is wanted:
            self._cycle.told(now, wanted)
            return NEVER_NS, None
        return now.mono_ns + _LOOK_NS, self._switch.trouble

    def _laid(self, wire: Wire | None, now: Stamp, wanted: bool) -> tuple[int, Trouble | None]:
        """Put to sleep by command; one that does not hear it is told again, ever more rarely."""
        if wire is None:
            self._cycle.forget()
        elif wanted:
            self._tries = 0
            return (NEVER_NS if self._cycle.is_awake else now.mono_ns + _LOOK_NS), None
        elif self._cycle.is_awake is not False:
            try:
                self._slumber().sleep(wire)
                self._cycle.told(wire.clock.now(), awake=False)
            except DeviceError as fault:
                self._cycle.forget()
                self._tries += 1
                return now.mono_ns + AGAIN_NS * 2 ** min(self._tries, 10), Trouble("sleep", f"it does not go to sleep: {fault}")
        return NEVER_NS, None

    def _slumber(self) -> SleepsWhenAsked:
        assert isinstance(self._driver, SleepsWhenAsked)
        return self._driver

    def _series(self) -> Iterable[Series]:
        return dict.fromkeys(series for group in self._groups for series in group.series)

    def _reasoned(self, outcome: Batch | Pause) -> Batch | Pause:
        if isinstance(outcome, Pause):
            then = outcome.then
            return Pause(outcome.for_s, lambda later: self._reasoned(then(later)))
        return marked(outcome, self._cycle.reason(outcome.stamp))


class RestingObedient(RestingAsked):
    """One that may be told something as well. See Obeys; while it sleeps an order finds nobody and has failed."""

    def __init__(self, driver: Asked, cycle: Cycle, switch: Switch | None = None) -> None:
        """Raises ValueError as RestingAsked, and if the driver obeys nothing."""
        super().__init__(driver, cycle, switch)
        if not isinstance(driver, Obeys):
            raise ValueError("it obeys nothing")
        self._obedient: Obeys = driver

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """See Obeys."""
        return self._obedient.verbs

    def check(self, order: Order) -> None:
        """See Obeys."""
        self._obedient.check(order)

    def obey(self, order: Order, wire: Wire) -> Outcome:
        """See Obeys."""
        return self._obedient.obey(order, wire)
