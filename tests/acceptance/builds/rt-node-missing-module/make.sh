#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put package.json <<'P'
{
  "name": "timer",
  "private": true,
  "scripts": { "test": "node --test test/" },
  "dependencies": { "mri": "1.2.0" }
}
P
put test/timer.test.js <<'P'
const test = require("node:test");
const assert = require("node:assert");
const ms = require("ms");

test("minutes", () => assert.equal(ms("2m"), 120000));
P
commit "Add timer"
