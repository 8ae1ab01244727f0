"""The Lua scripts with which `trades.lane` rings and collects rings. Valkey runs each of them atomically."""

# One call, however many lanes are rung: a pipeline of single commands costs four times as much. Wakes a worker that
# waits, and returns the lanes whose bells were down.
RING = """
    local silent = {}
    for i = 1, #KEYS, 2 do
        for id in string.gmatch(ARGV[(i + 3) / 2], '%d+') do redis.call('SADD', KEYS[i + 1], id) end
        local bell = redis.call('GET', KEYS[i])
        if not bell then
            redis.call('SET', KEYS[i], 1, 'EX', ARGV[1])
            silent[#silent + 1] = (i + 1) / 2
        elseif string.find(bell, 'wake:', 1, true) and redis.call('EXISTS', bell) == 0 then
            redis.call('RPUSH', bell, 1)
            redis.call('EXPIRE', bell, ARGV[1])
        end
    end
    return silent
"""
# Pops customers from the sets. In the same step, the bells get the key of the list on which this worker waits for the
# next ring, or are taken down if no customer was left, so a customer that joined a set whose bell was up is never
# missed. Lanes whose bell has another worker's key are left to that worker, unless a whole batch waits there. If that
# worker dies, its bells expire.
POP = """
    local batch_max, collected, awake, wake = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
    local customers, next_place, remaining, is_served, is_alone, waiting = {}, 0, 0, {}, true, 0
    for i = 1, #KEYS, 3 do
        local name = redis.call('GET', KEYS[i])
        if name and name ~= '1' and name ~= wake then
            is_served[i], is_alone, waiting = true, false, waiting + redis.call('SCARD', KEYS[i + 1])
        end
    end
    for i = 1, #KEYS, 3 do
        if not is_served[i] or waiting >= batch_max then
            local rung = KEYS[i + 1]
            local room = math.max(0, batch_max - collected - #customers)
            for _, id in ipairs(redis.call('SPOP', rung, room)) do customers[#customers + 1] = id end
            local number = redis.call('SCARD', rung)
            if next_place == 0 and number > 0 then next_place = (i + 2) / 3 end
            remaining = remaining + number
        end
    end
    local is_over = collected + #customers == 0
    for i = 1, #KEYS, 3 do
        if not is_served[i] then
            if is_over then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], wake, 'PX', awake) end
        end
    end
    redis.call('DEL', wake)
    local needs_another_worker = remaining >= batch_max and redis.call('LLEN', KEYS[next_place * 3]) == 0
    return {customers, next_place, needs_another_worker and 1 or 0, is_alone and next_place == 0 and 1 or 0}
"""
HAND_OVER = """
    for i = 1, #KEYS do
        if redis.call('GET', KEYS[i]) == ARGV[2] then redis.call('SET', KEYS[i], 1, 'EX', ARGV[1]) end
    end
"""
