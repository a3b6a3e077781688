"""Which kind of failure a tool reports, for tools whose findings look alike: `file:line: message`."""

from __future__ import annotations

import re

from autofix.signals import FailureType

_LINT = """
actionlint alex ameba ansible-lint api-extractor asmfmt autoflake autopep8 beautysh biome black blade-formatter buildifier
buf-lint cfn-lint cfn_lint checkbashisms checkmake checkpatch checkstyle chktex clang-format clang-tidy clippy clj-kondo
cljfmt cljstyle codenarc codespell coffeelint commentator cookstyle cpplint cppcheck credo cspell csscomb csslint
cue-fmt curlylint dartfmt deadcode deadnix detekt dialyxir djhtml djlint doc8 docformatter dotenv-linter dprint dscanner
editorconfig-checker erb-lint erblint ec elvis elm-format elm-review ember-template-lint end-of-file-fixer eslint
fantomas fasterer fecs fixjson flake8 foodcritic fourmolu gci gherkin-lint gitlint-ci gjslint gocritic gocyclo gofmt
gofumpt goimports golangci-lint golint google-java-format goreportcard grammarly groovylint hadolint haml-lint haml_lint
hie-bios hlint html-validate htmlhint htmllint i18n-tasks infer-lint isort jscs jscpd jshint jsonlint jsonnetfmt jsonnet-lint
kotlinter ktfmt ktlint kube-linter kube-score latexindent less-hint lintr lint-staged luacheck lualint
markdownlint markdownlint-cli2 markdown-link-check mado mdformat mdl megalinter misspell mixed-line-ending mmd-lint
nbqa nilness nixfmt nixpkgs-fmt ocamlformat oelint ormolu oxlint packer-fmt pep257 pep8 perlcritic perltidy perfectionist
php-cs-fixer phpcbf phpcs phplint phpmd phpcpd pint pinact pmd polylint prettier prettier-check proselint proto-lint
protolint psscriptanalyzer pug-lint puppet-lint pycodestyle pydocstyle pydoclint pyflakes pylint pylama pyupgrade quick-lint-js
raku-lint rails_best_practices reek refurb regal remark remark-lint restructuredtext-lint revive robocop rpmlint rst-lint rstcheck rstlint
rubocop ruff rufo rustfmt sass-lint scalafix scalafmt scalastyle scss-lint scss_lint secretlint-rule selene shellcheck shellharden shfmt
slim-lint slim_lint solhint solium sparse spectral sphinx-lint spell spellcheck spelling spotless spotbugs sqlfluff sqlfmt sqlint sqruff standard standardjs
standardrb statix staticcheck stylelint stylish-haskell stylua styler swift-format swiftformat swiftlint syntaxlint
taplo terraform-fmt textlint tflint thriftcheck topiary tomlcheck tomll trailing-whitespace treefmt tslint twigcs twig-lint typos
unconvert unimport unparam vacuum vale vet-style verible verilator-lint vint vulture woke wemake xenon xmllint xo yamale yamlfmt yamllint yapf
zprint zizmor-lint findbugs errorprone sonarlint nilaway unused ineffassign errcheck govet go-vet
""".split()
_TYPECHECK = """
basedpyright closure-compiler dialyzer dmypy dotnet-build elm-make flow glint gotype javac kotlinc mypy nullaway phan phpstan psalm
pyre pyre-check pyright pytype rescript sorbet srb steep svelte-check ts-check tsc ts-loader ty typecheck typescript typescript-check vue-tsc zuban larastan scalac
ghc ocamlc swiftc rustc gcc g++ clang clang++ csc fsc valac dmd gnat gfortran msbuild cargo-check kotlin luau-lsp teal
""".split()
_SECURITY = """
anchore bandit brakeman bundler-audit bundle-audit cargo-audit checkov clair codeql composer-audit cosign dependency-check detect-private-key detect-aws-credentials
detect-secrets dockle find-sec-bugs findsecbugs flawfinder git-secrets gitguardian ggshield gitleaks gosec govulncheck grype horusec infer
kics kubeaudit kube-bench kubescape kubesec mobsf mythril nancy njsscan nodejsscan npm-audit nuclei osv-scanner pip-audit polaris-security prowler retire retire.js safety
secretlint security-checker semgrep slither snyk sobelow talisman tfsec terrascan tfscan trivy trufflehog whispers xray yarn-audit zap zizmor noseyparker
ripsecrets detect-secrets-hook roslynator-security security-scan docker-scout scout
""".split()
_POLICY = """
addlicense commitlint conftest danger dangerjs deny-licenses dco fossa gatekeeper gitlint go-licenses kyverno licensed license-checker license-check
license-eye license_finder liccheck licensecheck opa opa-test pip-licenses reuse semantic-pull-request sentinel conventional-pre-commit no-commit-to-branch
cargo-about commitizen licenserc gitlint branch-name-lint codeowners
""".split()
_TEST = """
avocado bats behat behave busted catch2 cargo-nextest codeception cucumber ctest cypress doctest eunit ginkgo googletest gtest hspec jasmine jest junit karma
kotest minitest mocha nightwatch nose nosetests nunit ospec pester phpspec phpunit playwright protractor pytest qunit robot rspec
scalatest specs2 spock surefire tape tap tasty testcafe testng testthat unittest utplsql vitest xctest xunit ava exunit failsafe
""".split()
_SCHEMA = """
alembic atlas dbmate diesel django-migrations ecto flyway goose liquibase makemigrations migrate-mongo prisma-migrate sequelize-cli
sqitch typeorm umzug phinx doctrine-migrations golang-migrate sqlx-migrate refinery
""".split()

TOOL_TYPES: dict[str, FailureType] = {
    **dict.fromkeys(_LINT, FailureType.LINT),
    **dict.fromkeys(_TYPECHECK, FailureType.TYPECHECK),
    **dict.fromkeys(_SECURITY, FailureType.SECURITY),
    **dict.fromkeys(_POLICY, FailureType.POLICY),
    **dict.fromkeys(_TEST, FailureType.TEST_ASSERT),
    **dict.fromkeys(_SCHEMA, FailureType.SCHEMA_MIGRATION),
}
# Two words that name one thing: the second word decides what the first one is doing.
_PHRASES = tuple(
    (re.compile(pattern), type_)
    for pattern, type_ in (
        (r"\b(?:npm|pnpm|yarn|cargo|pip|composer|bundle|bundler|mix|uv)[ -](?:npm )?audit\b", FailureType.SECURITY),
        (r"\bcargo[ -]deny\b", FailureType.POLICY),
        (r"\bmix credo\b|\bmix format\b|\bcargo (?:fmt|clippy)\b|\bgo (?:vet|fmt)\b|\bdart format\b|\bterraform fmt\b|\bnix fmt\b|\bhelm lint\b|\bdocker lint\b", FailureType.LINT),
        (r"\b(?:ruff|deno|biome|buf|sqlfluff|flutter|dart|next|ng|expo|bun|vp|yarn|npm run|nx|turbo) (?:run )?(?:lint|check|format|analyze)\b", FailureType.LINT),
        (r"\b(?:type-?check|check-?types|types:check)\b", FailureType.TYPECHECK),
        (r"\bmix dialyzer\b|\bcargo check\b", FailureType.TYPECHECK),
        (r"\btrivy|\bsecret[- ]?scan", FailureType.SECURITY),
        (r"\blicen[cs]es?\b", FailureType.POLICY),
    )
)  # fmt: skip
_WORD = re.compile(r"[a-z0-9_+][a-z0-9_.+-]*[a-z0-9+]")


def type_of_tool(text: str) -> FailureType | None:
    """The type of findings of the tool that `text` (a step name, a command, a hook id) names; None if it names none."""
    text = text.lower()
    for pattern, type_ in _PHRASES:
        if pattern.search(text):
            return type_
    for word in _WORD.findall(text):
        if type_ := TOOL_TYPES.get(word):
            return type_
    if re.search(r"\b(?:lint(?:er|ing|ers)?|format(?:ting)?(?::check)?|style|fmt)\b", text):
        return FailureType.LINT
    return None
