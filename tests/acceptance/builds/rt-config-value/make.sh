#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put station/__init__.py </dev/null
put station/__main__.py <<'P'
import configparser
import sys

config = configparser.ConfigParser()
config.read(sys.argv[2])
port = config.getint("server", "port")
print(port)
P
put config/station.ini <<'P'
[server]
port = eighty
P
commit "Add station"
