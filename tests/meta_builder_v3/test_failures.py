"""classify_failure on real lines of many tools, on ties and traps, and on hostile input."""

# Log lines are as long as the tools print them.
# ruff: noqa: E501

import random
import time

import pytest

from autofix.failures import FailureType as T
from autofix.failures import Rule, classify_failure
from autofix.patterns.rule import MENTION

# (type, step name, log): lines as the tools print them.
# fmt: off
REAL_LINES = [
    # TRANSIENT
    (T.TRANSIENT, "install", "curl: (6) Could not resolve host: files.example.org"),
    (T.TRANSIENT, "clone", "fatal: unable to access 'https://git.example.org/a.git/': Could not resolve host: git.example.org"),
    (T.TRANSIENT, "fetch", "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nurllib.error.HTTPError: HTTP Error 503: Service Unavailable"),
    (T.TRANSIENT, "install", "npm ERR! code ECONNRESET\nnpm ERR! network aborted\nnpm ERR! network This is a problem related to network connectivity."),
    (T.TRANSIENT, "install", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (unattended-upgr)"),
    (T.TRANSIENT, "build", 'Error response from daemon: Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)'),
    (T.TRANSIENT, "mod", 'go: github.com/a/b@v1.2.3: Get "https://proxy.golang.org/github.com/a/b/@v/v1.2.3.mod": dial tcp: lookup proxy.golang.org: i/o timeout'),
    (T.TRANSIENT, "db", 'psql: error: connection to server at "db", port 5432 failed: FATAL:  the database system is starting up'),
    (T.TRANSIENT, "db", "sqlite3.OperationalError: database is locked"),
    (T.TRANSIENT, "pip", "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='files.pythonhosted.org', port=443): Read timed out."),
    (T.TRANSIENT, "apply", "Error: Error acquiring the state lock\n\nError message: ConditionalCheckFailedException: The conditional request failed"),
    (T.TRANSIENT, "gradle", "> Could not GET 'https://repo.maven.apache.org/a.pom'. Received status code 502 from server: Bad Gateway"),
    (T.TRANSIENT, "bundle", "Gem::RemoteFetcher::FetchError: Errno::ECONNRESET: Connection reset by peer - SSL_connect (https://rubygems.org/gems/a.gem)"),
    (T.TRANSIENT, "nuget", "error NU1301: Unable to load the service index for source https://api.nuget.org/v3/index.json."),
    (T.TRANSIENT, "push", "504 Gateway Time-out"),
    # RATE_LIMIT
    (T.RATE_LIMIT, "gh", "gh: API rate limit exceeded for user ID 123. (HTTP 403)"),
    (T.RATE_LIMIT, "deploy", "An error occurred (ThrottlingException) when calling the DescribeStacks operation (reached max retries: 4): Rate exceeded"),
    (T.RATE_LIMIT, "pull", "Failed to pull image \"redis\": toomanyrequests: You have reached your pull rate limit.\nBack-off pulling image \"redis\"\nImagePullBackOff"),
    (T.RATE_LIMIT, "install", "npm ERR! code E429\nnpm ERR! 429 Too Many Requests - GET https://registry.npmjs.org/a"),
    (T.RATE_LIMIT, "release", "HttpError: You have exceeded a secondary rate limit. Please wait a few minutes before you try again."),
    (T.RATE_LIMIT, "ask", "anthropic.RateLimitError: Error code: 429 - {'type': 'error', 'error': {'type': 'rate_limit_error'}}"),
    (T.RATE_LIMIT, "sheets", "googleapiclient.errors.HttpError: <HttpError 429 when requesting https://x returned \"Quota exceeded for quota metric 'Read requests'\">"),
    # INFRA
    (T.INFRA, "lint", "bash: line 1: .venv/bin/ruff: No such file or directory"),
    (T.INFRA, "lint", "/bin/sh: 1: eslint: not found\nnpm ERR! code ELIFECYCLE\nnpm ERR! errno 127\nnpm ERR! a@1.0.0 lint: `eslint .`"),
    (T.INFRA, "build", "bash: ./ci/build.sh: Permission denied"),
    (T.INFRA, "build", "OSError: [Errno 28] No space left on device: '/tmp/a'"),
    (T.INFRA, "build", "fatal error: Python.h: No such file or directory\n    1 | #include <Python.h>\ncompilation terminated.".replace("fatal", "a.c:1:10: fatal")),
    (T.INFRA, "build", "/usr/bin/ld: cannot find -lssl: No such file or directory\ncollect2: error: ld returned 1 exit status"),
    (T.INFRA, "build", "<--- Last few GCs --->\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
    (T.INFRA, "test", "OSError: [Errno 98] Address already in use"),
    (T.INFRA, "docker", "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    (T.INFRA, "deploy", 'error: deployment "app" exceeded its progress deadline'),
    (T.INFRA, "deploy", "Warning  FailedScheduling  0/3 nodes are available: 3 Insufficient memory."),
    (T.INFRA, "build", "error: linker `cc` not found"),
    (T.INFRA, "install", "ERROR: Package 'foo' requires a different Python: 3.7.1 not in '>=3.9'"),
    (T.INFRA, "job", "##[error]The hosted runner lost communication with the server. Anything in your workflow that terminates the runner process can cause this."),
    (T.INFRA, "ios", 'error: No signing certificate "iOS Distribution" found'),
    (T.INFRA, "play", 'fatal: [web1]: UNREACHABLE! => {"changed": false, "msg": "Failed to connect to the host via ssh: connect timed out", "unreachable": true}'),
    (T.INFRA, "e2e", "browserType.launch: Executable doesn't exist at /home/runner/.cache/ms-playwright/chromium-1091/chrome-linux/chrome"),
    (T.INFRA, "test", "/usr/bin/python3: No module named pytest"),
    (T.INFRA, "pg", "Error: pg_config executable not found."),
    (T.INFRA, "lint", "error: Failed to spawn: ruff\n  cause: No such file or directory (os error 2)"),
    (T.INFRA, "build", "./scripts/build.sh: 4: ./scripts/lib/stamp.sh: Permission denied\nmake: *** [Makefile:3: build] Error 126"),
    # TEST_ASSERT
    (T.TEST_ASSERT, "test", "E       assert 3 == 4\nFAILED tests/test_a.py::test_b - assert 3 == 4\n1 failed, 12 passed in 0.42s"),
    (T.TEST_ASSERT, "test", "--- FAIL: TestAdd (0.00s)\n    add_test.go:9: got 3, want 4\nFAIL\nFAIL\tgithub.com/x/add\t0.003s\nFAIL"),
    (T.TEST_ASSERT, "test", "test tests::adds ... FAILED\n\nfailures:\n\n---- tests::adds stdout ----\nthread 'tests::adds' panicked at src/lib.rs:9:9:\nassertion `left == right` failed\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n\nerror: test failed, to rerun pass `--lib`"),
    (T.TEST_ASSERT, "test", "  ● adds › two numbers\n\n    expect(received).toBe(expected) // Object.is equality\n\nTests:       1 failed, 3 passed, 4 total"),
    (T.TEST_ASSERT, "test", "Failures:\n  1) A adds\n     Failure/Error: expect(3).to eq 4\n12 examples, 1 failure\nrspec ./spec/a_spec.rb:3 # A adds"),
    (T.TEST_ASSERT, "test", "There was 1 failure:\n1) ATest::testB\nFailed asserting that 3 matches expected 4.\nFAILURES!\nTests: 10, Assertions: 20, Failures: 1."),
    (T.TEST_ASSERT, "test", "  1) test adds (ATest)\n     Assertion with == failed\n12 tests, 1 failure"),
    (T.TEST_ASSERT, "test", "[  FAILED  ] FooTest.Bar (0 ms)\n 1 FAILED TEST"),
    (T.TEST_ASSERT, "test", "Failed!  - Failed:     1, Passed:    10, Skipped:     0, Total:    11, Duration: 1 s"),
    (T.TEST_ASSERT, "test", "90% tests passed, 1 tests failed out of 10\nThe following tests FAILED:\n\t  3 - foo (Failed)\nErrors while running CTest"),
    (T.TEST_ASSERT, "check", "** TEST FAILED **"),
    (T.TEST_ASSERT, "bats", "not ok 3 adds two numbers\n# (in test file a.bats, line 3)"),
    # LINT
    (T.LINT, "lint", "app/main.py:1:8: F401 [*] `os` imported but unused\nFound 1 error.\n[*] 1 fixable with the `--fix` option."),
    (T.LINT, "ruff", "F401 [*] `os` imported but unused\n --> app/main.py:1:8\n  |\n1 | import os\n  |        ^^\n  |\nhelp: Remove unused import: `os`\n\nFound 1 error."),
    (T.LINT, "fmt", "would reformat app/main.py\n\nOh no! 💥 💔 💥\n1 file would be reformatted, 3 files would be left unchanged."),
    (T.LINT, "lint", "/app/src/a.js\n  3:10  error  'x' is defined but never used  no-unused-vars\n\n✖ 1 problem (1 error, 0 warnings)"),
    (T.LINT, "lint", "main.go:12:5: Error return value of `f` is not checked (errcheck)\n1 issues:\n* errcheck: 1"),
    (T.LINT, "clippy", "error: unneeded `return` statement\n --> src/lib.rs:3:5\n  = help: for further information visit https://rust-lang.github.io/rust-clippy/master/index.html#needless_return\n  = note: `-D clippy::needless-return` implied by `-D warnings`\nerror: could not compile `a` (lib) due to 1 previous error"),
    (T.LINT, "fmt", "Diff in /x/src/main.rs at line 3:\n-fn  main(){}\n+fn main() {}"),
    (T.LINT, "hadolint", "Dockerfile:3 DL3008 warning: Pin versions in apt get install"),
    (T.LINT, "shellcheck", "In a.sh line 3:\nrm $x\n   ^-- SC2086 (info): Double quote to prevent globbing and word splitting."),
    (T.LINT, "style", "12 files inspected, 3 offenses detected, 2 offenses autocorrectable"),
    (T.LINT, "format", "** (Mix) mix format failed due to --check-formatted.\nThe following files are not formatted:\n  * lib/a.ex"),
    (T.LINT, "pre-commit", "Trim Trailing Whitespace.................................................Failed\n- hook id: trailing-whitespace\n- exit code: 1\n- files were modified by this hook\n\nFixing a.md"),
    (T.LINT, "lint", "a.c:3:5: error: unused variable 'x' [-Werror=unused-variable]\ncc1: all warnings being treated as errors"),
    (T.LINT, "vale", "doc/a.xyz:12:5: Write this in the active voice"),
    (T.LINT, "unused", "pkg/a.py: Unused imports/variables detected\npkg/b.py: No issues detected!"),
    (T.LINT, "yapf", "--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ -1 +1 @@\n-x=1\n+x = 1"),
    (T.LINT, "gofmt -l", "cmd/main.go"),
    # TYPECHECK
    (T.TYPECHECK, "types", 'app/a.py:3: error: Argument 1 to "f" has incompatible type "int"; expected "str"  [arg-type]\nFound 1 error in 1 file (checked 3 source files)'),
    (T.TYPECHECK, "build", "src/a.ts(71,42): error TS2345: Argument of type 'A' is not assignable to parameter of type 'B'."),
    (T.TYPECHECK, "build", "./main.go:12:5: undefined: foo"),
    (T.TYPECHECK, "build", "error[E0308]: mismatched types\n --> src/main.rs:3:5\nerror: could not compile `a` (bin \"a\") due to 1 previous error"),
    (T.TYPECHECK, "build", "A.java:3: error: cannot find symbol\n  symbol:   class Foo\n1 error"),
    (T.TYPECHECK, "build", "e: file:///x/A.kt:3:5 Unresolved reference: foo\n> Task :compileKotlin FAILED"),
    (T.TYPECHECK, "build", "src/A.cs(39,17): error CS0246: The type or namespace name 'B' could not be found [/x/A.csproj]"),
    (T.TYPECHECK, "build", "a.cpp:12:5: error: use of undeclared identifier 'foo'\n1 error generated."),
    (T.TYPECHECK, "build", "/x/A.swift:3:5: error: cannot find 'foo' in scope"),
    (T.TYPECHECK, "build", "main.c:(.text+0x5): undefined reference to `foo'\ncollect2: error: ld returned 1 exit status"),
    (T.TYPECHECK, "psalm", "ERROR: UndefinedMethod - src/a.php:3:5 - Method A::b does not exist"),
    (T.TYPECHECK, "pyright", "  /x/app/main.py:3:5 - error: \"x\" is possibly unbound (reportPossiblyUnbound)\n1 error, 0 warnings, 0 informations"),
    # SECURITY
    (T.SECURITY, "audit", "Found 2 known vulnerabilities in 1 package\nName Version ID Fix Versions\njinja2 2.4.1 PYSEC-2019-217 2.10.1"),
    (T.SECURITY, "npm audit", "# npm audit report\n\nlodash  <4.17.21\nSeverity: high\n3 vulnerabilities (1 moderate, 2 high)"),
    (T.SECURITY, "scan", "Total: 3 (UNKNOWN: 0, LOW: 0, MEDIUM: 1, HIGH: 2, CRITICAL: 0)"),
    (T.SECURITY, "secrets", "ERROR: Potential secrets about to be committed to git repo!\n\nSecret Type: AWS Access Key\nLocation:    a.py:3"),
    (T.SECURITY, "bandit", ">> Issue: [B602:subprocess_popen_with_shell_equals_true] subprocess call with shell=True identified, security issue.\n   Severity: High   Confidence: High\n   Location: app/a.py:3:4"),
    (T.SECURITY, "install", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."),
    (T.SECURITY, "fetch", "curl: (60) SSL certificate problem: unable to get local issuer certificate"),
    (T.SECURITY, "pull", "Error response from daemon: Get \"https://r.example.org/v2/\": x509: certificate signed by unknown authority"),
    (T.SECURITY, "push", "remote: error: GH013: Repository rule violations found for refs/heads/main.\nremote: - GITHUB PUSH PROTECTION\nremote:     - Push cannot contain secrets"),
    (T.SECURITY, "checkov", "Passed checks: 10, Failed checks: 2, Skipped checks: 0\nCheck: CKV_AWS_20: \"S3 Bucket has an ACL defined\""),
    (T.SECURITY, "download", "sha256sum: WARNING: 1 computed checksum did NOT match"),
    # POLICY
    (T.POLICY, "licences", "license GNU General Public License v2 (GPLv2) not in allow-only licenses was found for package a:1.0"),
    (T.POLICY, "test", "Required test coverage of 90% not reached. Total coverage: 71.43%\n=== 12 passed in 0.4s ===".replace("Required", "FAIL Required")),
    (T.POLICY, "push", "remote: error: GH006: Protected branch update failed for refs/heads/main.\n ! [remote rejected] main -> main (protected branch hook declined)"),
    (T.POLICY, "publish", "npm ERR! code E403\nnpm ERR! 403 403 Forbidden - PUT https://registry.npmjs.org/a - You do not have permission to publish \"a\"."),
    (T.POLICY, "deploy", 'Error from server (Forbidden): deployments.apps is forbidden: User "ci" cannot create resource "deployments" in API group "apps"'),
    (T.POLICY, "opa", "FAIL - d.yaml - main - Containers must not run as root\n3 tests, 2 passed, 0 warnings, 1 failure, 0 exceptions"),
    (T.POLICY, "s3", "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied"),
    (T.POLICY, "commit", "✖   type may not be empty [type-empty]\n✖   found 1 problems, 0 warnings"),
    (T.POLICY, "clone", "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository."),
    (T.POLICY, "cov", "Line coverage (71.2%) is below the expected minimum coverage (90.00%)."),
    (T.POLICY, "message", "commit-msg: subject does not follow Conventional Commits: \"wip\""),
    # RUNTIME
    (T.RUNTIME, "run", "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    import yaml\nModuleNotFoundError: No module named 'yaml'"),
    (T.RUNTIME, "test", "ERROR collecting tests/test_a.py\nE   ModuleNotFoundError: No module named 'yaml'\n!!!!!!!!!!!! Interrupted: 1 error during collection !!!!!!!!!!!!\n1 error in 0.12s"),
    (T.RUNTIME, "install", "npm ERR! code ERESOLVE\nnpm ERR! ERESOLVE unable to resolve dependency tree"),
    (T.RUNTIME, "install", "ERROR: Cannot install a==1 and b==2 because these package versions have conflicting dependencies.\nERROR: ResolutionImpossible: for help visit https://pip.pypa.io/"),
    (T.RUNTIME, "start", "node:internal/modules/cjs/loader:1080\n  throw err;\nError: Cannot find module 'express'\n  code: 'MODULE_NOT_FOUND',"),
    (T.RUNTIME, "test", "TAP version 13\n# node:internal/modules/cjs/loader:1210\n# Error: Cannot find module 'ms'\n# Require stack:\nnot ok 1 - /x/test/a.test.js\n  ---\n  error: 'test failed'\n# fail 1"),
    (T.RUNTIME, "start", "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:"),
    (T.RUNTIME, "start", "thread 'main' panicked at src/main.rs:3:5:\ncalled `Option::unwrap()` on a `None` value"),
    (T.RUNTIME, "start", 'Exception in thread "main" java.lang.NullPointerException\n\tat a.B.main(B.java:3)'),
    (T.RUNTIME, "build", "make: *** No rule to make target 'foo', needed by 'all'.  Stop."),
    (T.RUNTIME, "bundle", 'Bundler could not find compatible versions for gem "rails":'),
    (T.RUNTIME, "cmake", "CMake Error at CMakeLists.txt:12 (add_subdirectory):"),
    (T.RUNTIME, "helm", "Error: template: app/templates/d.yaml:3:5: executing \"d\" at <.Values.x>: nil pointer evaluating interface {}.x"),
    (T.RUNTIME, "tf", "Error: Unsupported argument\n\n  on main.tf line 3, in resource \"a\" \"b\":"),
    (T.RUNTIME, "bundle", "Module not found: Error: Can't resolve 'lodash' in '/app/src'\nwebpack 5.88.2 compiled with 1 error in 3020 ms"),
    (T.RUNTIME, "php", "PHP Fatal error:  Uncaught Error: Class \"Foo\" not found in /x/a.php:3"),
    (T.RUNTIME, "ci", "npm ERR! `npm ci` can only install packages when your package.json and package-lock.json are in sync."),
    # SCHEMA_MIGRATION
    (T.SCHEMA_MIGRATION, "migrate", "CommandError: Conflicting migrations detected; multiple leaf nodes in the migration graph: (0002_a, 0002_b in shop)."),
    (T.SCHEMA_MIGRATION, "check", "Migrations for 'shop':\n  shop/migrations/0002_order_note.py\n    + Add field note to order"),
    (T.SCHEMA_MIGRATION, "run", 'django.db.utils.ProgrammingError: relation "shop_order" does not exist\nLINE 1: SELECT * FROM "shop_order"'),
    (T.SCHEMA_MIGRATION, "run", "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table: users"),
    (T.SCHEMA_MIGRATION, "deploy", "FAILED: Can't locate revision identified by 'ae1027a6acf'"),
    (T.SCHEMA_MIGRATION, "flyway", "ERROR: Validate failed: Migrations have failed validation\nMigration checksum mismatch for migration version 3"),
    (T.SCHEMA_MIGRATION, "up", "error: Dirty database version 7. Fix and force version."),
    (T.SCHEMA_MIGRATION, "start", "ActiveRecord::PendingMigrationError: Migrations are pending. To resolve this issue, run:"),
    (T.SCHEMA_MIGRATION, "mysql", "ERROR 1146 (42S02) at line 1: Table 'app.users' doesn't exist"),
    # UNKNOWN
    (T.UNKNOWN, "run", ""),
    (T.UNKNOWN, "run", "Starting…\nStep 1\nStep 2"),
    (T.UNKNOWN, "test", "collected 12 items\ntests/test_a.py ............ [100%]\n12 passed in 0.42s"),
    (T.UNKNOWN, "job", "##[error]The operation was canceled."),
    (T.UNKNOWN, "job", "make: *** [Makefile:3: all] Error 1"),
    (T.UNKNOWN, "build", "npm ERR! code ELIFECYCLE\nnpm ERR! errno 1\nnpm ERR! Exit status 1"),
]


@pytest.mark.parametrize(("expected", "step", "log"), REAL_LINES)
def test_classify_failure__real_lines__names_the_type(expected, step, log):
    signal = classify_failure(step, f"$ something\nCollecting packages\n{log}\n", exit_code=1)

    assert signal.type is expected, (signal.message, signal.evidence[:1])


TIES = [
    ("certificate error, then a crash", T.SECURITY, "test", "requests.exceptions.SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed\npanic: cannot start\nError: 500 Internal Server Error"),
    ("a missing tool makes tests fail", T.INFRA, "test", "bash: line 3: ffmpeg: command not found\nFAILED tests/test_a.py::test_b - AssertionError: exit 127\n10 failed, 2 passed in 3.1s"),
    ("a retry that recovered", T.TEST_ASSERT, "test", "WARNING: Retrying (Retry(total=4)) after connection broken by 'ReadTimeoutError': /simple/a/\nSuccessfully installed a-1.0\nE   assert 1 == 2\nFAILED tests/test_a.py::test_b - assert 1 == 2\n1 failed in 0.2s"),
    ("a test named after a timeout", T.TEST_ASSERT, "test", "FAILED tests/test_net.py::test_connection_timed_out - assert 1 == 2\n1 failed, 2 passed in 0.2s"),
    ("a lint rule named security", T.LINT, "lint", "   3:10  error  Unsafe regular expression  security/detect-unsafe-regex\n\n✖ 1 problem (1 error, 0 warnings)"),
    ("429 in an assertion", T.TEST_ASSERT, "test", "E       AssertionError: assert 429 == 200\nE        +  where 429 = <Response [429 Too Many Requests]>.status_code\n1 failed in 0.2s"),
    ("audit counts of an install that succeeded", T.TEST_ASSERT, "test", "added 200 packages, and audited 201 packages in 3s\n\n3 vulnerabilities (1 moderate, 2 high)\n\nTests:       1 failed, 3 passed, 4 total"),
    ("deprecation warnings", T.TYPECHECK, "build", "npm WARN deprecated request@2.88.2: request has been deprecated\nsrc/a.ts(3,5): error TS2304: Cannot find name 'x'."),
    ("collection errors", T.RUNTIME, "test", "_____ ERROR collecting tests/test_a.py _____\nE   ImportError: cannot import name 'x' from 'a'\n!!!!!!!!!!! Interrupted: 1 error during collection !!!!!!!!!!!\n===== 1 error in 0.12s ====="),
    ("after_failure text", T.TEST_ASSERT, "script", "travis_time:start:0a\r\x1b[0K$ pytest\n1 failed, 2 passed in 0.2s\n\x1b[31;1mThe command \"pytest\" exited with 1.\x1b[0m\ntravis_fold:start:after_failure\r\x1b[0K$ cat /var/log/x\nfatal: No space left on device\ntravis_fold:end:after_failure\r\x1b[0K\nDone. Your build exited with 1."),
    ("a passing command that printed errors", T.LINT, "script", "$ pip install x\nERROR: Could not find a version that satisfies the requirement y\nThe command \"pip install x\" exited with 0.\n$ flake8\na.py:1:1: F401 'os' imported but unused\nThe command \"flake8\" exited with 1."),
    ("script text echoed before it runs", T.UNKNOWN, "run", "2025-01-01T00:00:00.0000000Z ##[group]Run ./x.sh || echo \"command not found\"\n2025-01-01T00:00:00.1000000Z echo 'No space left on device'\n2025-01-01T00:00:00.2000000Z shell: /usr/bin/bash -e {0}\n2025-01-01T00:00:00.3000000Z ##[endgroup]\n2025-01-01T00:00:01.0000000Z ##[error]Process completed with exit code 1."),
    ("coverage below its floor, tests green", T.POLICY, "test", "12 passed in 0.4s\nFAIL Required test coverage of 90% not reached. Total coverage: 71.43%"),
    ("a 403 that says rate limit", T.RATE_LIMIT, "gh", "HTTP 403: API rate limit exceeded for installation ID 123"),
]

# fmt: on


@pytest.mark.parametrize(("expected", "step", "log"), [tie[1:] for tie in TIES], ids=[tie[0] for tie in TIES])
def test_classify_failure__two_readings__follows_the_tie_rules(expected, step, log):
    signal = classify_failure(step, log, exit_code=1)

    assert signal.type is expected, (signal.message, signal.evidence[:1])


def details_of(log, **about):
    return classify_failure("step", log, exit_code=1, **about).details


DETAILS = [
    ("ModuleNotFoundError: No module named 'google.cloud.storage'", {"module": "google.cloud.storage"}),
    ("ImportError: cannot import name 'escape' from 'jinja2' (/x/jinja2/__init__.py)", {"names": ["escape"], "module": "jinja2"}),
    ("bash: line 1: .venv/bin/ruff: No such file or directory", {"binary": "ruff", "path": ".venv/bin/ruff"}),
    ("bash: line 1: ./ci/build.sh: Permission denied", {"path": "./ci/build.sh"}),
    ("bash: foo: command not found", {"binary": "foo"}),
    ('a.py:1: error: Library stubs not installed for "requests"  [import-untyped]\na.py:1: note: Hint: "python3 -m pip install types-requests"', {"packages": ["types-requests"], "module": "requests", "tool": "mypy"}),
    ("src/a.ts(1,15): error TS7016: Could not find a declaration file for module 'lodash'.\n  Try `npm i --save-dev @types/lodash` if it exists", {"packages": ["@types/lodash"], "codes": ["TS7016"]}),
    ("CommandError: Conflicting migrations detected; multiple leaf nodes in the migration graph: (0002_a, 0002_b in shop).", {"migrations": ["shop"], "names": ["0002_a", "0002_b"]}),
    ("Migrations for 'shop':\n  shop/migrations/0002_x.py", {"migrations": ["shop"]}),
    ("  Your models in app(s): 'shop', 'users' have changes that are not yet reflected in a migration, and so won't be applied.", {"migrations": ["shop", "users"]}),
    ("FAILED tests/test_a.py::test_b - assert 1 == 2\nFAILED tests/test_a.py::test_c - assert 1 == 2\n2 failed in 0.1s", {"tests": ["tests/test_a.py::test_b", "tests/test_a.py::test_c"]}),
    ("--- FAIL: TestAdd (0.00s)\nFAIL", {"tests": ["TestAdd"], "tool": "go"}),
    ("urllib.error.HTTPError: HTTP Error 503: Service Unavailable", {"http_status": 503}),
    ("app/main.py:1:8: F401 `os` imported but unused\nFound 1 error.", {"codes": ["F401"], "locations": [{"path": "app/main.py", "line": 1}]}),
]  # fmt: skip


@pytest.mark.parametrize(("log", "expected"), DETAILS)
def test_classify_failure__log_states_facts__details_hold_them(log, expected):
    details = details_of(log)

    assert {key: details.get(key) for key in expected} == expected


WAITS = [
    ("HTTP/1.1 429 Too Many Requests\nRetry-After: 30", {"retry_after": 30}),
    ("429 Too Many Requests\n< retry-after: 7", {"retry_after": 7}),
    ('429 Too Many Requests {"retry_after": 1.5}', {"retry_after": 1.5}),
    ("Error: Too Many Requests. Please try again in 30s.", {"retry_after": 30}),
    ("Error 429: Too Many Requests, retry after 5 minutes", {"retry_after": 300}),
    ("Rate limit reached for requests. Please try again in 500ms.", {"retry_after": 0.5}),
    ("HTTP/1.1 429 Too Many Requests\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT", {"retry_at": 1792567680}),
    ("HTTP/1.1 429 Too Many Requests\nDate: Wed, 21 Oct 2026 07:27:00 GMT\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT", {"retry_after": 60}),
    ("API rate limit exceeded\nX-RateLimit-Reset: 1767225600", {"retry_at": 1767225600}),
    ("HTTP/1.1 503 Service Unavailable\nRetry-After: 12", {"retry_after": 12}),
]  # fmt: skip


@pytest.mark.parametrize(("log", "expected"), WAITS)
def test_classify_failure__server_names_a_wait__is_in_details(log, expected):
    details = details_of(log)

    assert {key: details.get(key) for key in expected} == expected


def test_classify_failure__killed_without_output__names_the_signal_only():
    signal = classify_failure("run", b"", exit_code=139, step_kind="test", command="python3 crash.py")

    assert signal.type is T.UNKNOWN
    assert signal.confidence == 0
    assert signal.details == {"exit_code": 139, "exit_signal": "SIGSEGV"}


@pytest.mark.parametrize(
    ("code", "expected"), [(137, T.INFRA), (126, T.INFRA), (127, T.INFRA), (124, T.UNKNOWN), (1, T.UNKNOWN)]
)
def test_classify_failure__only_an_exit_code__says_what_the_code_says(code, expected):
    assert classify_failure("run", "working\n", exit_code=code).type is expected


def test_classify_failure__step_timed_out__is_unknown_unless_it_waited_for_the_network():
    stopped = "[metabuilder] step timed out after 900 s\n"
    waiting = "curl: (28) Operation timed out after 30001 milliseconds with 0 bytes received\n"

    assert classify_failure("run", f"working\n{stopped}", exit_code=124).type is T.UNKNOWN
    assert classify_failure("run", f"{waiting}{stopped}", exit_code=124).type is T.TRANSIENT


def test_classify_failure__deterministic_cause_beside_a_transient_one__is_not_retried():
    transient = "npm ERR! code ETIMEDOUT\n"
    alone = classify_failure("build", transient, exit_code=1)
    beside = classify_failure("build", f"{transient}src/a.ts(3,5): error TS2304: Cannot find name 'x'.\n", exit_code=1)

    assert (alone.type, alone.can_retry) == (T.TRANSIENT, True)
    assert (beside.type, beside.can_retry, beside.others) == (T.TYPECHECK, False, (T.TRANSIENT,))
    assert beside.details["deterministic"] is True


def test_classify_failure__people_decide__asks_for_approval():
    secret = classify_failure("scan", "WRN leaks found: 1\n", exit_code=1)

    assert (secret.requires_approval, secret.can_retry) == (True, False)


def test_classify_failure__missing_tool__asks_for_a_replan():
    assert classify_failure("lint", "bash: ruff: command not found\n", exit_code=127).requires_replan


def test_classify_failure__deciding_line__is_numbered_in_the_original_log():
    log = "one\r\n\x1b[1mtwo\x1b[0m\r\n10%\r50%\r100%\n2025-01-01T00:00:00.0000000Z ModuleNotFoundError: No module named 'x'\n"

    assert classify_failure("run", log, exit_code=1).evidence[0].number == 4


def test_classify_failure__secret_in_the_deciding_line__is_redacted():
    signal = classify_failure(
        "push", "fatal: unable to access 'https://me:hunter2secret@git.x/': Could not resolve host: git.x\n"
    )

    assert "hunter2secret" not in f"{signal.message}{signal.evidence}"


def test_classify_failure__extra_rules__rank_above_the_built_in_ones():
    ours = Rule("tenant.licence", "acme", T.POLICY, MENTION, r"^ACME-(?P<code>\d+): ", "ACME-12: x")
    log = "ACME-12: not on the list\nModuleNotFoundError: No module named 'x'\n"

    assert classify_failure("run", log, exit_code=1).type is T.RUNTIME
    assert classify_failure("run", log, exit_code=1, extra_rules=[ours]).type is T.POLICY


def test_fingerprint__other_paths_numbers_ids_and_times__is_equal():
    def of(path, line, hexa, at, port):
        log = f"{at} ConnectionError: http://localhost:{port}/x {hexa} in {path}, line {line}\n"
        return classify_failure("run", f"noise {line}\n{log}", exit_code=1).fingerprint

    first = of("/home/a/app/x.py", 12, "3f2504e04f8911d39a0c", "2025-01-01T00:00:00Z", 8080)

    assert first == of("/build/7/app/y.py", 48, "9b1deb4d3b7d4bad9bdd", "2026-11-22T10:11:12Z", 9191)
    assert first != classify_failure("run", "ConnectionError: no such service\n", exit_code=1).fingerprint


def test_fingerprint__another_module__differs():
    assert (
        classify_failure("run", "ModuleNotFoundError: No module named 'a'\n").fingerprint
        != classify_failure("run", "ModuleNotFoundError: No module named 'b'\n").fingerprint
    )


class Pieces:
    """A LogReader that cuts a log into pieces of one size."""

    def __init__(self, log, size):
        self.log, self.size = log, size

    def chunks(self):
        for start in range(0, len(self.log), self.size):
            yield self.log[start : start + self.size]


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_classify_failure__log_in_pieces__reads_as_the_whole(size):
    log = ("wörk\n" * 50 + "E   assert 1 == 2\nFAILED tests/a.py::test_b - assert\n1 failed in 0.1s\n").encode()

    assert classify_failure("test", Pieces(log, size), exit_code=1) == classify_failure("test", log, exit_code=1)


HOSTILE = {
    "random bytes": random.Random(7).randbytes(300_000),
    "one endless line": b"x" * 20_000_000,
    "an endless line of progress": b"10% \r" * 2_000_000,
    "a million empty lines": b"\n" * 1_000_000,
    "nested escapes": b"\x1b[" * 200_000,
    "only carriage returns": b"\r" * 1_000_000,
    "a location on every line": b"a.py:1:1: F401 x imported but unused\n" * 50_000,
    "utf-16": "ModuleNotFoundError: No module named 'x'\n".encode("utf-16"),
}


@pytest.mark.parametrize("log", HOSTILE.values(), ids=HOSTILE)
def test_classify_failure__hostile_log__gets_a_signal_soon(log):
    begun = time.monotonic()

    signal = classify_failure("run", log, exit_code=1)

    assert signal.type in T
    assert len(signal.message) <= 300
    assert time.monotonic() - begun < 15


def test_classify_failure__error_behind_an_endless_line__is_still_found():
    log = b"x" * 5_000_000 + b"\nModuleNotFoundError: No module named 'yaml'\n"

    signal = classify_failure("run", log, exit_code=1)

    assert (signal.details["module"], signal.evidence[0].number) == ("yaml", 2)


def test_classify_failure__extra_rule_that_re2_refuses__is_left_out():
    broken = Rule("tenant.broken", "acme", T.POLICY, MENTION, r"(?=look)ahead", "")

    signal = classify_failure("run", "ModuleNotFoundError: No module named 'x'\n", extra_rules=[broken])

    assert signal.type is T.RUNTIME
