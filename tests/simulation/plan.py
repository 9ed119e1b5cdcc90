"""What is going to go wrong in one run: made from the seed alone, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

ROLES = ("boss", "tsp", "sandbox", "ppp")
DEBIT = (6, 8)
"""Last digits of the seeds with debit and credit cards. The others, which have found what is kept, stay as they were."""
NIGHTS = (0,)
"""Those after which some nights are lived through, with what is exchanged and compared then."""
CASH = (8,)
"""Of those the ones in which somebody's card has electronic cash, which pays by itself and is loaded from its account."""


@dataclass(frozen=True, slots=True)
class Links:
    """How bad a way through the network is; probabilities for each message."""

    lost: float = 0.0
    answer_lost: float = 0.0
    reset: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A box is cut off from the moment at which it sends something that matters.

    Attributes:
        at: the last part of the path of what it sends.
        arrives: its requests do arrive, only nothing comes back.
    """

    at: str
    seconds: float
    arrives: bool


@dataclass(frozen=True, slots=True)
class Kill:
    """A role is killed at one of its durable writes, or at an instant.

    Attributes:
        at_write: the how-manieth write since the start of the run; None: at ``at_s``.
        after: once the write is on the disk, before anybody hears of it; otherwise instead of it.
        down_s: how long it is away.
    """

    role: str
    at_write: int | None
    at_s: float
    after: bool
    down_s: float


@dataclass(slots=True)
class BoxPlan:
    """What happens to one box and its slot.

    Attributes:
        cuts: the power goes at so many blocking points since it came back, each time; then it is off for so long.
        disk_cuts: the same at so many operations on its disk.
        pulls: the card leaves at the how-manieth APDU; True: the command is carried out, its answer lost.
        at_debit: what happens at the how-manieth DEBIT: the card is pulled or the power goes, before or after it. Of electronic
            cash at the how-manieth cryptogram, or command that changes its balance.
        full_disk: writes that find no room.
        old_key: its key is so old that it is changed at the next start.
        rotations: instants at which somebody switches it off and runs ``stb-app rotate-key``.
        at_keys: the power goes as a new key is told to the TSP, before (False) or after.
    """

    cuts: list[tuple[int, float]] = field(default_factory=list)
    disk_cuts: list[tuple[int, float]] = field(default_factory=list)
    pulls: dict[int, bool] = field(default_factory=dict)
    at_debit: dict[int, tuple[str, bool]] = field(default_factory=dict)
    full_disk: set[int] = field(default_factory=set)
    old_key: bool = False
    rotations: list[float] = field(default_factory=list)
    at_keys: list[bool] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """Everything that goes wrong in one run."""

    psams: int = 2
    tsps: int = 1
    """Processes of the TSP on one database."""
    box_link: Links = field(default_factory=Links)
    partner_link: Links = field(default_factory=Links)
    outage: Outage | None = None
    late_init: bool = False
    """The request for MAC1 arrives when the box does not wait for it any more."""
    kills: list[Kill] = field(default_factory=list)
    boxes: list[BoxPlan] = field(default_factory=list)
    steps: list[tuple[float, str, float]] = field(default_factory=list)
    """Instant, whose clock (a role, or box 0, 1 ...), by how many seconds."""
    psam_before: float = 0.0
    psam_after: float = 0.0
    server_disk_full: float = 0.0
    debit: bool = False
    """The people's own cards are debit and credit cards, and PPP is there."""
    cash: bool = False
    """The first of these cards has electronic cash."""
    nights: bool = False
    """After the run come nights in which days are told and compared."""
    cupboard: bool = False
    """The first box loses its power with the last fault, and comes back when a person has decided about what it left open."""
    ppp_link: Links = field(default_factory=Links)
    late_sale: bool = False
    """A sale comes to PPP when it has been reversed."""
    postgresql: bool = False
    """Databases are at the other end of a connection, and other processes at the same tables."""
    collisions: float = 0.0
    """Of each transaction on PostgreSQL: that it collides with another, or its connection breaks before its commit."""
    lost_commits: float = 0.0
    """That the answer to a commit is lost; whether it was carried out is even."""
    database_away: tuple[float, float] | None = None
    """From when, and for how many seconds, no connection can be had."""
    server_rotations: tuple[float, ...] = ()
    """Instants of ``stb-server rotate-key``."""
    away_s: float = 0.0
    """The first box loses its power and comes back after hours or days."""


def make(seed: int) -> Plan:
    """The plan of a seed. Each kind of fault is in about a third of all runs, so that they meet in all ways."""
    random = Random(f"plan {seed}")
    plan = Plan(psams=random.choice((1, 2, 2)))
    plan.boxes = [BoxPlan() for _ in range(1 if random.random() < 0.65 else 2)]

    def some(probability: float = 0.35) -> bool:
        return random.random() < probability

    if some():
        plan.box_link = _links(random)
    if some():
        plan.partner_link = _links(random)
    if some(0.5):
        for _ in range(random.randint(1, 3)):
            role = random.choice(("tsp", "tsp", "boss", "sandbox"))
            write = random.randint(1, 30 if role == "tsp" else 6) if some(0.8) else None
            down_s = random.choice((0.2, 2.0, 12.0, 40.0)) * random.uniform(0.5, 1.5)
            plan.kills.append(Kill(role, write, random.uniform(0, 60), some(0.5), down_s))
    for box in plan.boxes:
        if some():
            box.cuts = [
                (random.randint(1, 90), random.uniform(1, 60)) for _ in range(random.choice((1, 1, 2)))
            ]
        if some(0.15):
            box.disk_cuts = [(random.randint(1, 24), random.uniform(1, 30))]
        if some():
            count = random.choice((1, 1, 2))
            # A payment takes about ten APDUs; the sixth to tenth are those that matter most.
            box.pulls = {random.randint(1, 24): some(0.5) for _ in range(count)}
        if some():
            # The instant at which nobody but the card knows: it deserves more than its share.
            box.at_debit = {random.choice((1, 1, 2)): (random.choice(("pull", "pull", "cut")), some(0.5))}
        if some(0.12):
            box.full_disk = {random.randint(1, 4) for _ in range(2)}
    if some(0.2):
        for _ in range(random.randint(1, 2)):
            who = random.choice(("tsp", "boss", "sandbox", "box"))
            by_s = random.choice((-3600, -240, -5, 5, 240, 400, 3600))
            if who == "box" and some():
                by_s = random.choice((40, -40)) * 86400
            plan.steps.append((random.uniform(0, 60), who, by_s))
    if some(0.2):
        plan.psam_before, plan.psam_after = random.choice(((0.1, 0.0), (0.0, 0.1), (0.1, 0.1)))
    if some(0.1):
        plan.server_disk_full = 0.03
    if some(0.15):
        plan.tsps = 2
    if some(0.15):
        at = random.choice(("init", "init", "debit", "not-debited", "cancel"))
        plan.outage = Outage(at, random.choice((8.0, 25.0, 60.0, 150.0)), some(0.6))
    plan.late_init = some(0.08)
    _more(plan, Random(f"more of plan {seed}"))
    if seed % 10 in DEBIT:
        _debit(plan, Random(f"debit in plan {seed}"))
    plan.nights = seed % 10 in NIGHTS
    if seed % 10 in CASH:
        _cash(plan, Random(f"cash in plan {seed}"))
    return plan


def _debit(plan: Plan, random: Random) -> None:
    """Cards that ask their issuer: what goes wrong on the line, at PPP, and while the card has its last word."""
    plan.debit = True
    if random.random() < 0.6:
        plan.ppp_link = _links(random)
    plan.late_sale = random.random() < 0.15
    for role, last in (("ppp", 6), ("tsp", 14)):
        if random.random() < 0.3:
            down_s = random.choice((2.0, 12.0, 40.0, 90.0))
            plan.kills.append(Kill(role, random.randint(1, last), 0.0, random.random() < 0.5, down_s))
    for box in plan.boxes:
        if random.random() < 0.3:
            # The first GENERATE AC, and what comes after the issuer's answer.
            box.pulls[random.randint(11, 17)] = random.random() < 0.5


def _cash(plan: Plan, random: Random) -> None:
    """Electronic cash: what goes wrong as it leaves the card, or comes onto it."""
    plan.cash = True
    box = plan.boxes[0]
    if random.random() < 0.4:
        # A payment is one of these moments, a load three: two cryptograms, and the issuer's script.
        moments = random.sample(range(1, 8), random.choice((1, 1, 2)))
        box.at_debit = {at: (random.choice(("pull", "pull", "cut")), random.random() < 0.5) for at in moments}
    if random.random() < 0.3:
        box.pulls = {random.randint(10, 60): random.random() < 0.5 for _ in range(2)}
    plan.cupboard = random.random() < 0.4
    if plan.cupboard and random.random() < 0.7:
        # Its card has paid, and nobody has heard of it.
        plan.outage = Outage("certificate", 600.0, random.random() < 0.2)
    elif plan.cupboard:
        box.at_debit = {1: ("pull", random.random() < 0.7)}


def _more(plan: Plan, random: Random) -> None:
    """Keys, PostgreSQL, and what comes after hours."""

    def some(probability: float) -> bool:
        return random.random() < probability

    if some(0.3):
        plan.postgresql = True
        plan.collisions = random.choice((0.0, 0.1, 0.3))
        plan.lost_commits = random.choice((0.0, 0.05))
        if some(0.2):
            plan.database_away = (random.uniform(0, 60), random.choice((3.0, 15.0, 40.0)))
        if some(0.3):
            plan.tsps = 2
    for box in plan.boxes:
        box.old_key = some(0.12)
        if some(0.1):
            box.rotations = sorted(random.uniform(1, 90) for _ in range(random.choice((1, 1, 2))))
        if (box.old_key or box.rotations) and some(0.5):
            box.at_keys = [some(0.5) for _ in range(random.choice((1, 1, 2)))]
    if any(box.old_key or box.rotations for box in plan.boxes) and some(0.25):
        plan.outage = Outage("keys", random.choice((8.0, 60.0, 150.0)), some(0.7))
    if some(0.12):
        plan.server_rotations = tuple(random.uniform(0, 90) for _ in range(random.choice((1, 2))))
    if some(0.1):
        plan.away_s = random.choice((2.5, 26.0, 26.0, 40 * 24.0)) * 3600
        if not plan.boxes[0].cuts:
            plan.boxes[0].cuts = [(random.randint(1, 90), 1.0)]
    if plan.server_rotations and some(0.5):
        plan.tsps = 2
    if any(box.old_key for box in plan.boxes) and some(0.3):
        # The first durable writes of the run are those of the change of key.
        plan.kills.append(
            Kill(random.choice(("tsp", "tsp", "boss")), random.randint(0, 3), 0.0, some(0.5), 40.0)
        )


def _links(random: Random) -> Links:
    def share(most: float) -> float:
        return random.choice((0.0, random.uniform(0, most)))

    return Links(share(0.3), share(0.3), share(0.2), share(0.4), share(0.2))
