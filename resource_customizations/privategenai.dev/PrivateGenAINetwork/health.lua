-- The health of a PrivateGenAIApp or a PrivateGenAINetwork, by what kstatus reads: deletionTimestamp, observedGeneration,
-- and the conditions Stalled, Reconciling and Ready. Needs no Lua library but the basic one.

local function a_table(value)
  if type(value) == "table" then return value end
  return {}
end

local function says(condition)
  if condition ~= nil and type(condition.message) == "string" then return condition.message end
  return ""
end

local metadata = a_table(obj.metadata)
local spec = a_table(obj.spec)
local status = a_table(obj.status)

local found = {}
for _, condition in ipairs(a_table(status.conditions)) do
  local each = a_table(condition)
  if type(each.type) == "string" then found[each.type] = each end
end
local ready = found["Ready"]

local function is_true(kind)
  return found[kind] ~= nil and found[kind].status == "True"
end

-- Resources in AWS go first: the message says what is still there.
if metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Being deleted. " .. says(ready) }
end

if ready == nil or status.observedGeneration == nil then
  return { status = "Progressing", message = "Waiting for the operator." }
end

if status.observedGeneration ~= metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator to look at the change." }
end

if is_true("Stalled") then
  -- What a suspended app waits for is that somebody resumes it, and nothing is wrong with it.
  if found["Stalled"].reason == "Suspended" then
    return { status = "Suspended", message = says(found["Stalled"]) }
  end
  return { status = "Degraded", message = says(found["Stalled"]) }
end

if is_true("Reconciling") then
  return { status = "Progressing", message = says(found["Reconciling"]) }
end

if ready.status == "True" then
  -- Its path was as it should be when it was looked at, and nobody keeps it so.
  if spec.suspend == true then
    return { status = "Suspended", message = "The app is suspended. " .. says(ready) }
  end
  return { status = "Healthy", message = says(ready) }
end

return { status = "Progressing", message = says(ready) }
