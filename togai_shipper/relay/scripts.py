"""The scripts that Redis runs for us. Each is atomic, and safe to repeat.

What they keep, under a relay's name, in braces, so that all of it lies on one node of a Cluster:

- ``{name}:events``: a stream; each entry is a batch, see ``entries``
- ``{name}:relay``: a hash; see ``facts``
- ``{name}:dead``: a hash: the id of a dead letter, and all of it as JSON
- ``{name}:lease``: who drains, and how often it has said so: ``owner:beat``, or ``released``
- ``{name}:producers``: a hash: how each producer stands, as it says; ``{name}:producers:said``: a sorted set:
  when each has said so, in milliseconds by the clock of Redis. Nothing is decided by them
- ``{name}:journal``: a hash: what the journal is, and what is in doubt of it; ``{name}:journal:2026-01-31``:
  a hash: what left on that day; see ``journal``

Times are the callers': a script asks no clock, since another server's may be behind. But for what producers
say of themselves, since their own clocks may disagree: there a wrong clock costs a line on a screen.
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
#
# What others have put there is never calculated with as it stands: it is told by the key, or by the field. No
# figure is below 0: an entry that nobody has counted may have left, and then there is less to subtract from.
_CAREFUL = """
local function number(text)
  return #text <= 16 and string.match(text, '^%-?%d+$') and tonumber(text)
end
local function failed(said, key)
  if string.find(said.err, '^WRONGTYPE') then return {'kind', key} end
  return said
end
local function ask(command, key, ...)
  local said = redis.pcall(command, key, ...)
  if type(said) == 'table' and said.err then return nil, failed(said, key) end
  return said
end
local function figures(said, before, names)
  local found = {}
  for i, name in ipairs(names) do
    local figure = number(said[before + i] or '0')
    if not figure then return nil, {'damaged', name} end
    found[name] = math.max(0, figure)
  end
  return found
end
"""

# KEYS: events, relay. ARGV: base URL, epoch for a new relay, max_relay_bytes, count, size, t; then what the
# entry holds, each field's name and value.
#
# Without the right to read the stream it cannot ask for its length: a stream that is gone is noticed by
# NOMKSTREAM, one that was trimmed by the drainer.
ADD = Script(
    "#!lua"
    + _CAREFUL
    + """
local names = {'bytes', 'events', 'in', 'out', 'lost', 'dead', 'oldest'}
local said, wrong = ask('HMGET', KEYS[2], 'v', 'base_url', 'epoch', unpack(names))
if wrong then return wrong end
local count, size, accepted = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local is_new = not said[1]
if is_new then said = {'1', ARGV[1], ARGV[2]} end
if said[2] ~= ARGV[1] then return {'foreign', said[2] or 'no server'} end
local now, wrong = figures(said, 3, names)
if wrong then return wrong end
if now.bytes + size > tonumber(ARGV[3]) then return {'full', now.bytes} end
local id, wrong = ask('XADD', KEYS[1], 'NOMKSTREAM', '*', unpack(ARGV, 7))
if wrong then return wrong end
if not id then
  id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 7))
  now.lost, now.events, now.bytes = now.lost + now.events, 0, 0
end
if is_new then
  redis.call('HSET', KEYS[2], 'v', 1, 'epoch', ARGV[2], 'base_url', ARGV[1], 'out', 0, 'dead', 0)
end
if now.events == 0 or accepted < now.oldest then now.oldest = accepted end
now.events = now.events + count
redis.call('HSET', KEYS[2], 'events', now.events, 'bytes', now.bytes + size, 'in', now['in'] + count,
  'lost', now.lost, 'oldest', now.oldest)
return {'ok', id, said[3] or '', now.events, now.out, now.dead}
"""
)

# What left is counted, in the moment in which it leaves. ``head`` says what the journal is, ``counts`` is the
# hash of the day, ``at`` is the first of its arguments (see ``journal``), ``taken`` says of each entry or
# letter whether it left, and ``before`` and ``after`` are the relay's ``out``. Nothing that is wrong with a
# journal keeps an event from leaving: it returns what is wrong.
#
# A drainer of an older version counts nothing; the relay's ``out`` then is not what the journal has noted.
_JOURNAL = """
local function counted(head, counts, at, taken, before, after)
  local format, day, now_ms, oldest, id, doubt, most, rest, names = unpack(ARGV, at, at + 8)
  local fields, sums, total, is_any = at + 8, {}, 0, false
  at = fields + tonumber(names) + 1
  for i = 1, #taken do
    local last = at + 2 * tonumber(ARGV[at])
    for j = at + 1, taken[i] and last or at, 2 do
      local name, count = tonumber(ARGV[j]), tonumber(ARGV[j + 1])
      sums[name], total = (sums[name] or 0) + count, total + count
    end
    is_any, at = is_any or taken[i], last + 1
  end
  if not is_any and doubt == '' then return '' end
  local function why(wrong) return wrong.err or wrong[2] .. ' is something else' end
  local said, wrong = ask('HMGET', head, 'v', 'out', 'day')
  if wrong then return why(wrong) end
  local found = number(said[1] or '0')
  if not found or found > tonumber(format) then return head .. ' is of a newer version' end
  local facts = {'v', format, 'day', day, 'until_ms', now_ms}
  local function fact(name, value) facts[#facts + 1], facts[#facts + 2] = name, value end
  if not said[1] then fact('id', id) fact('since_ms', now_ms) end
  if before then fact('out', after) end
  local _, wrong = ask('HSET', head, unpack(facts))
  if wrong then return why(wrong) end
  local days, noted = (said[3] or '') .. '..' .. day, number(said[2] or '0')
  if before and (not noted or before < noted) then
    ask('HSET', head, 'gone ' .. days, 1)
  elseif before and before > noted then
    ask('HINCRBY', head, 'uncounted ' .. days, before - noted)
  end
  if doubt ~= '' and not ask('HMGET', head, 'doubt ' .. day)[1] then
    ask('HSET', head, 'doubt ' .. day, doubt)
  end
  if total == 0 then return '' end
  local is_first = ask('HINCRBY', head, 'total ' .. day, total) == total
  local size, wrong = ask('HLEN', counts)
  for name = 1, wrong and 0 or tonumber(names) do
    if sums[name] then
      local field = ARGV[fields + name]
      if size >= tonumber(most) and not ask('HMGET', counts, field)[1] then field = rest end
      local now, error = ask('HINCRBY', counts, field, sums[name])
      wrong = wrong or error
      if now == sums[name] then size = size + 1 end
    end
  end
  if wrong then ask('HSET', head, 'damaged ' .. day, 1) return why(wrong) end
  local _, wrong = ask('EXPIRE', counts, KEPT_FOR)
  if is_first then
    local all = ask('HGETALL', head) or {}
    for i = 1, #all, 2 do
      local last = string.match(all[i], ' .*(%d%d%d%d%-%d%d%-%d%d)$')
      if last and last < oldest then ask('HDEL', head, all[i]) end
    end
  end
  return wrong and why(wrong) or ''
end
""".replace("KEPT_FOR", str(91 * 86_400))  # a day more than is read

# For who drains. ``not_led_by`` returns what is to be answered where another one leads, or nobody does. An
# entry is known by its mark, too: after a failover another one may have got its id.
_LED = """
local function not_led_by(owner, key)
  local lease, wrong = ask('GET', key)
  if wrong then return wrong end
  if not lease or string.match(lease, '^(.*):%d+$') ~= owner then return {'lost', lease or ''} end
end
local function is_there(events, id, mark)
  local found = redis.call('XRANGE', events, id, id)[1]
  for i = 1, found and #found[2] or 0, 2 do
    if found[2][i] == 'k' and found[2][i + 1] == mark then return true end
  end
  return false
end
"""

# KEYS: events, relay, dead, lease; and, to count what leaves, the journal and its day. ARGV: owner, max_dead,
# number of entries; then for each entry its id, its mark, count, size, number of dead letters, and for each
# of those its id and its text; then what the journal is told.
#
# A full Redis must be drained, so it may write where memory is short. An entry that nobody has counted, since
# a stranger has put it in, came in all the same: what came is what left, what is there, and what was lost.
SETTLE = Script(
    "#!lua flags=allow-oom"
    + _CAREFUL
    + _LED
    + _JOURNAL
    + """
local other = not_led_by(ARGV[1], KEYS[4])
if other then return other end
local names = {'bytes', 'events', 'in', 'out', 'lost'}
local said, wrong = ask('HMGET', KEYS[2], 'v', unpack(names))
if wrong then return wrong end
local now, wrong = figures(said, 1, names)
if wrong then return wrong end
local buried, wrong = ask('HLEN', KEYS[3])
if wrong then return wrong end
local _, wrong = ask('XLEN', KEYS[1])
if wrong then return wrong end
local most, at = tonumber(ARGV[2]), 4
local before = now.out
local removed, kept, taken = {}, {}, {}
for index = 1, tonumber(ARGV[3]) do
  local id, mark, count, size, letters = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]),
    tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  at, taken[index] = at + 5, false
  local is_it = is_there(KEYS[1], id, mark)
  if is_it and letters > 0 and buried + letters > most then
    kept[#kept + 1] = id
  elseif is_it then
    for i = 0, letters - 1 do
      buried = buried + redis.call('HSET', KEYS[3], ARGV[at + 2 * i], ARGV[at + 2 * i + 1])
    end
    redis.call('XDEL', KEYS[1], id)
    now['in'] = now['in'] + math.max(0, count - now.events)
    now.events = math.max(0, now.events - count)
    now.bytes = math.max(0, now.bytes - size)
    now.out = now.out + count
    removed[#removed + 1], taken[index] = id, true
  end
  at = at + 2 * letters
end
local told = KEYS[5] and counted(KEYS[5], KEYS[6], at, taken, before, said[1] and now.out or 0) or ''
if not said[1] then return {'ok', removed, kept, told} end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if first then
  for i = 1, #first[2], 2 do
    local value = first[2][i + 1]
    if first[2][i] == 't' and #value <= 15 and string.match(value, '^%d+$') then
      redis.call('HSET', KEYS[2], 'oldest', value)
    end
  end
else
  now.lost, now.events, now.bytes = now.lost + now.events, 0, 0
end
redis.call('HSET', KEYS[2], 'events', now.events, 'bytes', now.bytes, 'in', now['in'], 'out', now.out,
  'lost', now.lost, 'dead', buried)
return {'ok', removed, kept, told}
"""
)

# KEYS: events, relay, lease. ARGV: owner; the entry's id, mark and size; number of entries that take its
# place; then of each its size, how many arguments follow, and each field's name and value.
#
# Nothing leaves and nothing comes in: its events stand in the stream before and after, in other entries. So
# it may write where memory is short, as SETTLE may.
PART = Script(
    "#!lua flags=allow-oom"
    + _CAREFUL
    + _LED
    + """
local other = not_led_by(ARGV[1], KEYS[3])
if other then return other end
local said, wrong = ask('HMGET', KEYS[2], 'v', 'bytes')
if wrong then return wrong end
local now, wrong = figures(said, 1, {'bytes'})
if wrong then return wrong end
local _, wrong = ask('XLEN', KEYS[1])
if wrong then return wrong end
if not is_there(KEYS[1], ARGV[2], ARGV[3]) then return {'gone'} end
local size, at = -tonumber(ARGV[4]), 6
for _ = 1, tonumber(ARGV[5]) do
  local last = at + 1 + tonumber(ARGV[at + 1])
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 2, last))
  size, at = size + tonumber(ARGV[at]), last + 1
end
redis.call('XDEL', KEYS[1], ARGV[2])
if said[1] then redis.call('HSET', KEYS[2], 'bytes', math.max(0, now.bytes + size)) end
return {'ok'}
"""
)

# Whose key drains: ``key`` is the fingerprint of the one with which Togai has taken something; ``trying`` is
# one with which it may have, and the owner who says so: it is written before the first request with that key.
# Any other key is barred by the first, and by the second where there is no first.
_KEY = """
local function bars(key, trying, ours)
  local tried = string.match(trying, '^%S+') or ''
  local known = key ~= '' and key or tried
  return known ~= '' and ours ~= key and ours ~= tried and known
end
local function try(relay, key, trying, ours, owner)
  if key == '' and trying ~= '' then redis.call('HSET', relay, 'key', string.match(trying, '^%S+')) end
  redis.call('HSET', relay, 'trying', ours .. ' ' .. owner)
end
"""

# KEYS: events, relay, lease. ARGV: owner; the id of the last entry, and how many entries there are; and
# how many events and bytes these have, as the owner has read them.
#
# Somebody else may append or delete, and then the figures say for ever what is not there. Who has read all
# of the stream knows better, but only as long as nobody has changed it since.
RECOUNT = Script(
    "#!lua flags=allow-oom"
    + _CAREFUL
    + _LED
    + """
local other = not_led_by(ARGV[1], KEYS[3])
if other then return other[1] == 'lost' and {'changed'} or other end
local length, wrong = ask('XLEN', KEYS[1])
if wrong then return wrong end
if length ~= tonumber(ARGV[3]) then return {'changed'} end
if redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], '+', 'COUNT', 1)[1] then return {'changed'} end
local names = {'events', 'in', 'lost'}
local said, wrong = ask('HMGET', KEYS[2], 'v', unpack(names))
if wrong then return wrong end
local now, wrong = figures(said, 1, names)
if wrong then return wrong end
if not said[1] then return {'changed'} end
local more = tonumber(ARGV[4]) - now.events
redis.call('HSET', KEYS[2], 'events', ARGV[4], 'bytes', ARGV[5], 'in', now['in'] + math.max(0, more),
  'lost', now.lost + math.max(0, -more))
return {'ok'}
"""
)

# KEYS: lease, relay. ARGV: what to do, owner, what was seen; and to take it: the key's fingerprint, whether
# another key than before is meant, the base URL, the format, an epoch for a new relay.
#
# A beat that somebody has made too long to be counted on begins anew: each renewal has to change it.
LEASE = Script(
    "#!lua flags=allow-oom"
    + _CAREFUL
    + _KEY
    + """
local now, wrong = ask('GET', KEYS[1])
if wrong then return wrong end
now = now or ''
local act, owner, seen = ARGV[1], ARGV[2], ARGV[3]
if act == 'look' then return {'seen', now} end
local holder, beat = string.match(now, '^(.*):(%d+)$')
if act == 'release' then
  if holder == owner then redis.call('SET', KEYS[1], 'released') end
  return {'released', now}
end
if act == 'renew' then
  if holder ~= owner then return {'lost', now} end
  now = owner .. ':' .. string.format('%.0f', (#beat <= 15 and tonumber(beat) or 0) + 1)
  redis.call('SET', KEYS[1], now)
  return {'held', now}
end
if now ~= seen then return {'seen', now} end
local facts, wrong = ask('HMGET', KEYS[2], 'v', 'base_url', 'key', 'trying')
if wrong then return wrong end
local format = number(facts[1] or '0')
if not format then return {'damaged', 'v'} end
if format > tonumber(ARGV[7]) then return {'newer', facts[1]} end
if facts[2] and facts[2] ~= ARGV[6] then return {'foreign', facts[2]} end
local known = bars(facts[3] or '', facts[4] or '', ARGV[4])
if known and ARGV[5] ~= '1' then return {'key', known} end
if not facts[1] then
  redis.call('HSET', KEYS[2], 'v', 1, 'epoch', ARGV[8], 'base_url', ARGV[6], 'bytes', 0, 'events', 0,
    'in', 0, 'out', 0, 'lost', 0, 'dead', 0, 'oldest', 0)
end
if known then try(KEYS[2], facts[3] or '', facts[4] or '', ARGV[4], owner) end
redis.call('SET', KEYS[1], owner .. ':1')
return {'held', owner .. ':1'}
"""
)

# KEYS: lease, relay. ARGV: what is known of the key (``try``: a request is about to go, ``taken``: Togai has
# taken something with it, ``refused``: none of this owner's requests can have been taken), owner, the key's
# fingerprint, whether another key than before is meant. Returns what Redis knows of it from then on.
#
# The last two are true whoever has the lease by then. What another owner tries with the same key is left:
# only that one knows what became of it.
KEY = Script(
    "#!lua flags=allow-oom"
    + _CAREFUL
    + _KEY
    + """
local now, wrong = ask('GET', KEYS[1])
if wrong then return wrong end
now = now or ''
local facts, wrong = ask('HMGET', KEYS[2], 'key', 'trying')
if wrong then return wrong end
local word, owner, ours = ARGV[1], ARGV[2], ARGV[3]
local key, trying = facts[1] or '', facts[2] or ''
local is_tried = string.match(trying, '^%S+') == ours
if word == 'refused' and trying == ours .. ' ' .. owner then
  redis.call('HSET', KEYS[2], 'trying', '')
  is_tried = false
elseif word == 'taken' and is_tried then
  redis.call('HSET', KEYS[2], 'key', ours, 'trying', '')
  key = ours
elseif word == 'try' and key ~= ours and not is_tried then
  if string.match(now, '^(.*):%d+$') ~= owner then return {'none', now} end
  local known = bars(key, trying, ours)
  if known and ARGV[4] ~= '1' then return {'key', known} end
  try(KEYS[2], key, trying, ours, owner)
  is_tried = true
end
return {key == ours and 'taken' or is_tried and 'tried' or 'none', now}
"""
)

# KEYS: events, relay, dead; and, to count what is removed, the journal and its day. ARGV: the newest format
# that we read, number of letters; then of each its id and the SHA-1 of its text; then, to replay them: count,
# size, t, and what the entry holds, each field's name and value. Without these they are removed for ever, and
# what the journal is told follows.
#
# A letter is taken only as it was seen: another operator may have replayed it meanwhile, and it may be dead
# again. An entry is put in only where all of its letters are taken, in the same moment: so no letter is in
# two entries, however often it is asked for. A full Redis refuses a replay, and lets letters be removed.
_TAKE_LETTERS = (
    _CAREFUL
    + _JOURNAL
    + """
local names = {'bytes', 'events', 'in', 'lost', 'oldest'}
local said, wrong = ask('HMGET', KEYS[2], 'v', unpack(names))
if wrong then return wrong end
local letters, taken, rest = {}, {}, 3 + 2 * tonumber(ARGV[2])
local is_replay = not KEYS[4] and rest <= #ARGV
if is_replay and not said[1] then return {'none', ''} end
local format = number(said[1] or '0')
if not format then return {'damaged', 'v'} end
if format > tonumber(ARGV[1]) then return {'newer', said[1]} end
local now, wrong = figures(said, 1, names)
if is_replay and wrong then return wrong end
local _, wrong = ask('HLEN', KEYS[3])
if wrong then return wrong end
for at = 3, rest - 1, 2 do
  local text = redis.call('HGET', KEYS[3], ARGV[at])
  taken[#taken + 1] = text and redis.sha1hex(text) == ARGV[at + 1] or false
  if taken[#taken] then
    letters[#letters + 1] = ARGV[at]
  elseif is_replay then
    return {'gone', ARGV[at]}
  end
end
if is_replay then
  local count, size, accepted = tonumber(ARGV[rest]), tonumber(ARGV[rest + 1]), tonumber(ARGV[rest + 2])
  local length, wrong = ask('XLEN', KEYS[1])
  if wrong then return wrong end
  if length == 0 then now.lost, now.events, now.bytes = now.lost + now.events, 0, 0 end
  if now.events == 0 or accepted < now.oldest then now.oldest = accepted end
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, rest + 3))
  redis.call('HSET', KEYS[2], 'events', now.events + count, 'bytes', now.bytes + size,
    'in', now['in'] + count, 'lost', now.lost, 'oldest', now.oldest)
end
if #letters > 0 then redis.call('HDEL', KEYS[3], unpack(letters)) end
if said[1] then redis.call('HSET', KEYS[2], 'dead', redis.call('HLEN', KEYS[3])) end
local told = KEYS[4] and counted(KEYS[4], KEYS[5], rest, taken) or ''
return {'ok', tostring(#letters), told}
"""
)
REPLAY = Script("#!lua" + _TAKE_LETTERS)
PURGE = Script("#!lua flags=allow-oom" + _TAKE_LETTERS)

_TIME = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS: producers, and when they have said it. ARGV: who says it, how it stands (empty: it has ended), the
# most that may say it, and the milliseconds after which one is forgotten: always, and where there is no room
# for another.
#
# There is a bound, so it may be written where memory is short: that is what a producer has to tell then.
SAY = Script(
    "#!lua flags=allow-oom"
    + _CAREFUL
    + _TIME
    + """
local who, text, most, kept, missed = unpack(ARGV)
local known, wrong = ask('HMGET', KEYS[1], who)
if wrong then return wrong end
local function forget(each)
  redis.call('ZREM', KEYS[2], each)
  redis.call('HDEL', KEYS[1], each)
end
local function old(age, count)
  return ask('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - age), 'LIMIT', 0, count)
end
local gone, wrong = old(kept, 20)
if wrong then return wrong end
for _, each in ipairs(gone) do forget(each) end
if text == '' then forget(who) return {'ok'} end
if not known[1] and redis.call('HLEN', KEYS[1]) >= tonumber(most) then
  local silent = old(missed, 1)
  if not silent[1] then return {'many'} end
  forget(silent[1])
end
redis.call('ZADD', KEYS[2], string.format('%.0f', now), who)
redis.call('HSET', KEYS[1], who, text)
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, math.ceil(kept / 1000)) end
return {'ok'}
"""
)

# KEYS: as of SAY. ARGV: the most that are read, and the longest name and text that are. Returns the time, how
# many there are, and of each who it is, when it has said so, and what; the latest first.
SAID = Script(
    "#!lua flags=no-writes"
    + _CAREFUL
    + _TIME
    + """
local found, wrong = ask('ZRANGE', KEYS[2], 0, ARGV[1] - 1, 'REV', 'WITHSCORES')
if wrong then return wrong end
local count, wrong = ask('HLEN', KEYS[1])
if wrong then return wrong end
local told = {'ok', string.format('%.0f', now), tostring(count)}
for i = 1, #found, 2 do
  local length = #found[i] <= tonumber(ARGV[2]) and redis.call('HSTRLEN', KEYS[1], found[i]) or 0
  if length > 0 and length <= tonumber(ARGV[3]) then
    told[#told + 1], told[#told + 2] = found[i], found[i + 1]
    told[#told + 1] = redis.call('HGET', KEYS[1], found[i])
  end
end
return told
"""
)

# KEYS: relay. ARGV: events, dead, lease, journal, producers: who may not touch a key may not name it in KEYS.
# Returns the commands that this user lacks to hand over, to drain, to keep the journal, and to say how it
# stands.
RIGHTS = Script("""#!lua flags=no-writes
local hand_over = {{'hmget', KEYS[1], 'v'}, {'hset', KEYS[1], 'v', '1'}, {'hincrby', KEYS[1], 'in', '1'},
  {'xadd', ARGV[1], '*', 'v', '1'}}
local drain = {{'get', ARGV[3]}, {'set', ARGV[3], 'x'}, {'hmget', KEYS[1], 'v'}, {'hgetall', KEYS[1]},
  {'hlen', ARGV[2]}, {'hset', ARGV[2], 'x', 'x'}, {'xrange', ARGV[1], '-', '+'}, {'xdel', ARGV[1], '0-1'},
  {'xlen', ARGV[1]}, {'xadd', ARGV[1], '*', 'v', '1'}}
local journal = {{'hmget', ARGV[4], 'v'}, {'hset', ARGV[4], 'v', '1'}, {'hgetall', ARGV[4]},
  {'hdel', ARGV[4], 'v'}, {'hlen', ARGV[4] .. ':1'}, {'hincrby', ARGV[4] .. ':1', 'x', '1'},
  {'expire', ARGV[4] .. ':1', '1'}}
local said = ARGV[5] .. ':said'
local say = {{'hmget', ARGV[5], 'x'}, {'hlen', ARGV[5]}, {'hset', ARGV[5], 'x', 'x'}, {'hdel', ARGV[5], 'x'},
  {'expire', ARGV[5], '1'}, {'zadd', said, '1', 'x'}, {'zrem', said, 'x'},
  {'zrangebyscore', said, '-inf', '1'}, {'time'}}
local function lacks(commands)
  local found = {}
  for _, command in ipairs(commands) do
    local is_known, is_allowed = pcall(redis.acl_check_cmd, unpack(command))
    if not (is_known and is_allowed) then found[#found + 1] = command[1] end
  end
  return table.concat(found, ' ')
end
return {lacks(hand_over), lacks(drain), lacks(journal), lacks(say)}
""")
