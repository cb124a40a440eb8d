-- For wrk: sends as many requests in one go as its last argument says, and the
-- next ones when all of them are answered. At the end, prints requests,
-- microseconds and errors.
-- usage: wrk [OPTION...] -s lab/pipeline.lua URL -- DEPTH

local batch

function init(args)
  batch = string.rep(wrk.format(), tonumber(args[1]))
end

function request()
  return batch
end

function done(summary)
  local errors = 0
  for _, count in pairs(summary.errors) do errors = errors + count end
  print(string.format("%d %d %d", summary.requests, summary.duration, errors))
end
