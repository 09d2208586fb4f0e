-- A handler in Lua: a line and a file.
local line = io.read("l")
local file = assert(io.open("/tmp/app", "w"))
file:write(line)
file:close()
print("lua: " .. assert(io.open("/tmp/app")):read("l"))
