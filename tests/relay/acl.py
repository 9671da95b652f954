"""The rights of those who use a relay, as the documentation gives them, for the relay ``togai``."""

from __future__ import annotations

import redis

KEYS = ("~{togai}:events", "~{togai}:relay", "~{togai}:producers*")
MORE_KEYS = ("~{togai}:dead", "~{togai}:lease", "~{togai}:journal*")
FOR_NOTES = {
    *("~{togai}:producers*", "+eval", "+time", "+hlen", "+hdel", "+expire"),
    *("+zadd", "+zrem", "+zrangebyscore"),
}  # without these it hands over, and does not say how it stands
FOR_THE_JOURNAL = {"~{togai}:journal*", "+expire", "+hdel"}  # without these it drains, and counts nothing
PRODUCER = (
    *("-@all", *KEYS, "+eval", "+evalsha", "+script|load", "+ping", "+info", "+hmget", "+hset", "+xadd"),
    *("+hincrby", "+wait", "+client|setname", "+select"),
    *("+time", "+hlen", "+hdel", "+expire", "+zadd", "+zrem", "+zrangebyscore"),
)
SINCE_7_2 = ("+waitaof", "+client|setinfo")
DRAINER = (*PRODUCER, *MORE_KEYS, "+get", "+set", "+hgetall", "+xrange", "+xdel", "+xlen")
OPERATOR = (*DRAINER, "+hget", "+hscan", "+hstrlen", "+zrange", "+type", "+config|get", "+client|list")


def give(client: redis.Redis, user: str, rights: tuple[str, ...]) -> None:
    """Make a user, with the password ``sesame``, who has these rights alone."""
    client.execute_command("ACL", "SETUSER", user, "reset", "on", ">sesame", *rights)
