"""Who may do what, over every endpoint: 401 unknown, 404 not a member, 403 role too low."""

import pytest

from metabuilder.builds.states import Role, RunStatus
from tests.api.conftest import assert_problem, client_of, queries_of
from tests.factories import (
    ApprovalGateFactory,
    AutoFixRunFactory,
    BuildRunFactory,
    BuildStepFactory,
    PlanDeltaFactory,
    ScaffoldPlanFactory,
    plan_body,
)

pytestmark = pytest.mark.django_db

MEMBERS = [role.value for role in Role]
DEVELOPERS = ["owner", "admin", "developer"]
ADMINS = ["owner", "admin"]
V2, V3 = "/api/meta/v2/", "/api/meta/v3/"
NEW_RUN = {"tenant": "acme", "source": "https://git.example/a.git", "plan": plan_body()}
# method, path, body, who may, status for those who may
ENDPOINTS = [
    ("get", f"{V2}plans/{{plan}}", None, MEMBERS, 200),
    ("post", f"{V2}plans", {"tenant": "acme", "plan": plan_body()}, DEVELOPERS, 201),
    ("post", f"{V2}runs", NEW_RUN, DEVELOPERS, 201),
    ("get", f"{V2}runs/{{run}}", None, MEMBERS, 200),
    ("get", f"{V2}runs/{{run}}/steps", None, MEMBERS, 200),
    ("get", f"{V2}runs/{{run}}/steps/{{step}}/executions", None, MEMBERS, 200),
    ("get", f"{V2}runs/{{run}}/steps/{{step}}/logs", None, MEMBERS, 200),
    ("post", f"{V2}runs/{{held}}/release", None, DEVELOPERS, 200),
    ("post", f"{V2}runs/{{held}}/cancel", None, DEVELOPERS, 200),
    ("get", f"{V2}tenants/acme/settings", None, MEMBERS, 200),
    ("put", f"{V2}tenants/acme/settings", {"max_total_attempts": 2}, ADMINS, 200),
    ("get", f"{V2}runs/{{run}}/settings", None, MEMBERS, 200),
    ("put", f"{V2}runs/{{run}}/settings", {"max_total_attempts": 2}, ADMINS, 200),
    ("get", f"{V3}runs/{{run}}/autofix", None, MEMBERS, 200),
    ("get", f"{V3}runs/{{run}}/escalations", None, MEMBERS, 200),
    ("get", f"{V3}runs/{{run}}/plan-deltas", None, MEMBERS, 200),
    ("post", f"{V3}runs/{{failed}}/retry", None, DEVELOPERS, 200),
    ("get", f"{V3}approvals/{{gate}}", None, MEMBERS, 200),
    ("post", f"{V3}approvals/{{gate}}/approve", {"comment": "fine"}, ADMINS, 200),
    ("post", f"{V3}approvals/{{gate}}/reject", {"comment": "no"}, ADMINS, 200),
    ("post", f"{V3}classify-failure", {"step_name": "t", "logs": "", "tenant_id": "acme"}, MEMBERS, 200),
    ("post", f"{V3}classify-failure", {"step_name": "t", "logs": "", "run_id": "{run}"}, MEMBERS, 200),
]
LISTS = [
    f"{V2}plans",
    f"{V2}runs",
    f"{V3}approvals",
]


@pytest.fixture
def ids(tenant):
    run = BuildRunFactory(tenant=tenant)
    return {
        "run": run.pk,
        "plan": run.plan_id,
        "step": BuildStepFactory(run=run).pk,
        "held": BuildRunFactory(tenant=tenant, hold=True).pk,
        "failed": BuildRunFactory(tenant=tenant, status=RunStatus.FAILED).pk,
        "gate": ApprovalGateFactory(run__tenant=tenant).pk,
    }


def ask(client, method, path, body, ids):
    filled = {key: value.format(**ids) if value == "{run}" else value for key, value in (body or {}).items()}
    return getattr(client, method)(path.format(**ids), filled if method != "get" else None, format="json")


@pytest.mark.parametrize("who", [*MEMBERS, "outsider", "loner", "anonymous"])
@pytest.mark.parametrize(
    ("method", "path", "body", "may", "status"), ENDPOINTS, ids=[f"{e[0]} {e[1]}" for e in ENDPOINTS]
)
def test_endpoint__each_role__gets_its_answer(people, ids, who, method, path, body, may, status):
    answer = ask(client_of(people[who]), method, path, body, ids)

    if who in may:
        assert answer.status_code == status, answer.content
    elif who == "anonymous":
        assert_problem(answer, 401, "not_authenticated")
        assert answer["WWW-Authenticate"].startswith("Bearer")
    else:
        assert_problem(answer, 403 if who in MEMBERS else 404)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("who", ["viewer", "outsider", "loner"])
def test_list__each_person__holds_only_their_tenants_rows(people, ids, who, path):
    rows = client_of(people[who]).get(path).json()["results"]

    assert (rows != []) == (who == "viewer")
    assert all(row["tenant"] == "acme" for row in rows)


@pytest.mark.parametrize("path", LISTS)
def test_list__anonymous__is_refused(people, ids, path):
    assert_problem(client_of().get(path), 401)


def test_nested_address__row_of_another_run__is_not_found(owner, tenant):
    run, elsewhere = BuildRunFactory(tenant=tenant), BuildStepFactory(run__tenant=tenant)

    for leaf in ("executions", "logs"):
        assert_problem(owner.get(f"{V2}runs/{run.pk}/steps/{elsewhere.pk}/{leaf}"), 404, "not_found")


def test_superuser__not_a_member__sees_nothing_through_the_api(people, ids):
    people["loner"].is_superuser = True
    people["loner"].save()

    assert_problem(client_of(people["loner"]).get(f"{V2}runs/{ids['run']}"), 404)


LIST_ROWS = {
    f"{V2}plans": lambda tenant, run: ScaffoldPlanFactory(tenant=tenant),
    f"{V2}runs": lambda tenant, run: BuildRunFactory(tenant=tenant),
    f"{V2}runs/{{run}}/steps": lambda tenant, run: BuildStepFactory(run=run),
    f"{V3}approvals": lambda tenant, run: ApprovalGateFactory(run__tenant=tenant),
    f"{V3}runs/{{run}}/autofix": lambda tenant, run: AutoFixRunFactory(step__run=run),
    f"{V3}runs/{{run}}/plan-deltas": lambda tenant, run: PlanDeltaFactory(run=run),
}


@pytest.mark.parametrize("path", LIST_ROWS)
def test_list__more_rows__takes_no_more_queries(viewer, tenant, path):
    run = BuildRunFactory(tenant=tenant)
    make, path = LIST_ROWS[path], path.format(run=run.pk)
    make(tenant, run)
    viewer.get(path)  # notes the token's use
    before = queries_of(viewer, path)
    for _ in range(4):
        make(tenant, run)

    assert len(viewer.get(path).json()["results"]) >= 5
    assert queries_of(viewer, path) == before <= 10


@pytest.mark.parametrize("path", LIST_ROWS)
def test_list__page_size__is_bounded_and_pages_do_not_overlap(viewer, tenant, path):
    run = BuildRunFactory(tenant=tenant)
    make = LIST_ROWS[path]
    for _ in range(3):
        make(tenant, run)
    path = path.format(run=run.pk)

    seen, address = [], f"{path}?page_size=2"
    while address:
        page = viewer.get(address).json()
        assert len(page["results"]) <= 2
        seen += [row["id"] for row in page["results"]]
        address = page["next"]
    assert len(seen) == len(set(seen)) == page["count"] >= 3
    assert viewer.get(f"{path}?page_size=100000").status_code == 200
    assert_problem(viewer.get(f"{path}?page=99"), 404)
