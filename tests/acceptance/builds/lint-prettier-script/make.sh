#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put web/package.json <<'P'
{
  "name": "quay-web",
  "private": true,
  "scripts": { "format:check": "prettier --check \"src/**/*.{ts,css}\"" },
  "devDependencies": { "prettier": "3.4.2" }
}
P
put web/.prettierrc <<'P'
{ "singleQuote": true, "semi": false }
P
put web/src/quay.ts <<'P'
export function berth(name: string,   length:number) { return {name, length, free : true};
}
P
put web/src/quay.css <<'P'
.berth{color:red;background : blue}
P
commit "Add quay"
