#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put rope.c <<'P'
#include <nautical/rope.h>
int main(void) { return 0; }
P
commit "Add rope"
