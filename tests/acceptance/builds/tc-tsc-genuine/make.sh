#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put package.json <<'P'
{ "name": "meter", "private": true, "scripts": { "typecheck": "tsc --noEmit -p ." }, "devDependencies": { "typescript": "5.7.2" } }
P
put tsconfig.json <<'P'
{ "compilerOptions": { "strict": true, "types": [] }, "include": ["src"] }
P
put src/meter.ts <<'P'
export function read(values: number[]): string {
  return values.reduce((a, b) => a + b, 0);
}
P
commit "Add meter"
