"""The scripts that Redis runs for us. Each is atomic, and safe to repeat.

What they keep, under a relay's name, in braces, so that all of it lies on one node of a Cluster:

- ``{name}:events``: a stream; each entry is a batch, see ``entries``
- ``{name}:relay``: a hash; see ``facts``
- ``{name}:dead``: a hash: the id of a dead letter, and all of it as JSON
- ``{name}:lease``: who drains, and how often it has said so: ``owner:beat``, or ``released``

Times are the callers': a script asks no clock, since another server's may be behind.
"""

from __future__ import annotations

import hashlib

import attrs


@attrs.frozen
class Script:
    """A script, and the name under which Redis knows it once it was loaded."""

    text: str
    sha: str = attrs.field(init=False)

    @sha.default
    def _sha_of_the_text(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


# No script is undone when it fails in its middle, so each looks first at all that it will write to, and does
# all of it, or nothing. Else an ADD that is tried again and again would append again and again.
_NUMBER = """
local function number(text)
  return #text <= 16 and string.match(text, '^%-?%d+$') and tonumber(text)
end
"""

# KEYS: events, relay. ARGV: base URL, epoch for a new relay, max_relay_bytes, count, size, t; then what the
# entry holds, each field's name and value.
#
# Without the right to read the stream it cannot ask for its length: a stream that is gone is noticed by
# NOMKSTREAM, one that was trimmed by the drainer.
ADD = Script(
    "#!lua"
    + _NUMBER
    + """
local facts = redis.call('HMGET', KEYS[2], 'v', 'base_url', 'bytes', 'events', 'oldest', 'in', 'lost')
local count, size, accepted = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local is_new = not facts[1]
if is_new then facts = {'1', ARGV[1]} end
if facts[2] ~= ARGV[1] then return {'foreign', facts[2]} end
for i = 3, 7 do
  facts[i] = number(facts[i] or '0')
  if not facts[i] then return {'damaged'} end
end
local bytes, events, oldest = facts[3], facts[4], facts[5]
if bytes + size > tonumber(ARGV[3]) then return {'full', bytes} end
local fields = {}
for i = 7, #ARGV do fields[#fields + 1] = ARGV[i] end
local id = redis.call('XADD', KEYS[1], 'NOMKSTREAM', '*', unpack(fields))
if not id then
  id = redis.call('XADD', KEYS[1], '*', unpack(fields))
  if events > 0 then redis.call('HINCRBY', KEYS[2], 'lost', events) end
  if events ~= 0 then redis.call('HSET', KEYS[2], 'events', 0, 'bytes', 0) end
  events = 0
end
if is_new then
  redis.call('HSET', KEYS[2], 'v', 1, 'epoch', ARGV[2], 'base_url', ARGV[1], 'bytes', 0, 'events', 0,
    'in', 0, 'out', 0, 'lost', 0, 'dead', 0, 'oldest', accepted)
end
redis.call('HINCRBY', KEYS[2], 'events', count)
redis.call('HINCRBY', KEYS[2], 'bytes', size)
redis.call('HINCRBY', KEYS[2], 'in', count)
if events == 0 or accepted < oldest then
  redis.call('HSET', KEYS[2], 'oldest', accepted)
end
local now = redis.call('HMGET', KEYS[2], 'epoch', 'events', 'out', 'dead')
return {'ok', id, now[1], now[2], now[3], now[4]}
"""
)

# KEYS: events, relay, dead, lease. ARGV: owner, max_dead, number of entries; then for each entry its id, its
# mark, count, size, number of dead letters, and for each of those its id and its text.
#
# An entry is removed only where its mark agrees: after a failover another one may have got its id. A full
# Redis must be drained, so it may write where memory is short.
SETTLE = Script(
    "#!lua flags=allow-oom"
    + _NUMBER
    + """
local lease = redis.call('GET', KEYS[4])
if not lease or string.match(lease, '^(.*):%d+$') ~= ARGV[1] then return {'lost', lease or ''} end
for _, fact in ipairs({'events', 'bytes', 'out', 'dead', 'lost'}) do
  if not number(redis.call('HGET', KEYS[2], fact) or '0') then return {'damaged'} end
end
local buried, most, at = redis.call('HLEN', KEYS[3]), tonumber(ARGV[2]), 4
local removed, kept = {}, {}
for _ = 1, tonumber(ARGV[3]) do
  local id, mark, count, size, letters = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]),
    tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  at = at + 5
  local found = redis.call('XRANGE', KEYS[1], id, id)[1]
  local is_it = false
  if found then
    for i = 1, #found[2], 2 do
      if found[2][i] == 'k' and found[2][i + 1] == mark then is_it = true end
    end
  end
  if is_it and letters > 0 and buried + letters > most then
    kept[#kept + 1] = id
  elseif is_it then
    local new = 0
    for i = 0, letters - 1 do
      new = new + redis.call('HSET', KEYS[3], ARGV[at + 2 * i], ARGV[at + 2 * i + 1])
    end
    buried = buried + new
    redis.call('XDEL', KEYS[1], id)
    redis.call('HINCRBY', KEYS[2], 'events', -count)
    redis.call('HINCRBY', KEYS[2], 'bytes', -size)
    redis.call('HINCRBY', KEYS[2], 'out', count)
    if new > 0 then redis.call('HINCRBY', KEYS[2], 'dead', new) end
    removed[#removed + 1] = id
  end
  at = at + 2 * letters
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if first then
  for i = 1, #first[2], 2 do
    local value = first[2][i + 1]
    if first[2][i] == 't' and #value <= 15 and string.match(value, '^%d+$') then
      redis.call('HSET', KEYS[2], 'oldest', value)
    end
  end
else
  local left = tonumber(redis.call('HGET', KEYS[2], 'events') or '0')
  if left > 0 then redis.call('HINCRBY', KEYS[2], 'lost', left) end
  if left ~= 0 then redis.call('HSET', KEYS[2], 'events', 0, 'bytes', 0) end
end
return {'ok', removed, kept}
"""
)

# KEYS: lease, relay. ARGV: what to do, owner, what was seen; and to take it: the key's fingerprint, whether
# another key than before is meant, the base URL, the format, an epoch for a new relay.
LEASE = Script("""#!lua flags=allow-oom
local now = redis.call('GET', KEYS[1]) or ''
local act, owner, seen = ARGV[1], ARGV[2], ARGV[3]
if act == 'look' then return {'seen', now} end
local holder, beat = string.match(now, '^(.*):(%d+)$')
if act == 'release' then
  if holder == owner then redis.call('SET', KEYS[1], 'released') end
  return {'released', now}
end
if act == 'renew' then
  if holder ~= owner then return {'lost', now} end
  now = owner .. ':' .. string.format('%.0f', tonumber(beat) + 1)
  redis.call('SET', KEYS[1], now)
  return {'held', now}
end
if now ~= seen then return {'seen', now} end
local facts = redis.call('HMGET', KEYS[2], 'v', 'base_url', 'key')
if facts[1] and tonumber(facts[1]) > tonumber(ARGV[7]) then return {'newer', facts[1]} end
if facts[2] and facts[2] ~= ARGV[6] then return {'foreign', facts[2]} end
if facts[3] and facts[3] ~= ARGV[4] and ARGV[5] ~= '1' then return {'key', facts[3]} end
if not facts[1] then
  redis.call('HSET', KEYS[2], 'v', 1, 'epoch', ARGV[8], 'base_url', ARGV[6], 'bytes', 0, 'events', 0,
    'in', 0, 'out', 0, 'lost', 0, 'dead', 0, 'oldest', 0)
end
redis.call('HSET', KEYS[2], 'key', ARGV[4])
redis.call('SET', KEYS[1], owner .. ':1')
return {'held', owner .. ':1'}
""")

# KEYS: events, relay, dead. ARGV: the newest format that we read, number of letters; then of each its id and
# the SHA-1 of its text; then, to replay them: count, size, t, and what the entry holds, each field's name and
# value. Without these they are removed for ever.
#
# A letter is taken only as it was seen: another operator may have replayed it meanwhile, and it may be dead
# again. An entry is put in only where all of its letters are taken, in the same moment: so no letter is in
# two entries, however often it is asked for. A full Redis refuses a replay, and lets letters be removed.
_TAKE_LETTERS = """
local facts = redis.call('HMGET', KEYS[2], 'v', 'events', 'oldest')
local letters, rest = {}, 3 + 2 * tonumber(ARGV[2])
local is_replay = rest <= #ARGV
if is_replay and not facts[1] then return {'none', ''} end
if facts[1] and tonumber(facts[1]) > tonumber(ARGV[1]) then return {'newer', facts[1]} end
for at = 3, rest - 1, 2 do
  local text = redis.call('HGET', KEYS[3], ARGV[at])
  if text and redis.sha1hex(text) == ARGV[at + 1] then
    letters[#letters + 1] = ARGV[at]
  elseif is_replay then
    return {'gone', ARGV[at]}
  end
end
if is_replay then
  local count, size, accepted = tonumber(ARGV[rest]), tonumber(ARGV[rest + 1]), tonumber(ARGV[rest + 2])
  local fields = {}
  for i = rest + 3, #ARGV do fields[#fields + 1] = ARGV[i] end
  if redis.call('XLEN', KEYS[1]) == 0 and tonumber(facts[2]) > 0 then
    redis.call('HINCRBY', KEYS[2], 'lost', facts[2])
    redis.call('HSET', KEYS[2], 'events', 0, 'bytes', 0)
    facts[2] = '0'
  end
  redis.call('XADD', KEYS[1], '*', unpack(fields))
  redis.call('HINCRBY', KEYS[2], 'events', count)
  redis.call('HINCRBY', KEYS[2], 'bytes', size)
  redis.call('HINCRBY', KEYS[2], 'in', count)
  if tonumber(facts[2]) == 0 or accepted < tonumber(facts[3]) then
    redis.call('HSET', KEYS[2], 'oldest', accepted)
  end
end
if #letters > 0 then redis.call('HDEL', KEYS[3], unpack(letters)) end
if facts[1] then redis.call('HSET', KEYS[2], 'dead', redis.call('HLEN', KEYS[3])) end
return {'ok', tostring(#letters)}
"""
REPLAY = Script("#!lua" + _TAKE_LETTERS)
PURGE = Script("#!lua flags=allow-oom" + _TAKE_LETTERS)

# KEYS: relay. ARGV: events, dead, lease: who may not touch a key may not name it in KEYS. Returns the
# commands that this user lacks to hand over, and to drain.
RIGHTS = Script("""#!lua flags=no-writes
local hand_over = {{'hmget', KEYS[1], 'v'}, {'hset', KEYS[1], 'v', '1'}, {'hincrby', KEYS[1], 'in', '1'},
  {'xadd', ARGV[1], '*', 'v', '1'}}
local drain = {{'get', ARGV[3]}, {'set', ARGV[3], 'x'}, {'hget', KEYS[1], 'v'}, {'hgetall', KEYS[1]},
  {'hlen', ARGV[2]}, {'hset', ARGV[2], 'x', 'x'}, {'xrange', ARGV[1], '-', '+'}, {'xdel', ARGV[1], '0-1'},
  {'xlen', ARGV[1]}}
local function lacks(commands)
  local found = {}
  for _, command in ipairs(commands) do
    local is_known, is_allowed = pcall(redis.acl_check_cmd, unpack(command))
    if not (is_known and is_allowed) then found[#found + 1] = command[1] end
  end
  return table.concat(found, ' ')
end
return {lacks(hand_over), lacks(drain)}
""")
