"""classify_failure on lines of many tools, bare and as CI services wrap them."""

# Log lines are as long as the tools print them.
# ruff: noqa: E501

import pytest

from autofix.failures import FailureType as T
from autofix.failures import classify_failure

# (type, step name, log)
# fmt: off
TOOL_LINES = [
    (T.LINT, 'golint','main.go:3:1: exported function Foo should have comment or be unexported'),
    (T.LINT, 'luacheck','Checking src/a.lua    2 warnings\n\n    src/a.lua:3:7: unused variable x\n\nTotal: 2 warnings / 0 errors in 1 file'),
    (T.LINT, 'reek','spec/a.rb -- 2 warnings:\n  [3, 5]:DuplicateMethodCall: A#b calls c 2 times'),
    (T.LINT, 'tflint','1 issue(s) found:\n\nWarning: Missing version constraint for provider "aws" (terraform_required_providers)\n\n  on main.tf line 3:'),
    (T.LINT, 'sqlfluff','== [a.sql] FAIL\nL:   1 | P:   1 | LT12 | Files must end with a single trailing newline.\nAll Finished!'),
    (T.LINT, 'stylelint','src/a.css\n  3:5  ✖  Unexpected empty block  block-no-empty\n\n1 problem (1 error, 0 warnings)'),
    (T.LINT, 'clj-kondo','src/a.clj:3:1: warning: unused binding x\nlinting took 10ms, errors: 0, warnings: 1'),
    (T.LINT, 'credo','┃ [R] ↗ Modules should have a @moduledoc tag.\n┃       lib/a.ex:1:11 #(A)'),
    (T.TYPECHECK, 'dialyzer','lib/a.ex:3:no_return\nFunction foo/1 has no local return.\n________\ndone (warnings were emitted)\nHalting VM with exit status 2'),
    (T.LINT, 'slim-lint','app/a.html.slim:3 [W] LineLength: Line is too long. [120/80]'),
    (T.LINT, 'protolint','[a.proto:3:5] Field name "fooBar" must be underscore_separated_names'),
    (T.LINT, 'vint','a.vim:3:5: Use robust operators `=~#` or `=~?` instead of `=~`'),
    (T.LINT, 'checkstyle','[ERROR] /x/A.java:12:5: Missing a Javadoc comment. [MissingJavadocMethod]\nCheckstyle ends with 1 errors.'),
    (T.LINT, 'cpplint','a.cpp:3:  Missing space after ,  [whitespace/comma] [3]\nTotal errors found: 1'),
    (T.LINT, 'tslint','ERROR: src/a.ts:3:1 - Missing semicolon'),
    (T.LINT, 'jshint','a.js: line 1, col 10, Missing semicolon.\n\n1 error'),
    (T.LINT, 'dotenv-linter','.env:2 DuplicatedKey: The FOO key is duplicated\n\nFound 1 problem'),
    (T.LINT, 'markdownlint','README.md:3:81 MD013/line-length Line length [Expected: 80; Actual: 100]'),
    (T.LINT, 'alex','readme.md\n  1:5-1:14  warning  `boogeyman` may be insensitive  boogeyman-boogeywoman  retext-equality\n\n⚠ 1 warning'),
    (T.LINT, 'textlint','/x/a.md\n  3:5  error  Disallow to use "!"  no-exclamation-question-mark\n\n✖ 1 problem (1 error, 0 warnings)'),
    (T.LINT, 'ktlint','src/A.kt:3:1: Unexpected blank line(s) (no-blank-line-before-rbrace)'),
    (T.LINT, 'detekt','src/A.kt:3:5: The function f is too long. [LongMethod]\nAnalysis failed with 1 weighted issues.'),
    (T.LINT, 'scalastyle','warning file=/x/A.scala message=File line length exceeds 100 characters line=12'),
    (T.LINT, 'rst-lint','WARNING README.rst:12 Title underline too short.'),
    (T.LINT, 'xmllint','a.xml:3: parser error : Opening and ending tag mismatch: a line 1 and b'),
    (T.LINT, 'jsonlint','a.json: line 3, col 5, found: \',\' - expected: \'}\'.'),
    (T.LINT, 'cfn-lint','E3002 Invalid Property Resources/A/Properties/B\na.yml:12:7'),
    (T.LINT, 'pylint','************* Module a\na.py:1:0: C0114: Missing module docstring (missing-module-docstring)\n\n-----\nYour code has been rated at 5.00/10'),
    (T.LINT, 'cppcheck','a.c:12:5: style: Variable \'x\' is assigned a value that is never used. [unreadVariable]'),
    (T.LINT, 'doc8','docs/a.rst:3: D001 Line too long'),
    (T.LINT, 'perlcritic','Code before strictures are enabled at line 3, column 1.  See page 429 of PBP.  (Severity: 5)'),
    (T.LINT, 'kube-linter','a.yaml: (object: <no namespace>/x apps/v1, Kind=Deployment) container "x" does not have a read-only root file system (check: no-read-only-root-fs, remediation: Set readOnlyRootFilesystem to true)\nError: found 1 lint errors'),
    (T.LINT, 'buf lint','a.proto:3:1:Package name "foo" should be suffixed with a correctly formed version, such as "foo.v1".'),
    (T.LINT, 'erb-lint','Extra space detected where there should be no space.\nIn file: app/a.html.erb:3\n\n1 error(s) were found in ERB files'),
    (T.LINT, 'format','Check formatting...\nerror: found diffs in 2 files; run `make fmt` to fix'),
    (T.LINT, 'gofmt check','The following files need to be formatted:\nmain.go'),
    (T.TYPECHECK, 'build','src/lib.rs:3:5: error[E0425]: cannot find value `x` in this scope'),
    (T.TYPECHECK, 'sbt','[error] /x/A.scala:6:35: type mismatch;\n[error]  found   : Int\n[error] (Compile / compileIncremental) Compilation failed'),
    (T.TYPECHECK, 'sorbet','app/a.rb:3: Method `foo` does not exist on `NilClass` https://srb.help/7003\nErrors: 1'),
    (T.TYPECHECK, 'flow','Error ┈┈┈┈┈┈┈ src/a.js:3:5\n\nCannot assign 1 to x because number is incompatible with string.\n\nFound 1 error'),
    (T.TYPECHECK, 'ghc','src/A.hs:3:5: error:\n    • Couldn\'t match expected type ‘Int’ with actual type ‘[Char]’'),
    (T.TYPECHECK, 'build','a.f90:3:5:\n\nError: Symbol ‘x’ at (1) has no IMPLICIT type'),
    (T.TYPECHECK, 'compile','Error: src/a.sol:3:5: TypeError: Type uint256 is not implicitly convertible'),
    (T.TYPECHECK, 'zig','src/main.zig:3:5: error: use of undeclared identifier \'x\''),
    (T.TYPECHECK, 'mix compile','** (CompileError) lib/a.ex:3: undefined function foo/0'),
    (T.TYPECHECK, 'ocaml','File "a.ml", line 3, characters 5-8:\nError: This expression has type int but an expression was expected of type string'),
    (T.TYPECHECK, 'vue-tsc','src/a.vue(3,5): error TS2322: Type \'string\' is not assignable to type \'number\'.'),
    (T.SECURITY, 'brakeman','== Warnings ==\n\nConfidence: High\nCategory: SQL Injection\nCheck: SQL\nMessage: Possible SQL injection'),
    (T.SECURITY, 'semgrep','┌─────────────────┐\n│ 1 Code Finding │\n└─────────────────┘\n    a.py\n   ❯❯❱ python.lang.security.audit.eval-detected'),
    (T.SECURITY, 'tfsec','Result #1 HIGH Security group rule allows ingress from public internet.\n  main.tf:3\n\n  1 potential problem(s) detected.'),
    (T.SECURITY, 'trivy image','alpine:3.10 (alpine 3.10.9)\n===\nTotal: 1 (CRITICAL: 1)\n│ apk-tools │ CVE-2021-36159 │ CRITICAL │'),
    (T.SECURITY, 'grype','NAME  INSTALLED  FIXED-IN  TYPE  VULNERABILITY   SEVERITY\ncurl  7.1  7.2  deb  CVE-2023-1  Critical\n[0012] ERROR discovered vulnerabilities at or above the severity threshold'),
    (T.SECURITY, 'snyk test','✗ High severity vulnerability found in lodash\nTested 12 dependencies for known issues, found 1 issue, 1 vulnerable path.'),
    (T.SECURITY, 'bundle audit','Name: rack\nVersion: 2.0.1\nAdvisory: CVE-2018-16471\nVulnerabilities found!'),
    (T.SECURITY, 'yarn audit','┌───────────────┬────┐\n│ high          │ Prototype Pollution │\n3 vulnerabilities found - Packages audited: 1200'),
    (T.SECURITY, 'trufflehog','🐷🔑🐷  TruffleHog. Unearth your secrets. 🐷🔑🐷\n\nFound verified result 🐷🔑\nDetector Type: AWS'),
    (T.SECURITY, 'osv-scanner','| OSV URL | CVSS | ECOSYSTEM | PACKAGE |\n| https://osv.dev/GHSA-aaaa-bbbb-cccc | 7.5 | npm | a |'),
    (T.SECURITY, 'cargo deny','error[vulnerability]: Potential segfault in the time crate\n    ┌─ Cargo.lock:12:1\nadvisories FAILED'),
    (T.SECURITY, 'apt','E: The repository \'http://x stable InRelease\' is not signed.'),
    (T.SECURITY, 'helm','Error: failed to verify signature'),
    (T.SECURITY, 'ssh','@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.'),
    (T.SECURITY, 'download','shasum: WARNING: 1 computed checksum did NOT match\na.tgz: FAILED'),
    (T.SECURITY, 'brew','Error: SHA256 mismatch\nExpected: aa\nActual: bb'),
    (T.SECURITY, 'mvn','sun.security.validator.ValidatorException: PKIX path building failed: unable to find valid certification path to requested target'),
    (T.SECURITY, 'cargo','error: checksum for `a v1.0.0` changed between lock files'),
    (T.POLICY, 'merge','! [remote rejected] main -> main (pre-receive hook declined)\nremote: GitLab: You are not allowed to push code to protected branches on this project.'),
    (T.POLICY, 'terraform','Error: error creating IAM Role: AccessDenied: User: arn:aws:iam::1:user/ci is not authorized to perform: iam:CreateRole'),
    (T.POLICY, 'gcloud','ERROR: (gcloud.run.deploy) PERMISSION_DENIED: Permission \'run.services.get\' denied on resource'),
    (T.POLICY, 'docker push','denied: requested access to the resource is denied'),
    (T.POLICY, 'twine','HTTPError: 403 Forbidden from https://upload.pypi.org/legacy/\nInvalid or non-existent authentication information.'),
    (T.POLICY, 'gh','gh: Resource not accessible by integration (HTTP 403)'),
    (T.POLICY, 'gatekeeper','Error from server (Forbidden): admission webhook "validation.gatekeeper.sh" denied the request: [must-have-owner] you must provide labels: {"owner"}'),
    (T.POLICY, 'dco','Commit 1234567 is missing a Signed-off-by line'),
    (T.POLICY, 'license','Package "foo@1.0" is licensed under "GPL-3.0" which is not permitted by the --onlyAllow flag. Exiting.'),
    (T.POLICY, 'nyc','ERROR: Coverage for lines (71.4%) does not meet global threshold (80%)'),
    (T.POLICY, 'go cover','coverage: 61.2% of statements\nCoverage 61.2% is below the required threshold of 80%'),
    (T.POLICY, 'sonar','ERROR: QUALITY GATE STATUS: FAILED - View details on https://sonar/x'),
    (T.POLICY, 'deploy','Error: Azure policy: Resource \'x\' was disallowed by policy. (RequestDisallowedByPolicy)'),
    (T.POLICY, 'psql','psql: error: FATAL:  password authentication failed for user "app"'),
    (T.POLICY, 'codeowners','Merging is blocked: review from code owners is required'),
    (T.RATE_LIMIT, 'gh api','{"message":"You have exceeded a secondary rate limit and have been temporarily blocked"}'),
    (T.RATE_LIMIT, 'aws','botocore.exceptions.ClientError: An error occurred (RequestLimitExceeded) when calling the RunInstances operation: Request limit exceeded.'),
    (T.RATE_LIMIT, 'pypi','pip._internal.exceptions.NetworkConnectionError: 429 Client Error: Too Many Requests for url: https://pypi.org/simple/a/'),
    (T.RATE_LIMIT, 'azure','(TooManyRequests) The request is being throttled as the limit has been reached'),
    (T.RATE_LIMIT, 'acme','Error creating new order :: too many certificates already issued for: example.com: see https://letsencrypt.org/docs/rate-limits/'),
    (T.RATE_LIMIT, 'vault','Code: 429. Errors: * request path "x": rate limit quota exceeded'),
    (T.RATE_LIMIT, 'openai','openai.error.RateLimitError: You exceeded your current quota, please check your plan'),
    (T.RATE_LIMIT, 'k8s','I0101 request.go:668] Waited for 1.2s due to client-side throttling\nError: the server has received too many requests and has asked us to try again later'),
    (T.RATE_LIMIT, 'curl','curl: (22) The requested URL returned error: 429'),
    (T.TRANSIENT, 'git','error: RPC failed; curl 18 transfer closed with outstanding read data remaining\nfatal: early EOF'),
    (T.TRANSIENT, 'go','read tcp 10.0.0.1:443: read: connection reset by peer'),
    (T.TRANSIENT, 'curl','curl: (56) Recv failure: Connection reset by peer'),
    (T.TRANSIENT, 'wget','HTTP request sent, awaiting response... 503 Service Unavailable\n2025-01-01 00:00:00 ERROR 503: Service Unavailable.'),
    (T.TRANSIENT, 'redis','redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused.'),
    (T.TRANSIENT, 'pg','ERROR:  deadlock detected\nDETAIL:  Process 1 waits for ShareLock'),
    (T.TRANSIENT, 'apt','E: Failed to fetch http://x/a.deb  Temporary failure resolving \'x\''),
    (T.TRANSIENT, 'gradle','> Could not resolve com.x:y:1.\n   > Could not get resource \'https://r/a.pom\'.\n      > Read timed out'),
    (T.TRANSIENT, 'k8s','Error from server (ServiceUnavailable): the server is currently unable to handle the request'),
    (T.TRANSIENT, 'kafka','org.apache.kafka.common.errors.TimeoutException: Topic x not present in metadata after 60000 ms.'),
    (T.TRANSIENT, 'grpc','rpc error: code = Unavailable desc = transport is closing'),
    (T.TRANSIENT, 'yarn','error An unexpected error occurred: "https://registry.yarnpkg.com/a: ESOCKETTIMEDOUT".'),
    (T.TRANSIENT, 'ssh','kex_exchange_identification: Connection closed by remote host'),
    (T.TRANSIENT, 'docker','failed to do request: Head "https://ghcr.io/v2/a": dial tcp: lookup ghcr.io on 127.0.0.53:53: server misbehaving'),
    (T.TRANSIENT, 'pip','WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by NewConnectionError\nERROR: Could not install packages due to an OSError: HTTPSConnectionPool(host=\'pypi.org\', port=443): Max retries exceeded with url: /simple/a/ (Caused by NameResolutionError("Failed to resolve \'pypi.org\'"))'),
    (T.TRANSIENT, 'cargo','error: failed to get `a` as a dependency\nCaused by:\n  failed to fetch `https://github.com/rust-lang/crates.io-index`\nCaused by:\n  network failure seems to have happened'),
    (T.INFRA, 'run','qemu-system-x86_64: Could not access KVM kernel module: No such file or directory'),
    (T.INFRA, 'gpu','RuntimeError: CUDA error: out of memory'),
    (T.INFRA, 'kubectl','app-1  0/1  OOMKilled  2  1m'),
    (T.INFRA, 'node','error a@1.0.0: The engine "node" is incompatible with this module. Expected version ">=18". Got "16.1.0"'),
    (T.INFRA, 'cmake','CMake Error: CMake was unable to find a build program corresponding to "Ninja".  CMAKE_MAKE_PROGRAM is not set.'),
    (T.INFRA, 'env','KeyError: \'DATABASE_URL\'\nThe DATABASE_URL environment variable is not set'),
    (T.INFRA, 'deploy','Error: Failed to start container: Error response from daemon: driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:80 failed: port is already allocated'),
    (T.INFRA, 'gradle','FAILURE: Build failed with an exception.\n* What went wrong:\nGradle build daemon disappeared unexpectedly (it may have been killed or may have crashed)'),
    (T.INFRA, 'cfn','CREATE_FAILED  AWS::EC2::Instance  Web  The following resource(s) failed to create'),
    (T.INFRA, 'helm','Error: INSTALLATION FAILED: Kubernetes cluster unreachable: Get "https://10.0.0.1:6443/version": dial tcp 10.0.0.1:6443: connect: connection refused'),
    (T.INFRA, 'build','c++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.'),
    (T.INFRA, 'jenkins','Cannot contact agent-3: hudson.remoting.ChannelClosedException: Channel closed'),
    (T.INFRA, 'make','make: gcc: Command not found\nmake: *** [Makefile:2: a.o] Error 127'),
    (T.INFRA, 'test','E   PermissionError: [Errno 13] Permission denied: \'/var/lib/x\''),
    (T.INFRA, 'android','SDK location not found. Define location with sdk.dir in the local.properties file'),
    (T.RUNTIME, 'start','Error: Cannot find module \'./dist/server.js\'\nRequire stack:\n- /app/index.js'),
    (T.RUNTIME, 'ruby','/usr/lib/ruby/2.7.0/rubygems/core_ext/kernel_require.rb:83:in `require\': cannot load such file -- sinatra (LoadError)'),
    (T.RUNTIME, 'flask','TypeError: __init__() got an unexpected keyword argument \'x\''),
    (T.RUNTIME, 'celery','kombu.exceptions.EncodeError: Object of type X is not JSON serializable'),
    (T.RUNTIME, 'config','yaml.scanner.ScannerError: mapping values are not allowed here\n  in "config.yml", line 3, column 5'),
    (T.RUNTIME, 'java','java.lang.IllegalArgumentException: Could not resolve placeholder \'x\' in value "${x}"'),
    (T.RUNTIME, 'elixir','** (UndefinedFunctionError) function Foo.bar/1 is undefined (module Foo is not available)'),
    (T.RUNTIME, 'dotnet','Unhandled exception. System.IO.FileNotFoundException: Could not load file or assembly'),
    (T.RUNTIME, 'poetry','Because a depends on b (>=2) and c depends on b (<2), version solving failed.'),
    (T.RUNTIME, 'go','main.go:4:2: no required module provides package github.com/a/b; to add it:\n\tgo get github.com/a/b'),
    (T.RUNTIME, 'cargo','error: the lock file /x/Cargo.lock needs to be updated but --locked was passed to prevent this'),
    (T.RUNTIME, 'asan','==123==ERROR: AddressSanitizer: heap-use-after-free on address 0x60 at pc 0x1'),
    (T.RUNTIME, 'pytest','ERROR: usage: pytest [options]\npytest: error: unrecognized arguments: --cov'),
    (T.RUNTIME, 'tox','ERROR: could not find tox.ini\nTraceback (most recent call last):\nValueError: bad config'),
    (T.RUNTIME, 'eslint','Oops! Something went wrong! :(\nESLint: 8.0.0\nESLint couldn\'t find a configuration file.'),
    (T.RUNTIME, 'latex','! LaTeX Error: File `foo.sty\' not found.'),
    (T.RUNTIME, 'jest','  ● Test suite failed to run\n\n    Cannot find module \'x\' from \'a.test.js\'\n\nTest Suites: 1 failed, 1 total\nTests:       0 total'),
    (T.SCHEMA_MIGRATION, 'ecto','** (Postgrex.Error) ERROR 42P01 (undefined_table) relation "users" does not exist'),
    (T.SCHEMA_MIGRATION, 'liquibase','Unexpected error running Liquibase: Validation Failed:\n     1 changesets check sum'),
    (T.SCHEMA_MIGRATION, 'knex','migration file "20200101_a.js" failed\nmigration failed with error: alter table x - duplicate column name'),
    (T.SCHEMA_MIGRATION, 'typeorm','QueryFailedError: relation "users" already exists'),
    (T.SCHEMA_MIGRATION, 'ef','The model for context \'AppDb\' has pending changes. Add a new migration before updating the database.'),
    (T.SCHEMA_MIGRATION, 'goose','goose run: ERROR 00003_x.sql: failed to run SQL migration'),
    (T.SCHEMA_MIGRATION, 'dbmate','Error: pq: column "x" of relation "y" already exists'),
    (T.SCHEMA_MIGRATION, 'start','org.hibernate.tool.schema.spi.SchemaManagementException: Schema-validation: missing table [orders]'),
    (T.SCHEMA_MIGRATION, 'atlas','Error: checksum mismatch (atlas.sum): L2: 20230101.sql was edited'),
    (T.SCHEMA_MIGRATION, 'django','django.db.utils.OperationalError: no such column: shop_order.note'),
    (T.SCHEMA_MIGRATION, 'prisma','Error: P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is recovered from.'),
    (T.SCHEMA_MIGRATION, 'alembic','sqlalchemy.exc.ProgrammingError: (psycopg2.errors.DuplicateTable) relation "a" already exists'),
    (T.TEST_ASSERT, 'catch2','test cases:  10 |  9 passed | 1 failed\nassertions: 20 | 19 passed | 1 failed'),
    (T.TEST_ASSERT, 'nunit','Test Run Summary\n  Overall result: Failed\n  Test Count: 10, Passed: 9, Failed: 1, Warnings: 0'),
    (T.TEST_ASSERT, 'elm-test','TEST RUN FAILED\n\nDuration: 100 ms\nPassed:   3\nFailed:   1'),
    (T.TEST_ASSERT, 'cypress','  1 passing (2s)\n  1 failing\n\n  1) a\n     AssertionError: Timed out retrying after 4000ms: Expected to find element'),
    (T.TEST_ASSERT, 'nextest','     Summary [   1.234s] 10 tests run: 9 passed, 1 failed, 0 skipped'),
    (T.TEST_ASSERT, 'scalatest','[info] *** 1 TEST FAILED ***\n[error] Failed tests:\n[error] \tcom.x.ASpec\n[error] (Test / test) sbt.TestsFailedException: Tests unsuccessful'),
    (T.TEST_ASSERT, 'flutter','00:05 +10 -1: Some tests failed.'),
    (T.TEST_ASSERT, 'phpunit','FAILURES!\nTests: 10, Assertions: 20, Failures: 1.'),
    (T.TEST_ASSERT, 'unittest','FAIL: test_a (tests.test_b.TestC)\nAssertionError: 1 != 2\nRan 3 tests in 0.001s\n\nFAILED (failures=1)'),
    (T.TEST_ASSERT, 'perl','t/a.t .. Failed 1/3 subtests\nTest Summary Report\nResult: FAIL'),
    (T.TEST_ASSERT, 'snapshot','› 1 snapshot failed.\nSnapshot Summary'),
    (T.TEST_ASSERT, 'hspec','12 examples, 1 failure'),
    (T.TEST_ASSERT, 'gradle','com.x.FooTest > bar FAILED\n    org.opentest4j.AssertionFailedError at FooTest.java:9\n\n10 tests completed, 1 failed\n> There were failing tests. See the report at: x'),
    (T.TEST_ASSERT, 'bazel','//a:b_test                  FAILED in 1.2s\nExecuted 1 out of 1 test: 1 fails locally.'),
    (T.UNKNOWN, 'job','Terminated\n'),
    (T.UNKNOWN, 'build','Build step \'Execute shell\' marked build as failure\nFinished: FAILURE'),
    (T.UNKNOWN, 'x','ERROR: Job failed: exit code 1'),
    (T.UNKNOWN, 'x','Error: Process completed with exit code 1.'),
    (T.UNKNOWN, 'deploy','exit status 1'),
    (T.UNKNOWN, 'tests','PASS src/a.test.js\nTests:       4 passed, 4 total\nDone in 3.2s.'),
    (T.UNKNOWN, 'tests','collected 3 items\n... 3 passed in 0.1s\nBuild was cancelled'),
]
# fmt: on

NOISE = "Preparing environment\nDownloading packages\nall good so far\n" * 30


def github(log):
    lines = [
        "##[group]Run make",
        "make",
        "shell: /usr/bin/bash -e {0}",
        "##[endgroup]",
        *NOISE.split("\n"),
        *log.split("\n"),
    ]
    lines += ["##[error]Process completed with exit code 1.", "Post job cleanup.", "[command]/usr/bin/git version"]
    return "\n".join(f"2025-01-01T00:00:00.1234567Z {line}" for line in lines)


def github_cli(log):
    return "\n".join(f"job\tRun step\t{line}" for line in github(log).split("\n"))


def travis(log):
    return (
        f"travis_fold:start:install\r\x1b[0K$ pip install x\n{NOISE}travis_fold:end:install\r\x1b[0K"
        f"travis_time:start:0a1b2c3d\r\x1b[0K$ make\n{log}\n"
        "travis_time:end:0a1b2c3d:start=1,finish=2,duration=1\r\x1b[0K"
        '\x1b[31;1mThe command "make" exited with 1.\x1b[0m\n\nDone. Your build exited with 1.\n'
    )


def gitlab(log):
    return (
        f"section_start:1700000000:step_script\r\x1b[0K\x1b[0KExecuting step_script\n{NOISE}\x1b[32;1m$ make\x1b[0;m\n{log}\n"
        "section_end:1700000001:step_script\r\x1b[0K\x1b[31;1mERROR: Job failed: exit code 1\n\x1b[0;m"
    )


def colours(log):
    return NOISE + "\r\n".join(f"\x1b[31m{line}\x1b[0m" for line in log.split("\n"))


@pytest.mark.parametrize(("expected", "step", "log"), TOOL_LINES)
def test_classify_failure__line_of_a_tool__names_the_type(expected, step, log):
    signal = classify_failure(step, f"{log}\n", exit_code=1)

    assert signal.type is expected, (signal.message, signal.evidence[:1])


@pytest.mark.parametrize("wrap", [github, github_cli, travis, gitlab, colours])
@pytest.mark.parametrize(("expected", "step", "log"), TOOL_LINES)
def test_classify_failure__wrapped_by_a_ci_service__names_the_same_type(expected, step, log, wrap):
    signal = classify_failure(step, wrap(log), exit_code=1)

    assert signal.type is expected, (signal.message, signal.evidence[:1])
