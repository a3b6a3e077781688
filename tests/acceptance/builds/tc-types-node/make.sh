#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put package.json <<'P'
{
  "name": "hull",
  "private": true,
  "devDependencies": {
    "typescript": "5.7.2"
  }
}
P
put tsconfig.json <<'P'
{ "compilerOptions": { "strict": true, "noEmit": true, "module": "commonjs" }, "include": ["src"] }
P
put src/hull.ts <<'P'
export const depth: number = Number(process.env.DEPTH ?? 3);
P
commit "Add hull"
