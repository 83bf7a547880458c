"""Which absences to believe.

Why: a restarted Nacos says "no instances" first, every time, and then returns them one by one. An app that believes
it has nobody left to call, while every provider is up. The opposite, holding on for ever, calls machines that are
gone. So a doubtful absence is *held*: the endpoint stays in use while a connect proves that it is there, and each
hold has an end.

Trip conditions: an empty list (`on_empty: hold`) · a list that gives us fewer addresses than were in use when the
doubt began, by more than `shrink_threshold` (absent and called unhealthy count alike; ten exchanged for ten others is
no shrink) · anything missing within 60 s of a (re)connect. A threshold of 1.0 switches the last two off.

Recovery, endpoint by endpoint: it is listed again (restored) · a connect fails (gone) · the registry has said the
same for `confirm`, in two answers or more, and the second node, where there is one, misses it too at that moment
(confirmed; a node that never answers is none; one node's word alone is never enough for an empty list, nor for what a
partial list after it still misses) · the list for administrators shows that it is switched off, an order and no absence
(confirmed, at once) · `max_hold` is over, on a clock that stands still while the registry cannot be asked (expired) · the
operator says so (obeyed). What the second node still lists stays held: it may lag, or keep ghosts, and `max_hold` ends
that too.

By order of the operator all of this stands aside for a while: whatever a list misses is held, even what refuses, and
nothing is let go but what is listed again. Afterwards each hold ends as it would have, from when it began.

On first start: the list on disk is in force first and the first push is judged against it, within the 60 s. Where
there is nothing to lose, nothing is doubted.
"""

import enum
import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sidecar.cluster.opinion import SecondOpinion, Verdict
from sidecar.cluster.policy import OnEmpty, Protection
from sidecar.cluster.stoppable_clock import StoppableClock

RECONNECT_DOUBT = 60.0
"""Seconds of doubt after a (re)connect: providers re-register with a restarted server within 2 to 20 s (measured with
Java and Python clients), or on their next 30 s round when they miss the first."""

ANSWERS_TO_CONFIRM = 2
"""A single answer, however old, may be the false one."""


class Doubt(enum.Enum):
    """What the guard thinks of the list; the value is the `why` that operators read."""

    TRUSTING = "none"
    SHRUNK = "shrink"
    EMPTY = "empty"


class Input(enum.Enum):
    """What happens to the guard."""

    PLAUSIBLE = "a list that keeps enough"
    SHRUNK = "a list that lost too much, or anything right after a connect"
    EMPTY = "an empty list"
    REPEATED = "the same word for long enough, and no second node to ask, or none that answers"
    AGREED = "the same word for long enough, and some are missing on the second node too"
    EXPIRED = "max_hold is over for some"
    OBEYED = "the operator believes the registry"
    RELEASED = "the last held one was listed again or is gone"


class Action(enum.Enum):
    """What becomes of those that the list misses."""

    APPLY = "they leave; those held before stay held"
    HOLD = "they are held"
    LET_GO = "all that is held leaves"
    LET_GO_AGREED = "those leave that the second node misses too"
    LET_GO_OVERDUE = "those over max_hold leave"
    KEEP = "nothing changes"


_T, _S, _E = Doubt.TRUSTING, Doubt.SHRUNK, Doubt.EMPTY

TRANSITIONS: Mapping[tuple[Doubt, Input], tuple[Doubt, Action]] = MappingProxyType(
    {
        (_T, Input.PLAUSIBLE): (_T, Action.APPLY),
        (_T, Input.SHRUNK): (_S, Action.HOLD),
        (_T, Input.EMPTY): (_E, Action.HOLD),
        (_S, Input.PLAUSIBLE): (_S, Action.APPLY),
        (_S, Input.SHRUNK): (_S, Action.HOLD),
        (_S, Input.EMPTY): (_E, Action.HOLD),
        (_S, Input.REPEATED): (_T, Action.LET_GO),
        (_S, Input.AGREED): (_S, Action.LET_GO_AGREED),
        (_S, Input.EXPIRED): (_S, Action.LET_GO_OVERDUE),
        (_S, Input.OBEYED): (_T, Action.LET_GO),
        (_S, Input.RELEASED): (_T, Action.KEEP),
        (_E, Input.PLAUSIBLE): (_E, Action.APPLY),
        (_E, Input.SHRUNK): (_E, Action.HOLD),  # a partial list after an empty one
        (_E, Input.EMPTY): (_E, Action.HOLD),
        (_E, Input.REPEATED): (_E, Action.KEEP),  # one node's word is not enough for "nobody"
        (_E, Input.AGREED): (_E, Action.LET_GO_AGREED),
        (_E, Input.EXPIRED): (_E, Action.LET_GO_OVERDUE),
        (_E, Input.OBEYED): (_T, Action.LET_GO),
        (_E, Input.RELEASED): (_T, Action.KEEP),
    }
)

IMPOSSIBLE = frozenset((_T, i) for i in (Input.REPEATED, Input.AGREED, Input.EXPIRED, Input.OBEYED, Input.RELEASED))
"""While trusting nothing is held that could end."""


class End(enum.Enum):
    """How a hold ends; the words of `sidecar_registry_holds_ended_total`."""

    RESTORED = "restored"
    GONE = "gone"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    OBEYED = "obeyed"


class Proof(enum.Enum):
    """What showed that a held endpoint is there."""

    PROBE = "probe"
    CONNECT = "connect"
    ANSWER = "answer"


class Hold:
    """One endpoint kept against the list."""

    __slots__ = ("began", "next_probe", "proof", "refused", "started")

    def __init__(self, began: float, started: float) -> None:
        self.began = began
        """Loop time, seconds."""
        self.started = started
        """Seconds on the guard's own clock, which stands still while the registry cannot be asked."""
        self.next_probe = began
        self.refused = False
        """Its last connect failed, and only the operator's order keeps it."""
        self.proof: Proof | None = None
        """What has shown since then that it is there."""

    def __repr__(self) -> str:
        return f"<Hold {'refused' if self.refused else 'alive' if self.alive else 'unproven'}>"

    @property
    def alive(self) -> bool:
        """Something has shown that it is there."""
        return self.proof is not None

    def seen(self, proof: Proof) -> bool:
        """It is there; True when that was not known."""
        if self.proof is not None:
            return False
        self.proof, self.refused = proof, False
        return True

    def refuse(self) -> None:
        """A connect failed."""
        self.proof, self.refused = None, True


@dataclass(frozen=True, slots=True)
class Offer:
    """One list seen from the addresses in use (held ones among them)."""

    listed: frozenset[str]
    """Every address on it."""
    offered: frozenset[str]
    """Those of them that it gives us for use."""
    in_use: frozenset[str]
    """Addresses in use so far."""
    off: frozenset[str] = frozenset()
    """Listed and switched off, which is an order: never doubted."""
    refusing: frozenset[str] = frozenset()
    """In use so far, but their last connect failed: their absence is no matter of doubt."""
    lost: frozenset[str] = field(init=False)
    """In use so far and, as far as the list goes, no more: absent, or called unhealthy."""
    missing: frozenset[str] = field(init=False)
    """Those of them whose absence may be doubted."""

    def __post_init__(self) -> None:
        lost = self.in_use - self.offered - self.off
        object.__setattr__(self, "lost", lost)
        object.__setattr__(self, "missing", lost - self.refusing)


class Guard:
    """Judges one service's lists and keeps the holds: `{address: Hold}`."""

    def __init__(self, policy: Protection, now: float) -> None:
        self.policy = policy
        self.doubt = Doubt.TRUSTING
        self.held: dict[str, Hold] = {}
        """Oldest first."""
        self.since: float | None = None
        self.ordered_until = -math.inf
        """Until when the operator refuses all removals, loop time."""
        self._second = SecondOpinion()
        self._clock = StoppableClock(now)
        self._doubt_until = -math.inf
        self._baseline = 0
        self._answers = 0
        self._changed_at = 0.0
        self._list_at = -math.inf
        """When the list in force came, or the session under which it stands; loop time."""

    def __repr__(self) -> str:
        return f"<Guard {self.doubt.value}, {len(self.held)} held>"

    def update_policy(self, policy: Protection, now: float) -> dict[str, End]:
        """Another policy; what is held goes where this one, and not the one before, would have had no such doubt."""
        before, self.policy = self.policy, policy
        if self.doubt is Doubt.EMPTY:
            believes = policy.on_empty is OnEmpty.OBEY is not before.on_empty
        else:
            believes = before.shrink_threshold < 1.0 <= policy.shrink_threshold
        return self._let_go(now) if believes and now >= self.ordered_until else {}

    def connected(self, now: float, *, second_node: bool = False) -> None:
        """A registry session opened: its first lists may be partial. `second_node`: there is another one to ask."""
        self._clock.start(now)
        self._doubt_until = now + RECONNECT_DOUBT
        self._second.available = second_node
        self._begin_anew(now)

    def disconnected(self, now: float) -> None:
        """The registry cannot be asked: holds do not age."""
        self._clock.stop(now)

    def judge(self, offer: Offer, now: float) -> tuple[Input, dict[str, End]]:
        """Takes a list that differs from the last one: what it is, and which holds it ends.

        Afterwards `held` names all that the list misses and that stays; what it misses besides has left.
        """
        ended: dict[str, End] = {}
        ordered = now < self.ordered_until
        verdict = self._classify_ordered(offer) if ordered else self._classify(offer, now)
        if verdict is Input.PLAUSIBLE and not offer.listed and self.held:
            ended |= self._let_go(now)  # on_empty: obey
        if self.doubt is _T:
            self._baseline = len(offer.in_use)
        action = self._move(verdict, now)
        believed = offer.offered | offer.off if action is Action.HOLD else offer.listed
        ended |= self._end(self.held.keys() & believed, End.RESTORED)
        if action is Action.HOLD:
            self._hold(offer.lost if ordered else offer.missing, offer.refusing, now)
        self._answers, self._changed_at = 1, self._clock.read(now)
        self._begin_anew(now)
        self._release_if_empty(now)
        return verdict, ended

    def same_answer(self) -> None:
        """The registry said once more what it said last."""
        self._answers += 1

    def second_answer(self, offered: frozenset[str], asked_at: float) -> Verdict | None:
        """Another node, asked at `asked_at`, gives these addresses for use; its verdict when that is news."""
        if not (self.held and self._needs_second and self._second.answered(offered, asked_at)):
            return None
        return self._second.news(self.held)

    def second_silent(self, asked_at: float) -> bool:
        """Nobody else, asked at `asked_at`, answered anything; True when from now on there is no second node."""
        return bool(self.held) and self._needs_second and self._second.unanswered(asked_at)

    def missed_twice(self) -> frozenset[str]:
        """Held ones that the second node misses too, by its newest answer."""
        return self._second.missed(self.held)

    def switched_off(self, addresses: Collection[str], asked_at: float, now: float) -> dict[str, End]:
        """A list for administrators, asked for at `asked_at`, shows these switched off: they leave, ordered or not."""
        if asked_at < self._list_at:
            return {}
        ended = self._end(self.held.keys() & addresses, End.CONFIRMED)
        self._release_if_empty(now)
        return ended

    def gone(self, address: str, now: float) -> dict[str, End]:
        """A connect to a held endpoint failed."""
        if now < self.ordered_until:
            if (hold := self.held.get(address)) is not None:
                hold.refuse()
            return {}
        ended = self._end({address} & self.held.keys(), End.GONE)
        self._release_if_empty(now)
        return ended

    def obey(self, now: float) -> dict[str, End]:
        """The operator believes the list: lets go of everything that is held, and of an order to hold."""
        self.ordered_until = -math.inf
        return self._let_go(now)

    def order(self, until: float) -> None:
        """The operator refuses all removals until then; a later order replaces an earlier one."""
        self.ordered_until = until

    def tick(self, now: float) -> dict[str, End]:
        """Ends the holds whose time is over."""
        if not self.held or now < self.ordered_until:
            return {}
        ended = self._end(self._refused(), End.GONE)
        self.ordered_until = -math.inf
        ended |= self._ripe(now) if self.held else {}
        self._release_if_empty(now)
        return ended

    def next_due(self, now: float) -> float:
        """When `tick` will have something to do; infinite when nothing is held or the clock stands still."""
        if not self.held:
            return math.inf
        if self.ordered_until > -math.inf:
            return max(now, self.ordered_until)
        if not self._clock.running:
            return math.inf
        soonest = self._expires_in(next(iter(self.held.values())), now)
        if self._confirmable():
            soonest = min(soonest, self._confirm_in(now))
        return now + max(0.0, soonest)

    def until(self, hold: Hold, now: float) -> float | None:
        """When this hold ends at the latest; None while the clock stands still."""
        return max(now + self._expires_in(hold, now), self.ordered_until) if self._clock.running else None

    def _classify(self, offer: Offer, now: float) -> Input:
        threshold = self.policy.shrink_threshold
        if not offer.missing:
            return Input.PLAUSIBLE
        if not offer.listed:
            return Input.EMPTY if self.policy.on_empty is OnEmpty.HOLD else Input.PLAUSIBLE
        before = self._baseline if self.held else len(offer.in_use)
        if before - len(offer.offered) > threshold * before:
            return Input.SHRUNK
        fresh = threshold < 1.0 and now < self._doubt_until
        return Input.SHRUNK if fresh and offer.missing - offer.listed else Input.PLAUSIBLE

    def _classify_ordered(self, offer: Offer) -> Input:
        """By order whatever is lost is doubted; an empty list, only where the policy doubts it by itself, for good."""
        if not offer.lost:
            return Input.PLAUSIBLE
        empty = not offer.listed and self.policy.on_empty is OnEmpty.HOLD
        return Input.EMPTY if empty else Input.SHRUNK

    @property
    def _needs_second(self) -> bool:
        return self.policy.second_opinion and self._second.available

    @property
    def _repeated(self) -> Input:
        """What it is when the registry has said the same for `confirm`."""
        return Input.AGREED if self._needs_second and not self._second.silent else Input.REPEATED

    def _confirmable(self) -> Collection[str]:
        """Whom that would let go."""
        match TRANSITIONS[self.doubt, self._repeated][1]:
            case Action.LET_GO:
                return self.held.keys()
            case Action.LET_GO_AGREED:
                return self.missed_twice()
            case _:
                return ()

    def _ripe(self, now: float) -> dict[str, End]:
        ended = {}
        if self._confirm_in(now) <= 0 and (confirmed := self._confirmable()):
            self._move(self._repeated, now)
            ended = self._end(confirmed, End.CONFIRMED)
        overdue = self._overdue(now)
        if overdue:
            self._move(Input.EXPIRED, now)
            ended |= self._end(overdue, End.EXPIRED)
        return ended

    def _refused(self) -> list[str]:
        """Those that only an order has kept."""
        if self.ordered_until == -math.inf:
            return []
        return [address for address, hold in self.held.items() if hold.refused]

    def _overdue(self, now: float) -> list[str]:
        held = itertools.takewhile(lambda one: self._expires_in(one[1], now) <= 0, self.held.items())
        return [address for address, _ in held]

    def _move(self, happened: Input, now: float) -> Action:
        before = self.doubt
        self.doubt, action = TRANSITIONS[before, happened]
        if self.doubt is _T:
            self.since = None
        elif before is _T:
            self.since = now
        return action

    def _begin_anew(self, now: float) -> None:
        """What was asked before says nothing of the list that is in force now."""
        self._list_at = now
        self._second.begin_anew(now)

    def _hold(self, addresses: frozenset[str], refusing: frozenset[str], now: float) -> None:
        """They may be thousands, in one step of the event loop."""
        started = self._clock.read(now)
        news = addresses - self.held.keys()
        self.held |= {address: Hold(now, started) for address in news}
        for address in news & refusing:
            self.held[address].refused = True

    def _let_go(self, now: float) -> dict[str, End]:
        if not self.held:
            return {}
        self._move(Input.OBEYED, now)
        return self._end(self.held.keys(), End.OBEYED)

    def _end(self, addresses: Iterable[str], end: End) -> dict[str, End]:
        ended = dict.fromkeys(addresses, end)
        for address in ended:
            del self.held[address]
        return ended

    def _release_if_empty(self, now: float) -> None:
        if not self.held and self.doubt is not _T:
            self._move(Input.RELEASED, now)

    def _confirm_in(self, now: float) -> float:
        """Seconds until the same word has stood for `confirm`; infinite before the second answer, and while it cannot be had."""
        if self._answers < ANSWERS_TO_CONFIRM or not self._clock.running:
            return math.inf
        return self.policy.confirm - (self._clock.read(now) - self._changed_at)

    def _expires_in(self, hold: Hold, now: float) -> float:
        return self.policy.max_hold - (self._clock.read(now) - hold.started)
