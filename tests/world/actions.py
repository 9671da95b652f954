"""What an entry of a plan does to the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from .disk import Fault
from .plan import Entry
from .redis_server import Trap
from .weather import Spell

if TYPE_CHECKING:
    from .process import Process
    from .world import World

Does: TypeAlias = "Callable[[World, Entry], None]"
ACTIONS: dict[str, Does] = {}
DAY = 86_400.0


def action(does: Does) -> Does:
    """Let plans name it."""
    ACTIONS[does.__name__] = does
    return does


def on_process(does: Callable[[World, Process, Entry], None]) -> Does:
    """Let plans name it; it is done to the process in a slot, if one lives there and has begun."""

    def to_slot(world: World, entry: Entry) -> None:
        process = world.slots.get(entry.slot)
        if process is not None and process.is_alive and process.is_running and not process.is_ending:
            does(world, process, entry)

    ACTIONS[does.__name__] = to_slot
    return to_slot


# --- processes ---


@action
def start(world: World, entry: Entry) -> None:
    there = world.slots.get(entry.slot)
    if there is not None and there.is_alive:
        return
    process = world.made(entry.slot)
    world.born(process)
    process.do("starts", process.begin, world.options(process))
    world.scheduler.run_ready()


@on_process
def track(world: World, process: Process, entry: Entry) -> None:
    count, *schema = entry.values
    process.do(f"tracks {count}", world.judge.track, process, count, *schema)


@on_process
def flush(world: World, process: Process, entry: Entry) -> None:
    process.do(f"flushes for {entry.values[0]} s", world.judge.flush, process, entry.values[0])


@on_process
def sync(world: World, process: Process, entry: Entry) -> None:
    process.do(f"syncs for {entry.values[0]} s", world.judge.sync, process, entry.values[0])


@on_process
def close(world: World, process: Process, entry: Entry) -> None:
    process.do(f"closes for {entry.values[0]} s", world.judge.close, process, entry.values[0])


@on_process
def end(world: World, process: Process, entry: Entry) -> None:
    process.do("ends", process.exit)


@on_process
def kill(world: World, process: Process, entry: Entry) -> None:
    world.kill(process)


@on_process
def fork(world: World, process: Process, entry: Entry) -> None:
    child = world.made(entry.values[0])
    process.do(f"forks {child.pid}", process.fork, child)


@on_process
def freeze(world: World, process: Process, entry: Entry) -> None:
    world.tell(process, "is frozen")
    process.freeze()


@on_process
def thaw(world: World, process: Process, entry: Entry) -> None:
    world.tell(process, "goes on")
    process.thaw()


# --- the machine ---


@action
def power(world: World, entry: Entry) -> None:
    dead = list(world.processes)
    for process in dead:
        world.bury(process)
    lied = world.disk.cut_power()
    world.tell(None, "power is cut" + (", and the disk has lied" if lied else ""))
    world.booted_at = world.scheduler.now
    world.judge.killed(dead, lied=lied)


@action
def lie(world: World, entry: Entry) -> None:
    world.tell(None, "the disk lies from now on")
    world.disk.begin_lying()


@action
def disk(world: World, entry: Entry) -> None:
    kind, seconds = entry.values
    world.tell(None, f"the disk is {kind} for {seconds} s")
    world.disk.fault = Fault(kind, world.scheduler.now + seconds)


@action
def clock(world: World, entry: Entry) -> None:
    (days,) = entry.values
    world.tell(None, f"the wall clock is {days} days off")
    world.wall_is_off = max(days * DAY, -world.true_wall())
    world.wall_was_set |= abs(days) > 1.0


@action
def gap(world: World, entry: Entry) -> None:
    (days,) = entry.values
    world.tell(None, f"{days} days pass, in which nothing runs")
    running = [process for process in world.processes if not process.is_frozen]
    for process in running:
        process.freeze()
    world.scheduler.skip(days * DAY)
    world.skipped += days * DAY
    for process in running:
        process.thaw()


# --- what lies outside ---


@action
def weather(world: World, entry: Entry) -> None:
    kind, seconds, chance, value = entry.values
    world.tell(None, f"{kind!r} ({value}) for {seconds} s, by a chance of {chance}")
    world.internet.begin(Spell(kind, world.scheduler.now + seconds, chance, value))


@action
def move(world: World, entry: Entry) -> None:
    world.tell(None, f"Togai moves; where it was is {entry.values[0]}")
    world.internet.move(entry.values[0])


@action
def shut(world: World, entry: Entry) -> None:
    world.tell(None, f"Togai takes no event of schema {entry.values[0]}")
    world.togai.closed.add(entry.values[0])


@action
def reopen(world: World, entry: Entry) -> None:
    world.tell(None, f"Togai takes events of schema {entry.values[0]} again")
    world.togai.closed.discard(entry.values[0])


@action
def revoke(world: World, entry: Entry) -> None:
    world.togai.key = f"secret-{world.scheduler.steps + 2}"
    world.tell(None, "the key is revoked")


@action
def renew(world: World, entry: Entry) -> None:
    world.key_in_use = world.togai.key
    for process in world.processes:
        if process.shipper is not None and not process.is_ending:
            process.do("gets the new key", process.shipper.set_api_key, world.togai.key)


# --- Redis ---


@action
def redis_weather(world: World, entry: Entry) -> None:
    kind, seconds, chance, value = entry.values
    world.tell(None, f"Redis: {kind!r} ({value}) for {seconds} s, by a chance of {chance}")
    world.redis.begin(Spell(kind, world.scheduler.now + seconds, chance, value))


@action
def redis_kill(world: World, entry: Entry) -> None:
    world.tell(None, "Redis is killed")
    world.redis.kill()


@action
def redis_restart(world: World, entry: Entry) -> None:
    (how,) = entry.values
    world.tell(None, f"Redis starts, {how}")
    world.redis.restart(empty=how == "empty")


@action
def redis_fail_over(world: World, entry: Entry) -> None:
    (name_lags,) = entry.values
    world.tell(None, f"Redis fails over; the name follows {name_lags} s later")
    world.redis.fail_over(name_lags=name_lags)


@action
def redis_freeze(world: World, entry: Entry) -> None:
    world.tell(None, f"Redis stands still for {entry.values[0]} s")
    world.redis.freeze(entry.values[0])


@action
def redis_clock(world: World, entry: Entry) -> None:
    world.tell(None, f"the clock of Redis is {entry.values[0]} s off")
    world.redis.clock_off = entry.values[0]


@action
def redis_cut(world: World, entry: Entry) -> None:
    world.tell(None, f"who is in slot {entry.slot} does not reach Redis for {entry.values[0]} s")
    world.redis.cut[entry.slot] = world.scheduler.now + entry.values[0]
    world.redis.fair_since = float("inf")


@action
def trap(world: World, entry: Entry) -> None:
    world.tell(None, f"a trap for who is in slot {entry.slot}: {entry.values}")
    world.traps.append(Trap(entry.slot, *entry.values))
