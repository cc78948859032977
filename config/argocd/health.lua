-- Health of a CalendarTenant or a WorkspaceMailbox for Argo CD.
--
-- The same verdict as kstatus, on which Flux, Helm and `kubectl wait` rely: Healthy while Ready is True, Degraded while
-- Stalled is True (only a person can end it), Progressing in between, when the operator looks again by itself. Argo CD has a
-- word of its own for what was suspended.
local function found(type)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, condition in ipairs(obj.status.conditions) do
      if condition.type == type then
        return condition
      end
    end
  end
  return nil
end

local ready = found("Ready")
local stalled = found("Stalled")

if ready == nil then
  return {status = "Progressing", message = "The operator has not looked at it yet."}
end
-- It moves only when the object is ready, stalled or suspended.
if obj.status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = ready.message}
end
if ready.reason == "Suspended" then
  return {status = "Suspended", message = ready.message}
end
if stalled ~= nil and stalled.status == "True" then
  return {status = "Degraded", message = stalled.message}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
return {status = "Progressing", message = ready.message}
