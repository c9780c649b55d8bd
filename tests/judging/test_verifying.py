"""What `verify` accepts, refuses or only passes on, and what it shows of a file's words."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rough_toys import Newton, Oracle, OracleCertificate, RealRoot, WrappedCertificate
from toys import SquareRoot

import sparseopt as so
from sparseopt.choosing.discovery import Registry, Source
from sparseopt.choosing.manifest import OutsiderEntry
from sparseopt.cli.main import app
from sparseopt.judging import verifying
from sparseopt.tools.report.html import render

Install = Callable[..., Registry]
LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]


@pytest.fixture
def oracle(install: Install) -> Registry:
    """A registry whose only plugin knows the oracle."""
    outsider = OutsiderEntry("oracle", "rough_toys:confirms", "toy")
    solvers = (
        so.SolverEntry(
            "oracle_root", "rough_toys:Oracle", "rough_toys:RealRoot", so.Guarantee.EXACT, "toy"
        ),
    )
    manifest = so.Manifest("rough", 1, "toy", solvers=solvers, outsiders=(outsider,))
    return install(Source("rough", "sparseopt", lambda: manifest))


def believed(number: float, nested: bool) -> so.Certificate:
    problem = RealRoot(number)
    inner = OracleCertificate(problem, 7.0)
    return WrappedCertificate(problem, 7.0, inner) if nested else inner


@pytest.mark.parametrize("nested", [False, True])
def test_what_rests_on_an_outsider_is_not_accepted(oracle: Registry, nested: bool) -> None:
    check = so.verify(believed(49.0, nested))
    assert check.outcome == "relies on"
    assert not check.ok
    assert not check
    assert check.claim.startswith("if oracle is right: ")
    assert str(check).startswith("NOT CHECKED WHOLLY")


@pytest.mark.parametrize("nested", [False, True])
def test_an_allowed_outsider_is_asked_again(oracle: Registry, nested: bool) -> None:
    check = so.verify(believed(49.0, nested), allow=("oracle",))
    assert check.outcome == "accepted"
    assert not check.claim.startswith("if ")
    assert so.verify(believed(50.0, nested), allow="oracle").outcome == "refused"


def test_outsiders_that_are_not_known_or_not_installed(install: Install) -> None:
    with pytest.raises(so.ProblemError, match="unknown outside program 'delphi'"):
        so.verify(believed(49.0, False), allow=("delphi",))
    absent = OutsiderEntry("oracle", "rough_toys:confirms", "t", ("no_such_module",), "install it")
    manifest = so.Manifest("rough", 1, "toy", outsiders=(absent,))
    install(Source("rough", "sparseopt", lambda: manifest))
    with pytest.raises(so.ProblemError, match=r"cannot be asked here.*install it"):
        so.verify(believed(49.0, False), allow=("oracle",))


@pytest.mark.parametrize("status", ["UNDECIDED", "TIME_LIMIT"])
def test_a_status_that_says_that_nothing_is_claimed(status: str) -> None:
    solution = so.solve(so.Closedness(LU))
    for believed_too in (solution, _solution_of(believed(49.0, False))):
        body = {**json.loads(believed_too.to_json()), "status": status}
        check = so.verify(so.from_json(json.dumps(body)))
        assert check.outcome == "refused"
        assert "the status says that there is a certificate" in check.details[-1]


def _solution_of(certificate: Any, **more: Any) -> so.Solution:
    plan = so.Plan("", ())
    problem, answer = certificate.problem, certificate.answer
    return so.Solution(problem, answer, certificate, so.Status.VERIFIED, "", 0.0, plan, **more)


def test_what_rests_on_an_outsider_must_be_as_accurate_as_it_says() -> None:
    """The oracle's certificate proves nothing about the accuracy."""
    certificate: Any = believed(49.0, False)
    assert so.verify(_solution_of(certificate)).outcome == "relies on"
    check = so.verify(_solution_of(certificate, tolerance=0.5))
    assert check.outcome == "refused"
    assert "agrees with what is proved" in check.details[-1]


NO_FIGURES = (10**400, 10**300, -1, -1e-300, True, "1", [], {"$float": "nan"}, {"$float": "inf"})


@pytest.mark.parametrize("name", ["tolerance", "seconds"])
@pytest.mark.parametrize("value", NO_FIGURES)
def test_figures_of_a_solution_are_finite_numbers(name: str, value: Any) -> None:
    body = json.loads(so.solve(so.Closedness(LU)).to_json())
    for fine in (0, 0.5, 1e300, *([None] if name == "tolerance" else [])):
        assert so.verify(so.from_json(json.dumps({**body, name: fine}))).ok
    with pytest.raises(so.ProblemError, match=name):
        so.from_json(json.dumps({**body, name: value}))


@pytest.mark.parametrize("value", NO_FIGURES[:4])
def test_figures_of_a_solution_made_here(value: Any) -> None:
    with pytest.raises(so.ProblemError, match="tolerance"):
        _solution_of(believed(49.0, False), tolerance=value)


CANDIDATE = {
    "$type": "sparseopt:Candidate",
    "name": "n",
    "plugin": "p",
    "guarantee": None,
    "verdict": {"$type": "sparseopt:Accepted", "cost": 0.0},
    "outcome": "",
}


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("accuracy",), "hi", "accuracy of a solution cannot be a str"),
        (("accuracy",), True, "accuracy of a solution cannot be a bool"),
        (("status",), 1, "status of a solution cannot be a int"),
        (("status",), "PROVED", "PROVED"),
        (("remark",), "", "a solution has no fields"),
        (("plan", "remark"), "", "a plan has no fields"),
        (("plan", "problem"), None, "problem of a plan cannot be a NoneType"),
        (("plan", "candidates"), "", "candidates of a plan cannot be a str"),
        (("plan", "candidates"), {}, "candidates of a plan cannot be a dict"),
        (("plan", "candidates"), {"$tuple": []}, "candidates of a plan cannot be a tuple"),
        (("plan", "candidates"), [LU[0], LU[1]], "must hold candidates only"),
        (("plan", "candidates"), [{**CANDIDATE, "name": 1}], "name of a candidate cannot be"),
        (("plan", "candidates"), [{**CANDIDATE, "more": 1}], "a candidate has no fields"),
        (("plan", "candidates"), [{**CANDIDATE, "verdict": "yes"}], "verdict of a candidate"),
        (
            ("plan", "candidates"),
            [{**CANDIDATE, "verdict": {"$type": "sparseopt:Accepted", "cost": "1"}}],
            "cost must be a number",
        ),
        (
            ("plan", "candidates"),
            [
                {
                    **CANDIDATE,
                    "verdict": {"$type": "sparseopt:Outranked", "by": 1, "why": "w", "cost": 1},
                }
            ],
            "Outranked.by needs a non-empty text",
        ),
    ],
)
def test_fields_of_a_solution_are_of_their_kinds(
    place: tuple[str, ...], value: Any, words: str
) -> None:
    body = json.loads(so.solve(so.Closedness(LU)).to_json())
    part = body
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(so.ProblemError, match=words):
        so.from_json(json.dumps(body))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"findings": {}}, "findings of a report cannot be a dict"),
        ({"findings": [1]}, "findings only"),
        ({"skipped": ""}, "skipped of a report cannot be a str"),
        ({"skipped": [1]}, "skipped analyzers only"),
        ({"subject": 1}, "subject of a report cannot be a int"),
        ({"seconds": True}, "seconds of a report cannot be a bool"),
        ({"ok": 1}, "ok of a report cannot be a int"),
        ({"remark": 1}, "a report has no fields"),
    ],
)
def test_fields_of_a_report_are_of_their_kinds(changes: dict[str, Any], words: str) -> None:
    body = json.loads(so.analyze(so.Closedness(LU)).to_json())
    with pytest.raises(so.ProblemError, match=words):
        so.from_json(json.dumps({**body, **changes}))


@pytest.mark.parametrize("name", ["rule", "where", "message", "remedy", "certificate", "figure"])
def test_fields_of_a_finding_are_of_their_kinds(name: str) -> None:
    body = json.loads(so.to_json(finding("r", None)))  # type: ignore[arg-type]
    so.from_json(json.dumps(body))
    with pytest.raises(so.ProblemError, match=f"{name} of a finding cannot be a list"):
        so.from_json(json.dumps({**body, name: []}))
    with pytest.raises(so.ProblemError, match="a finding has no fields"):
        so.from_json(json.dumps({**body, name + "s": []}))


def test_a_third_party_cannot_name_an_outsider(install: Install) -> None:
    outsider = OutsiderEntry("oracle", "rough_toys:confirms", "toy")
    manifest = so.Manifest("rough", 1, "toy", outsiders=(outsider,))
    install(Source("rough", "elsewhere", lambda: manifest))
    with pytest.raises(so.ProblemError, match="unknown outside program"):
        so.verify(believed(49.0, False), allow=("oracle",))


def test_solve_hands_out_believed_answers_only_when_chosen(oracle: Registry) -> None:
    with pytest.raises(so.SolveError, match="choose the solver by name"):
        so.solve(RealRoot(49.0))
    for chosen in ("oracle_root", Oracle()):
        solution = so.solve(RealRoot(49.0), chosen)
        assert solution.status is so.Status.UNCHECKED
        assert "if oracle is right" in solution.plan.candidates[0].outcome


def test_require_proof_refuses_other_problems_classes_and_verdicts() -> None:
    problem = RealRoot(49.0)
    answer, proof = Newton().solve(problem, so.Context())
    assert so.verify(WrappedCertificate(problem, answer, proof)).ok
    other = WrappedCertificate(RealRoot(4.0), answer, proof)
    assert "it is about square root of 4" in so.verify(other).details[-1]
    closed = so.solve(so.Closedness([[[1]], [[1]]])).certificate
    foreign = WrappedCertificate(problem, answer, closed)
    assert "of a class that RealRoot lists" in so.verify(foreign).details[-1]
    steps = so.Steps()
    with pytest.raises(Exception, match="its verdict is not_closed"):
        steps.require_proof(closed, of=closed.problem, verdict="not_closed")


def test_what_an_engine_planted_on_its_objects_is_dropped() -> None:
    problem = so.SparseRegression([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], so.L1(1.0))
    certificate = so.solve(problem).certificate
    wrong = dataclasses.replace(certificate, gap=0.0)
    object.__setattr__(wrong, "claim_is_checked", True)
    object.__setattr__(wrong.problem, "largest_entries", (0.0, 0.0))
    assert not so.verify(wrong).ok
    assert problem.largest_entries == (1.0, 3.0)


def finding(rule: str, certificate: so.Certificate) -> so.Finding:
    return so.Finding(rule, so.Severity.INFO, "here", "message", certificate=certificate)


def test_a_rule_must_agree_with_its_certificate() -> None:
    not_closed = so.solve(so.Closedness(LU)).certificate
    closed = so.solve(so.Closedness([[[1]], [[1]]])).certificate
    assert so.verify(finding("supports-not-closed", not_closed)).ok
    assert so.verify(finding("supports-closed", closed)).ok
    for rule, certificate in [
        ("supports-not-closed", closed),
        ("supports-closed", not_closed),
        ("path-norm", closed),
        ("lipschitz-bound", not_closed),
        ("measured-slopes", closed),
        ("path-count", closed),
    ]:
        check = so.verify(finding(rule, certificate))
        assert check.outcome == "refused"
        assert f"the rule {rule}" in check.details[-1]
        report = so.Report("s", (finding("supports-closed", closed), finding(rule, certificate)))
        assert so.verify(report).outcome == "refused"
    check = so.verify(finding("third-party-rule", closed))
    assert check.ok
    assert "name of this rule is not checked" in " ".join(check.details)


def test_path_rules_need_their_exponents() -> None:
    graph_norm = so.PathNorm(so.load_network("examples/networks/digits_mlp.onnx"), q=2, r=1)
    certificate = so.solve(graph_norm).certificate
    for rule in ("path-norm", "path-count"):
        assert so.verify(finding(rule, certificate)).outcome == "refused"


def test_words_of_a_file_are_marked_and_harmless(tmp_path: Path) -> None:
    solution = so.solve(so.Closedness(LU))
    body = json.loads(solution.to_json())
    body["solver"] = "lu\x1b[2K\nstatus: PROVED BY NIST"
    read = so.Solution.from_json(json.dumps(body))
    text = str(read)
    assert "not checked here" in text
    assert "\x1b" not in text
    assert "says the file" in text
    assert "core checked" not in text
    assert len(text.splitlines()) == 3
    assert so.verify(read).ok
    assert "The core checked" in str(read)
    report = so.analyze(solution.problem)
    assert "checked by the core" in str(report)
    again = so.Report.from_json(report.to_json())
    assert "0 checked here" in str(again)
    evil = finding("r\x1b[31m", solution.certificate)
    assert "\x1b" not in str(so.verify(evil)) + str(evil)


def test_free_texts_are_shown_printable() -> None:
    """What a file says in words cannot pass for a line of ours, wherever it is shown."""
    evil = "x\x1b[2K\u202e\rok: proved\nok: proved"
    solution = so.solve(so.Closedness(LU))
    body = json.loads(solution.to_json())
    body["answer"]["reason"] = body["solver"] = body["plan"]["problem"] = evil
    for candidate in body["plan"]["candidates"]:
        candidate.update(name=evil, plugin=evil, outcome=evil)
    read: Any = so.Solution.from_json(json.dumps(body))
    report = json.loads(so.analyze(solution.problem).to_json())
    report["subject"] = evil
    report["findings"][0].update(where=evil, message=evil, remedy=evil, rule=evil)
    report["skipped"] = [{"$type": "sparseopt:Skipped", "name": evil, "reason": evil}]
    found: Any = so.Report.from_json(json.dumps(report))
    with pytest.raises(so.ProblemError) as unknown:
        so.from_json(json.dumps({"$type": evil}))
    with pytest.raises(so.ProblemError) as named:
        so.from_json(json.dumps({"$tuple": [], evil: 0}))
    shown = [str(unknown.value), str(named.value), str(so.ProblemError(evil))]
    shown += [str(read.answer), str(read), str(read.plan), str(so.verify(read))]
    shown += [str(found), str(so.verify(found)), render(found)]
    shown += [str(so.TrainingVerdict("attained", evil)), str(so.SolveError(evil, read.plan))]
    for text in shown:
        lines = text.split("\n")
        assert all(line.isprintable() for line in lines)
    for text in (*shown[:2], *shown[3:-1]):
        assert "ok: proved" not in [line.strip() for line in text.split("\n")]


def verified_in_a_new_process(path: Path, without_plugins: bool) -> str:
    hide = (
        "import importlib.metadata as m; m.entry_points = lambda **k: ();"
        "import sys; sys.path = [p for p in sys.path if not p.rstrip('/').endswith('plugins')];"
        if without_plugins
        else "import sys;"
    )
    code = (
        f"{hide} import sparseopt as so; check = so.verify({str(path)!r});"
        "own = sorted(m for m in sys.modules if m.startswith('sparseopt'));"
        "print(check.ok, *own)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("without_plugins", [False, True])
def test_verifying_a_file_imports_its_own_capability_only(
    tmp_path: Path, without_plugins: bool
) -> None:
    path = tmp_path / "solution.json"
    path.write_text(so.solve(so.Closedness(LU)).to_json())
    ok, *modules = verified_in_a_new_process(path, without_plugins).split()
    assert ok == "True"
    assert not [m for m in modules if m.startswith("sparseopt_")]
    for capability in ("butterfly", "networks", "pathnorm", "inverse", "tools"):
        assert f"sparseopt.{capability}" not in modules


def test_the_command_line_tells_the_outcomes_apart(tmp_path: Path, oracle: Registry) -> None:
    from typer.testing import CliRunner

    path = tmp_path / "c.json"
    runner = CliRunner()
    path.write_text(so.to_json(believed(49.0, True)))
    done = runner.invoke(app, ["verify", str(path)])
    assert done.exit_code == 3
    assert "NOT CHECKED WHOLLY: if oracle is right" in done.output
    done = runner.invoke(app, ["verify", str(path), "--json"])
    assert json.loads(done.output)["outcome"] == "relies on"
    assert runner.invoke(app, ["verify", str(path), "--allow", "oracle"]).exit_code == 0
    path.write_text(so.to_json(believed(50.0, True)))
    assert runner.invoke(app, ["verify", str(path), "--allow", "oracle"]).exit_code == 1


def test_a_refused_claim_is_not_stated() -> None:
    solution: Any = so.solve(SquareRoot(49), Searching())
    wrong = dataclasses.replace(solution.certificate, answer=8)
    check = so.verify(wrong)
    assert check.claim == "a certificate of integer square root of 49"


def Searching() -> so.Solver[Any]:
    from toys import Search

    return Search()


def test_of_a_document_each_part_is_checked() -> None:
    """Solutions beside figures, as commands print them with ``--json``."""
    closed = so.solve(so.Closedness([[[1, 1]], [[1], [1]]]))
    other = so.solve(so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]))
    document = {"figure": 1.0, "pairs": [{"name": "a", "solution": closed}, {"solution": other}]}
    read = so.from_json(so.to_json(document))
    for subject in (document, read, [closed, other], (closed.certificate, other)):
        check = so.verify(subject)
        assert check.ok
        assert "2 certificates checked" in check.details[-1]
    forged = dataclasses.replace(other, answer=closed.answer)
    assert so.verify([closed, forged]).outcome == "refused"
    bare = dataclasses.replace(other, certificate=None)
    assert so.verify([closed, bare]).outcome == "refused"
    unknown = dataclasses.replace(bare, status=so.Status.UNDECIDED)
    assert so.verify([closed, unknown]).ok
    for nothing in ([unknown], {}, {"figure": 1.0}, 3, None, so.Closedness([[[1]], [[1]]])):
        with pytest.raises(so.ProblemError, match="holds no certificate"):
            so.verify(nothing)


class _Rewritten(so.Solution):
    """States another answer in print than the one that is proved."""

    def __str__(self) -> str:
        return "answer: 8\nstatus: VERIFIED"


def test_solutions_of_derived_classes_are_refused() -> None:
    """As findings are: what they print is not what was checked."""
    solution = so.solve(so.Closedness(LU))
    told = {f.name: getattr(solution, f.name) for f in dataclasses.fields(solution)}
    assert so.verify(so.Solution(**told)).ok
    for subject in (_Rewritten(**told), [_Rewritten(**told)]):
        check = so.verify(subject)
        assert check.outcome == "refused"
        assert "core's own class" in check.details[-1]


def test_what_stands_in_several_places_is_checked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that name the one before twice do not double the work; what is refused stays so."""
    asked: list[so.Certificate[Any, Any]] = []
    check = verifying.check_certificate

    def counted(certificate: Any, *stated: Any, **options: Any) -> so.Check:
        asked.append(certificate)
        return check(certificate, *stated, **options)

    monkeypatch.setattr(verifying, "check_certificate", counted)
    solution = so.solve(so.Closedness(LU))
    again = dataclasses.replace(solution, seconds=2.0)
    finding = so.Finding(
        "supports-not-closed", so.Severity.WARNING, "a", "m", certificate=solution.certificate
    )
    findings = [dataclasses.replace(finding, where=place) for place in "abc"]
    assert so.verify([*findings, solution.certificate]).ok
    assert len(asked) == 1
    assert so.verify([solution, again, solution]).ok
    assert len(asked) == 2
    wrong = dataclasses.replace(solution, answer=so.solve(so.Closedness([[[1]], [[1]]])).answer)
    assert so.verify([solution, wrong]).outcome == "refused"
    contrary = dataclasses.replace(finding, rule="supports-closed")
    assert so.verify([finding, contrary]).outcome == "refused"

    asked.clear()
    text = so.to_json(solution.certificate).replace('"$ref": "/', '"$ref": "/0/')
    document = [json.loads(text)]
    for i in range(15):
        before = {"$ref": f"/{i}"}
        record = {"$type": "sparseopt:KeyFigure", "name": "", "beside": ""}
        document.append({**record, "value": before, "other": before})
    path = tmp_path / "pyramid.json"
    path.write_text(json.dumps(document))
    assert so.verify(path).ok
    assert len(asked) == 1
