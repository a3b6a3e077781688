"""Which kind of failure a tool reports, for tools whose findings look alike: `file:line: message`."""

from __future__ import annotations

import re

from autofix.signals import FailureType

_LINT = """
actionlint alex ameba ansible-lint api-extractor asmfmt autoflake autopep8 beautysh biome black
blade-formatter buf-lint buildifier cfn-lint cfn_lint checkbashisms checkmake checkpatch checkstyle chktex
clang-format clang-tidy clippy clj-kondo cljfmt cljstyle codenarc codespell coffeelint commentator cookstyle
cppcheck cpplint credo cspell csscomb csslint cue-fmt curlylint dartfmt deadcode deadnix detekt dialyxir
djhtml djlint doc8 docformatter dotenv-linter dprint dscanner ec editorconfig-checker elm-format elm-review
elvis ember-template-lint end-of-file-fixer erb-lint erblint errcheck errorprone eslint fantomas fasterer
fecs findbugs fixjson flake8 foodcritic fourmolu gci gherkin-lint gitlint-ci gjslint go-vet gocritic gocyclo
gofmt gofumpt goimports golangci-lint golint google-java-format goreportcard govet grammarly groovylint
hadolint haml-lint haml_lint hie-bios hlint html-validate htmlhint htmllint i18n-tasks ineffassign
infer-lint isort jscpd jscs jshint jsonlint jsonnet-lint jsonnetfmt kotlinter ktfmt ktlint kube-linter
kube-score latexindent less-hint lint-staged lintr luacheck lualint mado markdown-link-check markdownlint
markdownlint-cli2 mdformat mdl megalinter misspell mixed-line-ending mmd-lint nbqa nilaway nilness nixfmt
nixpkgs-fmt ocamlformat oelint ormolu oxlint packer-fmt pep257 pep8 perfectionist perlcritic perltidy
php-cs-fixer phpcbf phpcpd phpcs phplint phpmd pinact pint pmd polylint prettier prettier-check proselint
proto-lint protolint psscriptanalyzer pug-lint puppet-lint pycodestyle pydoclint pydocstyle pyflakes pylama
pylint pyupgrade quick-lint-js rails_best_practices raku-lint reek refurb regal remark remark-lint
restructuredtext-lint revive robocop rpmlint rst-lint rstcheck rstlint rubocop ruff rufo rustfmt sass-lint
scalafix scalafmt scalastyle scss-lint scss_lint secretlint-rule selene shellcheck shellharden shfmt
slim-lint slim_lint solhint solium sonarlint sparse spectral spell spellcheck spelling sphinx-lint spotbugs
spotless sqlfluff sqlfmt sqlint sqruff standard standardjs standardrb staticcheck statix stylelint styler
stylish-haskell stylua swift-format swiftformat swiftlint syntaxlint taplo terraform-fmt textlint tflint
thriftcheck tomlcheck tomll topiary trailing-whitespace treefmt tslint twig-lint twigcs typos unconvert
unimport unparam unused vacuum vale verible verilator-lint vet-style vint vulture wemake woke xenon xmllint
xo yamale yamlfmt yamllint yapf zizmor-lint zprint
""".split()
_TYPECHECK = """
basedpyright cargo-check clang clang++ closure-compiler csc dialyzer dmd dmypy dotnet-build elm-make flow
fsc g++ gcc gfortran ghc glint gnat gotype javac kotlin kotlinc larastan luau-lsp msbuild mypy nullaway
ocamlc phan phpstan psalm pyre pyre-check pyright pytype rescript rustc scalac sorbet srb steep svelte-check
swiftc teal ts-check ts-loader tsc ty typecheck typescript typescript-check valac vue-tsc zuban
""".split()
_SECURITY = """
anchore bandit brakeman bundle-audit bundler-audit cargo-audit checkov clair codeql composer-audit cosign
dependency-check detect-aws-credentials detect-private-key detect-secrets detect-secrets-hook docker-scout
dockle find-sec-bugs findsecbugs flawfinder ggshield git-secrets gitguardian gitleaks gosec govulncheck
grype horusec infer kics kube-bench kubeaudit kubescape kubesec mobsf mythril nancy njsscan nodejsscan
noseyparker npm-audit nuclei osv-scanner pip-audit polaris-security prowler retire retire.js ripsecrets
roslynator-security safety scout secretlint security-checker security-scan semgrep slither snyk sobelow
talisman terrascan tfscan tfsec trivy trufflehog whispers xray yarn-audit zap zizmor
""".split()
_POLICY = """
addlicense branch-name-lint cargo-about codeowners commitizen commitlint conftest conventional-pre-commit
danger dangerjs dco deny-licenses fossa gatekeeper gitlint go-licenses kyverno liccheck license-check
license-checker license-eye license_finder licensecheck licensed licenserc no-commit-to-branch opa opa-test
pip-licenses reuse semantic-pull-request sentinel
""".split()
_TEST = """
ava avocado bats behat behave busted cargo-nextest catch2 codeception ctest cucumber cypress doctest eunit
exunit failsafe ginkgo googletest gtest hspec jasmine jest junit karma kotest minitest mocha nightwatch nose
nosetests nunit ospec pester phpspec phpunit playwright protractor pytest qunit robot rspec scalatest specs2
spock surefire tap tape tasty testcafe testng testthat unittest utplsql vitest xctest xunit
""".split()
_SCHEMA = """
alembic atlas dbmate diesel django-migrations doctrine-migrations ecto flyway golang-migrate goose liquibase
makemigrations migrate-mongo phinx prisma-migrate refinery sequelize-cli sqitch sqlx-migrate typeorm umzug
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
        (r"\b(?:mix credo|mix format|cargo fmt|cargo clippy|go vet|go fmt|dart format)\b", FailureType.LINT),
        (r"\b(?:terraform fmt|nix fmt|helm lint|docker lint)\b", FailureType.LINT),
        (r"\b(?:ruff|deno|biome|buf|sqlfluff) (?:lint|check|format)\b", FailureType.LINT),
        (r"\b(?:flutter|dart|next|ng|expo|bun|vp|yarn|nx|turbo) (?:run )?(?:lint|format|analyze)\b", FailureType.LINT),
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
        if word in TOOL_TYPES:
            return TOOL_TYPES[word]
    if re.search(r"\b(?:lint(?:er|ing|ers)?|format(?:ting)?(?::check)?|style|fmt)\b", text):
        return FailureType.LINT
    return None
