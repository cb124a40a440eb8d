-- For wrk: sends as many requests in one go as its last argument says, and the
-- next ones when all of them are answered.
-- usage: wrk [OPTION...] -s lab/pipeline.lua URL -- DEPTH

local batch

function init(args)
  batch = string.rep(wrk.format(), tonumber(args[1]))
end

function request()
  return batch
end
