#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put packages/web/package.json <<'P'
{
  "name": "web",
  "version": "1.2.0",
  "private": true,
  "scripts": {
    "lint": "eslint src",
    "test": "node --test test/"
  },
  "devDependencies": {
    "eslint": "9.17.0"
  }
}
P
put packages/web/eslint.config.js <<'P'
module.exports = [
  {
    files: ["**/*.js"],
    languageOptions: { sourceType: "commonjs" },
    rules: { "no-var": "error", "prefer-const": "error", "object-shorthand": "error", "no-extra-boolean-cast": "error" },
  },
];
P
put packages/web/src/basket.js <<'P'
var add = function (basket, item) {
  let items = basket.items.concat(item);
  return { items: items, full: !!(items.length > 9) };
};

module.exports = { add: add };
P
put packages/web/test/basket.test.js <<'P'
const test = require("node:test");
const assert = require("node:assert");
const { add } = require("../src/basket.js");

test("adds", () => assert.deepStrictEqual(add({ items: [1] }, 2), { items: [1, 2], full: false }));
P
echo package-lock.json >>.gitignore
commit "Add basket"
