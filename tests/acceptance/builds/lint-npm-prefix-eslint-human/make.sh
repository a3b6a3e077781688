#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put ui/package.json <<'P'
{ "name": "ui", "private": true, "scripts": { "lint": "eslint ." }, "devDependencies": { "eslint": "9.17.0" } }
P
put ui/eslint.config.js <<'P'
module.exports = [
  { files: ["src/*.js"], languageOptions: { sourceType: "commonjs" }, rules: { "prefer-const": "error", "no-undef": "error" } },
];
P
put ui/src/sum.js <<'P'
let rate = 3;
module.exports = (x) => x * rate + surcharge;
P
commit "Add sum"
