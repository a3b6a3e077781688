#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put schema/berth.proto <<'P'
syntax = "proto3";
message Berth { int32 number = 1; }
P
commit "Add schema"
