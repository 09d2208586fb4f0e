#!/bin/lua
-- A gopher server for one request: the selector on stdin, the answer on stdout, a line about it on stderr.
-- usage: gopher.lua [ROOT [HOST [PORT]]]     (default: /srv/gopher, the address and port that the client reached, 70)
--
-- It lists no directories: Lua alone cannot. A directory is what its file `gophermap` says. A line with a tab is an item,
-- TYPE and NAME, SELECTOR, HOST, PORT, of which what is missing is filled in; a line with `#` first is a comment; all else
-- is text to be shown. A selector that does not begin with / is below the map's own directory.

local root = arg[1] or "/srv/gopher"
local host = arg[2] or os.getenv("SERVER_ADDR") or "localhost"
local port = arg[3] or os.getenv("SERVER_PORT") or "70"

local LINE_MAX = 1024 -- RFC 1436 has 255 for a selector; others send more
local BLOCK = 16384

-- One line, without its end. A client that sends none, or a line without end, is answered as far as that goes.
local function request()
    local line = {}
    while #line < LINE_MAX do
        local byte = io.read(1)
        if not byte or byte == "\n" then
            return (table.concat(line):gsub("\r$", ""))
        end
        line[#line + 1] = byte
    end
    return nil, "too-long"
end

-- The names in a selector, or nothing where one of them would lead elsewhere, or is hidden.
local function components(selector)
    if selector:find("%c") then
        return nil
    end
    local names = {}
    for name in selector:gmatch("[^/]+") do
        if name:sub(1, 1) == "." then
            return nil
        end
        names[#names + 1] = name
    end
    return names
end

-- Opens what can be read: a file, or nothing and whether it is a directory.
local function open(path)
    local file = io.open(path, "rb")
    if not file then
        return nil, false
    end
    local first, _, errno = file:read(0)
    if not first and errno then -- EISDIR: a directory opens, but reads not
        file:close()
        return nil, true
    end
    return file, false
end

local sent = 0
local function send(text)
    io.write(text)
    sent = sent + #text
end

local function item(kind, name, selector, its_host, its_port)
    send(("%s%s\t%s\t%s\t%s\r\n"):format(kind, name, selector, its_host, its_port))
end

-- A selector of a map, from the root.
local function absolute(selector, directory)
    if selector:sub(1, 1) == "/" or selector:find("^URL:") or selector:find("^GET ") then
        return selector
    end
    return directory .. "/" .. selector
end

local function menu_line(line, directory)
    local fields = {}
    for field in (line .. "\t"):gmatch("([^\t]*)\t") do
        fields[#fields + 1] = field
    end
    local kind, name = fields[1]:sub(1, 1), fields[1]:sub(2)
    if #fields == 1 or kind == "" then
        return item("i", fields[1], "", "null.host", "1")
    end
    local function given(n)
        return fields[n] and fields[n] ~= "" and fields[n]
    end
    local elsewhere = given(3)
    local selector = given(2) or name
    item(kind, name, elsewhere and selector or absolute(selector, directory), elsewhere or host, given(4) or port)
end

local function menu(map, directory)
    for line in map:lines() do
        line = line:gsub("\r$", "")
        if line:sub(1, 1) ~= "#" then
            menu_line(line, directory)
        end
    end
    send(".\r\n")
end

local function copy(file)
    for block in function() return file:read(BLOCK) end do
        send(block)
    end
end

local function refuse(text)
    item("3", text, "", "error.host", "1")
    send(".\r\n")
end

-- Answers, and says how: the type of what was sent, and a word for the log.
local function answer(line, flaw)
    if flaw then
        refuse("The selector is too long")
        return "3", flaw
    end
    local selector = line:match("^[^\t]*")
    local names = components(selector)
    if not names then
        refuse("There is nothing of that name")
        return "3", "forbidden"
    end
    local path = table.concat(names, "/")
    local directory = path == "" and "" or "/" .. path
    local file, is_directory = open(root .. directory)
    if file then
        copy(file)
        return "0", "ok"
    end
    local map = is_directory and open(root .. directory .. "/gophermap")
    if map then
        menu(map, directory)
        return "1", "ok"
    end
    refuse("There is nothing of that name")
    return "3", "not-found"
end

-- What a client sent, so that it stays within its quotes.
local function quoted(text)
    return (text:gsub('[%c"\\\128-\255]', function(c) return ("\\x%02X"):format(c:byte()) end))
end

io.stdout:setvbuf("full", BLOCK)
local line, flaw = request()
local kind, status = answer(line, flaw)
local flushed = io.stdout:flush()
local peer = os.getenv("REMOTE_ADDR") or "-"
io.stderr:write(('peer=%s selector="%s" type=%s bytes=%d status=%s\n'):format(
    peer, quoted((line or ""):match("^[^\t]*")), kind, sent, flushed and status or "broken-off"))
os.exit(flushed and 0 or 1)
